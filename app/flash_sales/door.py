"""The door in front of a pool's gate: who may ask it at all. All that arrived together go in one script call a pool.

Owns what the door remembers in Valkey: admissions, units per network, that somebody waits. Losing it lets nobody in
who has no admission, for the worker says all admissions again, for the gate's new epoch; units per network are counted
anew. The gate alone decides on stock.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from app.flash_sales.gate_wire import gate_keys
from app.storage.group_commit import GroupCommit
from app.storage.valkey import SERVER_LUA, Script

_DOOR: Final = Script(Path(__file__).with_name("door.lua"), before=(SERVER_LUA,))
_POOLS_MAX: Final = 4096  # batches kept for pools that were touched lately
KEPT_MS: Final = 7_200_000
WAITING_MS: Final = 5_000

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[str]).decode


class Verdict(StrEnum):
    """What the door says to somebody who wants to take a hold."""

    IN = "in"
    NOT_ADMITTED = "not_admitted"
    ADMISSION_USED = "admission_used"
    SHORT = "short"
    NETWORK_LIMIT = "network_limit"
    IN_LINE = "in_line"


class Wish(msgspec.Struct, frozen=True):
    """A hold that somebody wants, at its place in the pool (`place_for`), in the order of door.lua. `network_limit` 0
    for none; `network` "" for one that is not counted.
    """

    person: str
    place: str
    network: str
    units: int
    network_limit: int
    by_admission: bool
    admission: str


def door_keys(pool: str) -> list[str]:
    """The keys of one pool, in the order of door.lua, beside those of its gate."""
    gate = gate_keys(pool)
    return [*(f"{{pool:{pool}}}:{part}" for part in ("admissions", "inside", "networks")), gate.waiting, gate.config]


class Door:
    """All pools' doors as one process sees them."""

    def __init__(self, valkey: Redis) -> None:
        self._valkey = valkey
        self._batches: dict[str, GroupCommit[tuple[Any, ...], str]] = {}

    async def enter(self, pool: str, wish: Wish) -> Verdict:
        """Whether the hold may be asked for. Idempotent by its place."""
        return (await self.enter_all(pool, [wish]))[0]

    async def enter_all(self, pool: str, wishes: Sequence[Wish]) -> list[Verdict]:
        """As `enter`, of as many as a group takes."""
        asked = [("enter", *msgspec.structs.astuple(wish)) for wish in wishes]
        return [Verdict(one) for one in await self._batch_of(pool).submit_all(asked)]

    async def back(self, pool: str, person: str, place: str, *, reuse: bool) -> None:
        """The hold was refused or has ended: its units count no more, and with `reuse` the admission may be used."""
        await self._ask(pool, "back", person, place, reuse)

    async def less(self, pool: str, place: str, units: int) -> None:
        """Units of an order came back, or a hold has fewer: the network may have as many others."""
        await self._ask(pool, "less", place, units)

    async def more(self, pool: str, place: str, network: str, units: int, network_limit: int) -> Verdict:
        """Whether the hold at the place may have so many units more; counts them. Not idempotent: `less` undoes it."""
        return Verdict(await self._ask(pool, "more", place, network, units, network_limit))

    async def admit(self, pool: str, person: str, admission: str, epoch: int) -> None:
        """Says an admission to the gate of this epoch, and to no other; one that was used stays used."""
        await self._ask(pool, "admit", person, admission, str(epoch))

    async def expel(self, pool: str, person: str) -> None:
        """Takes the person's admission back."""
        await self._ask(pool, "expel", person)

    async def say_waiting(self, pool: str, count: int) -> None:
        """While somebody waits nobody else may take; holds for WAITING_MS."""
        await self._ask(pool, "waiting", count, WAITING_MS)

    async def drain(self) -> None:
        """Waits until everything asked has been answered."""
        for batch in list(self._batches.values()):
            await batch.drain()

    async def _ask(self, pool: str, *operation: Any) -> str:
        return await self._batch_of(pool).submit(operation)

    def _batch_of(self, pool: str) -> GroupCommit[tuple[Any, ...], str]:
        batch = self._batches.get(pool)
        if batch is None:
            if len(self._batches) >= _POOLS_MAX:
                self._batches = {name: one for name, one in self._batches.items() if not one.idle}

            async def decide(operations: list[tuple[Any, ...]]) -> Sequence[str]:
                return _decode(await _DOOR(self._valkey, door_keys(pool), [_encode(operations), KEPT_MS]))

            batch = self._batches[pool] = GroupCommit(decide)
        return batch
