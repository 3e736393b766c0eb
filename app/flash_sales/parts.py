"""What the actions of flash_sales need, and how it is put together and taken apart."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg
from redis.asyncio import Redis

from app import clock
from app.flash_sales.gate import Gate
from app.flash_sales.hold_index import HoldNote, KeyClaim, claim_keys, note_holds
from app.flash_sales.voice import Voice
from app.rooms.bus import Rooms
from app.settings import Settings
from app.storage.group_commit import GroupCommit

_SHOWS_OF_POOL: Final = """
    SELECT l.show_id
      FROM pools p JOIN variants v ON v.id = p.variant_id
      JOIN lineup l ON l.product_id = v.product_id
      JOIN shows s ON s.id = l.show_id
     WHERE p.id = $1 AND p.flash_sale_id IS NULL AND s.state IN ('rehearsal', 'live', 'paused')"""

_SELLS: Final = """
    SELECT EXISTS (SELECT FROM shows s JOIN products d ON d.shop_id = s.shop_id
                     JOIN variants v ON v.product_id = d.id JOIN pools p ON p.variant_id = v.id
                    WHERE s.id = $1 AND p.id = $2)"""

SHOWS_KNOWN_S: Final = 2.0
POOLS_KNOWN_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class FlashSales:
    """Made by `open_flash_sales`."""

    pg: asyncpg.Pool
    valkey: Redis
    rooms: Rooms
    settings: Settings
    gate: Gate
    voice: Voice
    claims: GroupCommit[KeyClaim, bool]
    notes: GroupCommit[HoldNote, None]
    sells: Callable[[str, str], Awaitable[bool]]  # (show, pool)

    async def close(self) -> None:
        """Answers what was asked and says what was heard. Postgres and Valkey must still be open."""
        await self.claims.drain()
        await self.gate.drain()
        await self.notes.drain()
        await self.voice.drain()


class _ShowsOfPool:
    """In which rooms an ordinary pool is of interest, remembered for SHOWS_KNOWN_S."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def __call__(self, pool: str) -> list[str]:
        now_s = clock.monotonic_s()
        known = self._known.get(pool)
        if known is not None and now_s - known[0] < SHOWS_KNOWN_S:
            return known[1]
        shows = [row["show_id"] for row in await self._pg.fetch(_SHOWS_OF_POOL, pool)]
        if len(self._known) >= POOLS_KNOWN_MAX:
            self._known.clear()
        self._known[pool] = (now_s, shows)
        return shows


class _Sells:
    """Whether a pool is sold in a show: it is of the show's shop. Remembers what is so, for it never changes."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._known: set[tuple[str, str]] = set()

    async def __call__(self, show: str, pool: str) -> bool:
        if (show, pool) in self._known:
            return True
        if not await self._pg.fetchval(_SELLS, show, pool):
            return False
        if len(self._known) >= POOLS_KNOWN_MAX:
            self._known.clear()
        self._known.add((show, pool))
        return True


def open_flash_sales(pg: asyncpg.Pool, valkey: Redis, rooms: Rooms, settings: Settings) -> FlashSales:
    """Connects nothing and starts nothing: tasks begin with the first hold."""
    voice = Voice(rooms, _ShowsOfPool(pg))
    return FlashSales(
        pg=pg,
        valkey=valkey,
        rooms=rooms,
        settings=settings,
        gate=Gate(pg, valkey, voice),
        voice=voice,
        sells=_Sells(pg),
        claims=GroupCommit(partial(claim_keys, valkey)),
        notes=GroupCommit(partial(note_holds, valkey)),
    )
