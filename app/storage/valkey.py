"""Opens the connections to Valkey and runs Lua scripts there. Owns no key and no script of any feature."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from redis.asyncio import BlockingConnectionPool, Redis
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
    pool = BlockingConnectionPool.from_url(
        url,
        decode_responses=False,
        max_connections=CONNECTIONS_MAX,
        timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


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
