"""The words of rooms that are not yet in Postgres. Owns their place in Valkey; chat's loop carries them over.

A word leaves only when it was carried (at least once), buried, or set aside as one that Postgres cannot take,
whatever happens to the worker in between.
"""

from typing import Any, Final

from redis.asyncio import Redis

from app import clock
from app.rooms.keys import keys_of
from app.rooms.presence import OPEN_AGE_MAX_MS, OPEN_ROOMS, OPEN_ROOMS_MAX

COPIES_PER_READ: Final = 500
REFUSED_MAX: Final = 1000
REFUSED_KEPT_S: Final = 30 * 24 * 60 * 60


class Copies:
    """What speak.lua kept, by room."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey

    async def rooms(self) -> list[str]:
        """The rooms that may have words waiting."""
        names: Any = await self._valkey.zrange(OPEN_ROOMS, 0, OPEN_ROOMS_MAX, desc=True)
        return [name.decode() for name in names]

    async def waiting(self, room: str) -> dict[str, bytes]:
        """Some of the words that wait: "epoch:offset" to the event's JSON. Empty when none does."""
        found: dict[str, bytes] = {}
        portion: Any
        cursor = 0
        while True:
            cursor, portion = await self._valkey.hscan(keys_of(room).copies, cursor, count=COPIES_PER_READ)
            found |= {field.decode(): event for field, event in portion.items()}
            if not cursor or len(found) >= COPIES_PER_READ:
                return found

    async def carried(self, room: str, fields: list[str]) -> None:
        """These are in Postgres."""
        await self._valkey.hdel(keys_of(room).copies, *fields)

    async def set_aside(self, room: str, field: str, event: bytes) -> None:
        """Postgres cannot take these; they are kept for a while for whoever runs the service."""
        keys = keys_of(room)
        async with self._valkey.pipeline(transaction=True) as pipeline:
            pipeline.lpush(keys.refused, field.encode() + b" " + event)
            pipeline.ltrim(keys.refused, 0, REFUSED_MAX - 1)
            pipeline.expire(keys.refused, REFUSED_KEPT_S)
            pipeline.hdel(keys.copies, field)
            await pipeline.execute()

    async def forget_closed(self) -> None:
        """Stops looking after rooms that nobody has had open for long and that have nothing waiting."""
        before = clock.now_ms() - OPEN_AGE_MAX_MS
        names: Any = await self._valkey.zrange(OPEN_ROOMS, "-inf", before, byscore=True, offset=0, num=OPEN_ROOMS_MAX)
        for name in names:
            if not await self._valkey.exists(keys_of(name.decode()).copies):
                await self._valkey.zrem(OPEN_ROOMS, name)
