"""Opens the connections to Valkey and runs Lua scripts there. Owns no key and no script of any feature."""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

CONNECTIONS_MAX: Final = 64
SOCKET_TIMEOUT_S: Final = 5

SERVER_LUA: Final = Path(__file__).with_name("server.lua")
"""Gives a script `this_server()`, to keep with what it writes and to compare with when it comes back."""

Argument: TypeAlias = str | bytes | int | float


def open_valkey(url: str) -> Redis:
    """A client on `url`. It connects when first used; close it with `await client.aclose()`.

    Nothing is retried inside: a script may have run although its answer was lost, so its caller decides.
    """
    # Blocking: a wave of more requests than connections waits for its turn instead of failing.
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        decode_responses=False,
        max_connections=CONNECTIONS_MAX,
        timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    pool.connection_class = type("Connection", (HeedsCancellation, pool.connection_class), {})
    return Redis.from_pool(pool)


class HeedsCancellation(AbstractConnection):
    """A connection whose caller can be cancelled at any moment.

    redis-py sends under `asyncio.wait_for`, and Python 3.11's forgets a cancellation that comes in the very turn of the
    loop in which the command has gone out. Whoever was told to end then goes on: a role that is stopped never ends.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Sends; raises CancelledError when its task was cancelled meanwhile, and closes, as an answer is under way."""
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        await super().send_packed_command(command, check_health)
        if task.cancelling() > before:
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError


class Script:
    """One Lua script from a file, run by its digest; sent again whenever Valkey does not know it (any more).

    The files `before` it define functions that it calls.
    """

    def __init__(self, path: Path, *, before: Sequence[Path] = ()) -> None:
        self.source = "\n".join(one.read_text(encoding="utf-8") for one in (*before, path))
        self._sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, valkey: Redis, keys: Sequence[str | bytes], args: Sequence[Argument] = ()) -> Any:
        """The script's result, as Valkey sent it."""
        try:
            return await valkey.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            # Not run: it was unknown. EVAL both runs it and makes it known.
            return await valkey.eval(self.source, len(keys), *keys, *args)


def server_of(info: Mapping[str, Any]) -> str:
    """What `this_server()` says in a script, from the answer to INFO SERVER on the same connection."""
    return str(info.get("run_id", ""))
