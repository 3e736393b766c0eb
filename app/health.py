"""How the web role tells machines that it lives, that it can do its work, and what it has counted."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import asyncpg
import msgspec
from redis.asyncio import Redis

from app.http.endpoint import Call, Endpoint, Reply
from app.http.figures import TEXT_FORMAT, Figure, render
from app.person import Right
from app.refusal import Refusal

CHECK_TIMEOUT_S: Final = 2.0


class Health(msgspec.Struct, frozen=True):
    """Each part's state in one word."""

    postgres: str
    valkey: str


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    alive: bool = True


def health_endpoints(
    pg: asyncpg.Pool, valkey: Redis, figures: Callable[[], Iterable[Figure]] = tuple
) -> list[Endpoint]:
    """/healthz: the process answers. /readyz: so do Postgres and Valkey. /metrics: Prometheus' text format."""

    async def healthz(call: Call) -> Reply:
        del call
        return Reply(Alive())

    async def readyz(call: Call) -> Reply | Refusal:
        del call
        postgres, store = await asyncio.gather(_word(pg.fetchval("SELECT 1")), _word(valkey.ping()))
        if postgres == store == "up":
            return Reply(Health(postgres, store))
        return Refusal("unavailable", "A part of the service is away.", 1000, {"postgres": postgres, "valkey": store})

    async def metrics(call: Call) -> Reply:
        del call
        return Reply(render(figures), content_type=TEXT_FORMAT)

    def get(path: str, action: Any, summary: str, answer: Any = None) -> Endpoint:
        return Endpoint(method="GET", path=path, right=Right.ANYONE, action=action, summary=summary, answer=answer)

    return [
        get("/healthz", healthz, "Whether the process answers", Alive),
        get("/readyz", readyz, "Whether it can do its work", Health),
        get("/metrics", metrics, "What it has counted, for Prometheus"),
    ]


async def _word(question: Any) -> str:
    """Up when `question` is answered in time, else away."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await question
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, *_valkey_errors()):
        return "away"
    return "up"


def _valkey_errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return (RedisError,)
