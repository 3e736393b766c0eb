"""The stock gate: takes operations on holds, and decides all that arrived together in one script call per pool.

Owns the batches, the rebuild on first touch and the telling of what changed. It knows no HTTP and no payment; the
decisions are hold.lua's. A grant is final: its price and its expiry come from the script and are never recomputed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg
import msgspec
from redis.asyncio import Redis

from app import clock
from app.flash_sales.gate_wire import (
    GateAnswer,
    GateResult,
    HoldRecord,
    PoolLabel,
    decode_label,
    decode_result,
    encode_operations,
    gate_keys,
    hold_id,
    pool_of,
)
from app.flash_sales.rebuild import SHARDS_LUA, rebuild_gate, sync_gate
from app.outage import EXTERNAL, is_outage
from app.storage.group_commit import GroupCommit
from app.storage.valkey import SERVER_LUA, Script

_BOOK: Final = Path(__file__).with_name("hold_book.lua")
HOLD_SCRIPT: Final = Script(Path(__file__).with_name("hold.lua"), before=(SERVER_LUA, SHARDS_LUA, _BOOK))
_POOLS_MAX: Final = 4096  # batches kept for pools that were touched lately
BATCH_MAX: Final = 128
_CALLS_MAX: Final = 2  # Valkey decides one while the other's answers wake their callers: a core each is busy
_CROWD_CALLS_MAX: Final = 16  # what Valkey decides in one turn of its event loop shares one sync to disk
_CLEARED_AT_ONCE: Final = 256  # EXPIRE_MAX of hold_book.lua


class Listener(Protocol):
    """Hears of every script call; the room's voice in the service, nobody in some tests."""

    def heard(self, pool: str, result: GateResult) -> None:
        """Must not block: it is called between two batches."""


class Decided(msgspec.Struct, frozen=True, gc=False):
    """One answer, with the pool as it was when it was decided. `code` "rebuilding": nothing was decided."""

    code: str
    id: str = ""
    hold: HoldRecord | None = None
    wait_ms: int = 0
    now_ms: int = 0
    label: PoolLabel | None = None
    result: GateResult | None = None


class WishToPay(msgspec.Struct, frozen=True, gc=False):
    """A hold that is wanted for the payment `attempt`, which begins at once. `address` is its person's."""

    attempt: str
    person: str
    key: str
    body: str
    quantity: int
    show: str
    address: str = ""


_UNDECIDED: Final = Decided(code="rebuilding")
_UNKNOWN: Final = Decided(code="not_found")


