"""What the actions of flash_sales need, and how it is put together and taken apart."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import asyncpg
from redis.asyncio import Redis

from app import clock
from app.chat.ban_book import BanBook
from app.flash_sales import line_store
from app.flash_sales.door import Door
from app.flash_sales.gate import Gate
from app.flash_sales.gate_wire import HoldRecord, place_of
from app.flash_sales.hold_index import BusyPools, HoldNote, KeyClaim, claim_keys, note_holds
from app.flash_sales.known import EntranceOf, KnownBriefly
from app.flash_sales.line_joins import Joining, find_places, write_joins
from app.flash_sales.payers import Payers
from app.flash_sales.voice import Voice
from app.rooms.bus import Rooms
from app.settings import Settings
from app.storage.away import unless_away
from app.storage.group_commit import GroupCommit

_SHOWS_OF_POOL: Final = """
    SELECT l.show_id
      FROM pools p JOIN variants v ON v.id = p.variant_id
      JOIN lineup l ON l.product_id = v.product_id
      JOIN shows s ON s.id = l.show_id
     WHERE p.id = $1 AND p.flash_sale_id IS NULL AND s.state IN ('rehearsal', 'live', 'paused')
    UNION
    SELECT f.show_id FROM pools p JOIN flash_sales f ON f.id = p.flash_sale_id WHERE p.id = $1"""

_SELLS: Final = """
    SELECT EXISTS (SELECT FROM shows s JOIN products d ON d.shop_id = s.shop_id
                     JOIN variants v ON v.product_id = d.id JOIN pools p ON p.variant_id = v.id
                    WHERE s.id = $1 AND p.id = $2)"""

SHOWS_KNOWN_S: Final = 2.0
POOLS_KNOWN_MAX: Final = 10_000


class Sells:
    """Whether a pool is sold in a show: it is of the show's shop. Remembers what is so, for it never changes."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._known: set[tuple[str, str]] = set()

    def known(self, show: str, pool: str) -> bool:
        """True of what was found to be so."""
        return (show, pool) in self._known

    async def __call__(self, show: str, pool: str) -> bool:
        """What is known, else what Postgres says."""
        if (show, pool) in self._known:
            return True
        if not await self._pg.fetchval(_SELLS, show, pool):
            return False
        if len(self._known) >= POOLS_KNOWN_MAX:
            self._known.clear()
        self._known.add((show, pool))
        return True


@dataclass(frozen=True, slots=True)
class FlashSales:
    """Made by `open_flash_sales`."""

    pg: asyncpg.Pool
    valkey: Redis
    rooms: Rooms
    settings: Settings
    gate: Gate
    door: Door
    bans: BanBook
    payers: Payers
    voice: Voice
    claims: GroupCommit[KeyClaim, bool]
    notes: GroupCommit[HoldNote, None]
    busy_pools: BusyPools
    joins: GroupCommit[Joining, Any]
    places: GroupCommit[str, list[line_store.Entry]]
    served: GroupCommit[tuple[str, str, str, str], None]
    sells: Sells
    entrance_of: EntranceOf
    line_states: KnownBriefly
    lines_said: dict[str, Any]
    line_epochs: dict[str, int]  # of the gates, as this process has seen to their lines

    async def close(self) -> None:
        """Answers what was asked and says what was heard. Postgres and Valkey must still be open."""
        await self.claims.drain()
        await self.gate.drain()
        for batch in (self.bans, self.notes, self.joins, self.places, self.served):
            await batch.drain()
        await self.voice.drain()
        await self.door.drain()


class _ShowsOfPool:
    """In which rooms a pool is of interest, remembered for SHOWS_KNOWN_S."""

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


class _HoldsEnded:
    """Holds that ended without their owner's doing: the door counts them no more, and who could not pay waits again."""

    def __init__(self, pg: asyncpg.Pool, door: Door, entrance_of: EntranceOf) -> None:
        self._pg = pg
        self._door = door
        self._entrance_of = entrance_of

    async def __call__(self, pool: str, ended: list[HoldRecord]) -> None:
        await unless_away("ended holds", self._count_out(pool, ended))

    async def _count_out(self, pool: str, ended: list[HoldRecord]) -> None:
        entrance = await self._entrance_of(pool)
        if entrance is not None and (entrance.waiting_room or entrance.per_address_limit):
            for one in ended:
                await self._door.back(pool, one.person, place_of(one.id), reuse=False)
        given_back = [one.id for one in ended if one.state == "released"]
        if given_back:
            async with self._pg.acquire() as connection:
                await line_store.bring_back(connection, given_back)


def open_flash_sales(pg: asyncpg.Pool, valkey: Redis, rooms: Rooms, settings: Settings) -> FlashSales:
    """Connects nothing and starts nothing: tasks begin with the first hold."""
    door, entrance_of = Door(valkey), EntranceOf(pg)
    voice = Voice(rooms, _ShowsOfPool(pg), _HoldsEnded(pg, door, entrance_of))
    return FlashSales(
        pg=pg,
        valkey=valkey,
        rooms=rooms,
        settings=settings,
        gate=Gate(pg, valkey, voice),
        door=door,
        bans=BanBook(pg),
        payers=Payers(),
        voice=voice,
        sells=Sells(pg),
        entrance_of=entrance_of,
        claims=GroupCommit(partial(claim_keys, valkey)),
        notes=GroupCommit(partial(note_holds, valkey)),
        busy_pools=BusyPools(valkey),
        joins=GroupCommit(partial(write_joins, pg)),
        places=GroupCommit(partial(find_places, pg)),
        served=GroupCommit(partial(line_store.note_served, pg)),
        line_states=KnownBriefly(),
        lines_said={},
        line_epochs={},
    )
