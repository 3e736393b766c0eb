"""Where to look for holds: a person's own, the pool of an idempotency key, the pools that have a hold overdue.

In Valkey, beside the gates. Only an index: losing it loses no hold. All that arrives while the last is being written
goes in one pipeline.
"""

from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from app import clock

HELD_POOLS_KEY: Final = "pools:held"
"""Sorted set: pool -> when its first hold is overdue, as far as known."""
BUSY_POOLS_KEY: Final = "pools:busy"
"""Sorted set: pool -> when the last hold noted by BusyPools is overdue."""
HOLDS_OF_PERSON_MAX: Final = 50
KEPT_MS: Final = 7_200_000  # longer than any hold can be extended
CLAIM_MS: Final = 60_000  # of a key whose hold is not granted, or not yet
POOL_NOTED_S: Final = 1.0  # far below the life of any hold
POOLS_NOTED_MAX: Final = 10_000


class HoldNote(msgspec.Struct, frozen=True):
    """A hold that was granted. Times in Unix milliseconds of Valkey's clock."""

    person: str
    key: str
    pool: str
    hold: str
    granted_at_ms: int
    expires_at_ms: int


class KeyClaim(msgspec.Struct, frozen=True):
    """A person's idempotency key that is to take from this pool and no other."""

    person: str
    key: str
    pool: str


async def claim_keys(valkey: Redis, claims: list[KeyClaim]) -> list[bool]:
    """Claims a batch; False for a key that took from another pool before."""
    async with valkey.pipeline(transaction=False) as pipe:
        for claim in claims:
            pipe.set(_pool_key(claim.person, claim.key), claim.pool, nx=True, get=True, px=CLAIM_MS)
        before: list[bytes | None] = await pipe.execute()
    return [pool is None or pool.decode() == claim.pool for claim, pool in zip(claims, before, strict=True)]


async def note_holds(valkey: Redis, notes: list[HoldNote]) -> list[None]:
    """Writes a batch."""
    first: dict[str, int] = {}
    async with valkey.pipeline(transaction=False) as pipe:
        for note in notes:
            key = _key(note.person)
            pipe.zadd(key, {note.hold: note.granted_at_ms})
            pipe.zremrangebyrank(key, 0, -HOLDS_OF_PERSON_MAX - 1)
            pipe.pexpire(key, KEPT_MS)
            pipe.set(_pool_key(note.person, note.key), note.pool, px=KEPT_MS)
            first[note.pool] = min(note.expires_at_ms, first.get(note.pool, note.expires_at_ms))
        pipe.zadd(HELD_POOLS_KEY, first, lt=True)
        await pipe.execute()
    return [None] * len(notes)


class BusyPools:
    """Notes once in POOL_NOTED_S that holds of a pool are taken and paid for, each of them within its request.

    The pool is looked at when the last hold that was noted, or was not because another had just been, is overdue.
    """

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey
        self._noted_s: dict[str, float] = {}

    async def note(self, pool: str, expires_at_ms: int) -> None:
        """A hold of the pool, taken just now, expires then."""
        now_s = clock.monotonic_s()
        if now_s - self._noted_s.get(pool, -POOL_NOTED_S) < POOL_NOTED_S:
            return
        if len(self._noted_s) >= POOLS_NOTED_MAX:
            self._noted_s.clear()
        self._noted_s[pool] = now_s
        try:
            await self._valkey.zadd(BUSY_POOLS_KEY, {pool: expires_at_ms}, gt=True)
        except BaseException:
            self._noted_s.pop(pool, None)
            raise


async def noted_holds(valkey: Redis, person: str) -> list[str]:
    """Ids of the person's holds, oldest first; some may be over."""
    members: list[Any] = await valkey.zrange(_key(person), 0, -1)
    return [member.decode() for member in members]


def _key(person: str) -> str:
    return f"person:{person}:holds"


def _pool_key(person: str, key: str) -> str:
    return f"person:{person}:pool:{key}"