class Gate:
    """All pools' gates as one process sees them."""

    def __init__(self, pg: asyncpg.Pool, valkey: Redis, listener: Listener) -> None:
        self._pg = pg
        self._valkey = valkey
        self._listener = listener
        self._batches: dict[str, GroupCommit[tuple[Any, ...], Decided]] = {}

    async def take(
        self, pool: str, *, person: str, key: str, body: str, quantity: int, show: str, ttl_ms: int
    ) -> Decided:
        """Granted · same (whatever became of it) · mismatch (mismatch_over: with a hold that has ended) · all_held ·
        stock_short · sold_out · over_limit · not_started · ended.
        """
        hold = hold_id(pool, person, key, clock.new_id())
        return await self._batch_of(pool).submit(("take", hold, person, key, body, quantity, show, ttl_ms))

    async def take_to_pay(
        self, pool: str, wishes: Sequence[WishToPay], *, ttl_ms: int, for_ms: int, total_max_ms: int
    ) -> Sequence[Decided]:
        """For each a take and an extend at once, of a hold that names its attempt. Also in_line: somebody waits."""
        operations = [
            (
                *(
                    "take",
                    hold_id(pool, one.person, one.key, one.attempt),
                    one.person,
                    one.key,
                    one.body,
                    one.quantity,
                    one.show,
                ),
                *(ttl_ms, one.attempt, for_ms, total_max_ms),
            )
            for one in wishes
        ]
        return await self._batch_of(pool).submit_all(operations)

    async def confirm_all(self, pool: str, holds: Sequence[str]) -> Decided:
        """As confirm, of holds of one pool, BATCH_MAX at most: sold, whatever each of them was."""
        return await self._ask(pool, ("sold", holds))

    async def release(self, hold: str, person: str = "") -> Decided:
        """Released · over · paying (a payment is in flight; the house, person "", may all the same)."""
        return await self._ask_hold(hold, ("release", hold, person))

    async def resize(self, hold: str, *, person: str, quantity: int, before: int) -> Decided:
        """Resized · moved (it has not `before` units) · over · paying · not_found; for more units also ended ·
        over_limit · all_held · stock_short.
        """
        return await self._ask_hold(hold, ("resize", hold, person, quantity, before))

    async def extend(
        self, hold: str, *, person: str, attempt: str, for_ms: int, total_max_ms: int, force: bool = False
    ) -> Decided:
        """Extended · over · paying (by another attempt; `force` when Postgres knows of none that is open)."""
        return await self._ask_hold(hold, ("extend", hold, person, attempt, for_ms, total_max_ms, force))

    async def resume(self, hold: str, attempt: str, *, give_back: bool = False) -> Decided:
        """The payment ended without an order: resumed (until its first expiry), released (to give back) · over."""
        return await self._ask_hold(hold, ("resume", hold, attempt, give_back))

    async def confirm(self, hold: str) -> Decided:
        """Postgres says that the order stands: confirmed · over (it was already) · not_found (counted in a rebuild)."""
        return await self._ask_hold(hold, ("confirm", hold))

    async def give_back(self, pool: str, *, back: str, person: str, quantity: int, epoch: int) -> Decided:
        """Units of an order came back, which Postgres counted in `epoch`: returned · over (this gate counted them)."""
        return await self._ask(pool, ("give_back", back, person, quantity, epoch))

    async def mend(self, hold: str, *, how: str, record: bytes, epoch: int) -> Decided:
        """Confirmed or resumed, as `how` says · moved, when the hold is not any more what the reconciler saw."""
        sha1 = hashlib.sha1(record, usedforsecurity=False).hexdigest()  # Lua's MessagePack knows no bytes
        return await self._ask_hold(hold, ("mend", hold, how, sha1, epoch))

    async def read(self, hold: str, person: str = "") -> Decided:
        """Read · not_found."""
        return await self._ask_hold(hold, ("read", hold, person))

    async def look(self, pool: str) -> Decided:
        """looked, with `result`; expires on the way what is due."""
        return await self._ask(pool, ("look",))

    async def clear(self, pool: str) -> None:
        """Releases every hold of the pool on which no payment is open."""
        cleared = _CLEARED_AT_ONCE
        while cleared >= _CLEARED_AT_ONCE:
            decided = await self._ask(pool, ("clear",))
            cleared = len(decided.result.ended) if decided.result else 0

    async def sync(self, pool: str) -> None:
        """Tells the gate what Postgres says of the pool now; then the room."""
        await sync_gate(self._pg, self._valkey, pool)
        await self.look(pool)

    async def drain(self) -> None:
        """Waits until everything asked has been answered."""
        for batch in list(self._batches.values()):
            await batch.drain()

    async def _ask_hold(self, hold: str, operation: tuple[Any, ...]) -> Decided:
        pool = pool_of(hold)
        return _UNKNOWN if pool is None else await self._ask(pool, operation)

    async def _ask(self, pool: str, operation: tuple[Any, ...]) -> Decided:
        return await self._batch_of(pool).submit(operation)

    def _batch_of(self, pool: str) -> GroupCommit[tuple[Any, ...], Decided]:
        batch = self._batches.get(pool)
        if batch is None:
            self._forget_idle()

            async def decide(operations: list[tuple[Any, ...]]) -> Sequence[Decided]:
                return await self._decide(pool, operations)

            batch = self._batches[pool] = GroupCommit(decide, BATCH_MAX, _CALLS_MAX, crowd_calls_max=_CROWD_CALLS_MAX)
        return batch

    def _forget_idle(self) -> None:
        if len(self._batches) >= _POOLS_MAX:
            self._batches = {pool: batch for pool, batch in self._batches.items() if not batch.idle}

    async def _decide(self, pool: str, operations: list[tuple[Any, ...]]) -> Sequence[Decided]:
        try:
            result = await self._run(pool, operations)
            if result.epoch == 0:
                if not await rebuild_gate(self._pg, self._valkey, pool):
                    return [_UNKNOWN] * len(operations)
                result = await self._run(pool, operations)
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            # What the script did, if it ran, is found again by the idempotency key or ends by itself.
            return [_UNDECIDED] * len(operations)
        if result.epoch == 0:
            return [_UNDECIDED] * len(operations)
        self._listener.heard(pool, result)
        label = decode_label(result.label)
        return [_to_decided(answer, result, label) for answer in result.answers]

    async def _run(self, pool: str, operations: list[tuple[Any, ...]]) -> GateResult:
        return decode_result(await HOLD_SCRIPT(self._valkey, gate_keys(pool).all, [encode_operations(operations)]))


def _to_decided(answer: GateAnswer, result: GateResult, label: PoolLabel) -> Decided:
    hold = answer.hold if isinstance(answer.hold, HoldRecord) else None
    return Decided(
        code=answer.code,
        id=hold.id if hold else "",
        hold=hold,
        wait_ms=answer.wait_ms,
        now_ms=result.now_ms,
        label=label,
        result=result,
    )
