"""Tells rooms and people what the gate did: the state `pool:<id>`, at most once per 50 ms and pool, and ended holds.

Owns the pace. What it says may be lost with the process: the worker says every live pool's state again in a loop,
and a person's holds come with every join.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from app.flash_sales.gate_wire import GateResult, HoldRecord, decode_label
from app.flash_sales.sale_rules import pool_status
from app.rooms.bus import Rooms
from app.storage.away import unless_away

PACE_S: Final = 0.05
POOLS_SPOKEN_MAX: Final = 10_000


class PoolState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of the room's key `pool:<id>`: units, what one costs now, the price to compare it with (in minor
    units), and the name of the campaign behind it.
    """

    pool: str
    left: int
    held: int
    sold: int
    status: str
    price_minor: int
    list_minor: int
    campaign: str = ""


class HoldExpired(msgspec.Struct, frozen=True, tag="hold.expired", tag_field="t"):
    """A hint to its owner: the time was up and the units are free again."""

    hold: str


class HoldReleased(msgspec.Struct, frozen=True, tag="hold.released", tag_field="t"):
    """A hint to its owner: given back, by the person in another window or by the house."""

    hold: str


def pool_state(pool: str, result: GateResult) -> PoolState:
    """What everybody in the room may know of the pool. Negative numbers are the gate's own business."""
    left, held = max(0, result.left), max(0, result.held)
    label = decode_label(result.label)
    return PoolState(
        pool=pool,
        left=left,
        held=held,
        sold=result.sold,
        status=pool_status(left=left, held=held),
        price_minor=label.price_minor,
        list_minor=label.list_minor,
        campaign=label.campaign,
    )


class Voice:
    """`find_shows` answers in which shows' rooms a pool is of interest; `ended` hears of the holds that ended."""

    def __init__(
        self,
        rooms: Rooms,
        find_shows: Callable[[str], Awaitable[list[str]]],
        ended: Callable[[str, list[HoldRecord]], Awaitable[None]],
    ) -> None:
        self._rooms = rooms
        self._find_shows = find_shows
        self._ended = ended
        self._next: dict[str, GateResult] = {}
        self._spoken: dict[str, int] = {}
        self._speaking: dict[str, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def heard(self, pool: str, result: GateResult) -> None:
        """Called by the gate after each script call."""
        if result.version > self._spoken.get(pool, -1):
            self._next[pool] = result
            if pool not in self._speaking:
                self._speaking[pool] = asyncio.create_task(self._speak(pool), name=f"voice of {pool}")
        if result.ended:
            task = asyncio.create_task(self._tell_owners(pool, result), name="ended holds")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def say_again(self, pool: str, result: GateResult) -> None:
        """Says the state at once, also when it is not new: a room that has it drops it by its version."""
        sale_show = decode_label(result.label).show
        for show in [sale_show] if sale_show else await self.shows_of(pool):
            await self._rooms.set_state(show, f"pool:{pool}", result.version, pool_state(pool, result))

    async def shows_of(self, pool: str) -> list[str]:
        """In whose rooms the pool is of interest."""
        return await self._find_shows(pool)

    async def drain(self) -> None:
        """Waits until everything heard has been said."""
        while self._speaking or self._telling:
            await asyncio.wait([*self._speaking.values(), *self._telling])

    async def _speak(self, pool: str) -> None:
        try:
            while (result := self._next.pop(pool, None)) is not None:
                if len(self._spoken) >= POOLS_SPOKEN_MAX:
                    self._spoken.clear()
                self._spoken[pool] = result.version
                await unless_away("pool state", self.say_again(pool, result))
                await asyncio.sleep(PACE_S)
        finally:
            del self._speaking[pool]

    async def _tell_owners(self, pool: str, result: GateResult) -> None:
        await self._ended(pool, result.ended)
        sale_show = decode_label(result.label).show
        for one in result.ended:
            show = sale_show or one.show
            if show:
                kind = HoldExpired if one.state == "expired" else HoldReleased
                await unless_away("ended hold", self._rooms.tell(show, one.person, kind(one.id)))
