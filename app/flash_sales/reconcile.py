"""Compares the holds of a gate, one by one, with what Postgres knows of them, and mends what a dead process left.

Two things can be amiss with a hold that lives: its order stands and the gate was never told (it is confirmed), or a
payment is noted on it of which Postgres knows nothing (the note is taken off, so that the hold ends at its own time).
Both are also true for a moment of every purchase; so only what was seen twice, RIPE_S apart, on an unchanged record of
the same epoch is mended, and the script looks at both once more. Never touches a hold whose payment is open.
"""

from collections.abc import Callable
from typing import Any, Final

import asyncpg
import msgspec
import structlog
from prometheus_client import Counter
from redis.asyncio import Redis

from app import clock
from app.flash_sales.gate import Gate
from app.flash_sales.gate_wire import HoldRecord, gate_keys
from app.flash_sales.pool_store import live_pools

RIPE_S: Final = 5.0
HOLDS_MAX: Final = 5000
"""Live holds of one pool that a pass looks at: of each shard as many, those that end first."""

log = structlog.get_logger()
_MENDED: Final = Counter("hawker_gate_mended", "Holds that the gate and Postgres saw differently for good.", ["how"])
_decode: Final = msgspec.msgpack.Decoder(HoldRecord).decode

# What Postgres knows of these holds: a payment that is open, an order that stands.
_PAYMENTS: Final = """
    SELECT hold_id, bool_or(state IN ('started', 'authorised')) AS is_open,
           bool_or(state IN ('committed', 'captured')) AS is_ordered
      FROM payment_attempts WHERE hold_id = ANY($1) GROUP BY hold_id"""


class _Suspect(msgspec.Struct, frozen=True):
    """How a hold would be mended, and as what it was seen. `since_s` is when it was seen so first."""

    how: str
    record: bytes
    epoch: int
    since_s: float


class Reconciler:
    """One process's memory of what differed. Several may run side by side: the script mends once."""

    def __init__(
        self, pg: asyncpg.Pool, valkey: Redis, gate: Gate, now_s: Callable[[], float] = clock.monotonic_s
    ) -> None:
        self._pg = pg
        self._valkey = valkey
        self._gate = gate
        self._now_s = now_s
        self._suspects: dict[str, _Suspect] = {}

    async def run(self) -> None:
        """A pass, for the worker's loop."""
        await self.look_through()

    async def look_through(self) -> int:
        """One pass over the pools that can be bought from in a show; answers with how many holds it mended."""
        seen: dict[str, _Suspect] = {}
        mended = 0
        for pool in await live_pools(self._pg):
            for hold, found in (await self._compare(pool)).items():
                before = self._suspects.get(hold)
                if before is None or (before.how, before.record, before.epoch) != (
                    found.how,
                    found.record,
                    found.epoch,
                ):
                    seen[hold] = found
                elif self._now_s() - before.since_s < RIPE_S:
                    seen[hold] = before
                else:
                    mended += await self._mend(hold, before)
        self._suspects = seen
        return mended

    async def _compare(self, pool: str) -> dict[str, _Suspect]:
        keys = gate_keys(pool)
        epoch = await self._valkey.hget(keys.config, "epoch")
        packed: list[Any] = []
        for live_key, holds_key in zip(keys.live, keys.holds, strict=True):
            places: list[Any] = await self._valkey.zrange(live_key, 0, HOLDS_MAX // len(keys.live) - 1)
            packed += await self._valkey.hmget(holds_key, places) if places else ()
        if epoch is None or not packed:
            return {}
        records = [(one, _decode(one)) for one in packed if one is not None]
        rows = {row["hold_id"]: row for row in await self._pg.fetch(_PAYMENTS, [record.id for _, record in records])}
        found = {}
        for one, record in records:
            how = _amiss(record, rows.get(record.id))
            if how is not None:
                found[record.id] = _Suspect(how, one, int(epoch), self._now_s())
        return found

    async def _mend(self, hold: str, suspect: _Suspect) -> bool:
        decided = await self._gate.mend(hold, how=suspect.how, record=suspect.record, epoch=suspect.epoch)
        if decided.code not in {"confirmed", "resumed"}:
            return False
        _MENDED.labels(suspect.how).inc()
        log.warning("gate.mended", hold=hold, how=suspect.how)
        return True


def _amiss(record: HoldRecord, row: Any) -> str | None:
    if record.state != "held":
        return None
    if row is not None and row["is_ordered"]:
        return "confirm"
    return "resume" if record.attempt and (row is None or not row["is_open"]) else None
