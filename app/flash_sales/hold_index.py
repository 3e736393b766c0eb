"""Where to look for holds: a person's own, and the pools that have one overdue. In Valkey, beside the gates.

Only an index: it is written after the grant, and losing it loses no hold. All notes that arrive while the last are
being written go in one pipeline.
"""

from typing import Any, Final

import msgspec
from redis.asyncio import Redis

HELD_POOLS_KEY: Final = "pools:held"
"""Sorted set: pool -> when its first hold is overdue, as far as known."""
HOLDS_OF_PERSON_MAX: Final = 50
KEPT_MS: Final = 7_200_000  # longer than any hold can be extended


class HoldNote(msgspec.Struct, frozen=True):
    """A hold that was granted. Times in Unix milliseconds of Valkey's clock."""

    person: str
    pool: str
    hold: str
    granted_at_ms: int
    expires_at_ms: int


async def note_holds(valkey: Redis, notes: list[HoldNote]) -> list[None]:
    """Writes a batch."""
    first: dict[str, int] = {}
    async with valkey.pipeline(transaction=False) as pipe:
        for note in notes:
            key = _key(note.person)
            pipe.zadd(key, {note.hold: note.granted_at_ms})
            pipe.zremrangebyrank(key, 0, -HOLDS_OF_PERSON_MAX - 1)
            pipe.pexpire(key, KEPT_MS)
            first[note.pool] = min(note.expires_at_ms, first.get(note.pool, note.expires_at_ms))
        pipe.zadd(HELD_POOLS_KEY, first, lt=True)
        await pipe.execute()
    return [None] * len(notes)


async def noted_holds(valkey: Redis, person: str) -> list[str]:
    """Ids of the person's holds, oldest first; some may be over."""
    members: list[Any] = await valkey.zrange(_key(person), 0, -1)
    return [member.decode() for member in members]


def _key(person: str) -> str:
    return f"person:{person}:holds"
