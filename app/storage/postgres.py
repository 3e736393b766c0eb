"""Opens the pool of connections to Postgres. Owns the connections' settings; no SQL of any feature."""

from typing import Any, Final

import asyncpg
import msgspec

POOL_MAX: Final = 16
COMMAND_TIMEOUT_S: Final = 30

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def open_pool(url: str, *, size_max: int = POOL_MAX) -> asyncpg.Pool:
    """A pool on `url` (`?host=/folder` for a unix socket). Close it with `await pool.close()`.

    jsonb goes in and out as plain values by msgspec; a commit has reached the disk before it is acknowledged.
    """
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={"synchronous_commit": "on", "timezone": "UTC", "application_name": "hawker"},
        init=_teach_json,
    )


async def _teach_json(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, encoder=lambda value: _encode(value).decode(), decoder=_decode, schema="pg_catalog"
        )
