"""What a person can do with holds: take, release, list. Owns the view of a hold and the words of each refusal."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from redis.asyncio import Redis

from app import clock
from app.flash_sales.gate import Decided
from app.flash_sales.gate_wire import HoldRecord, PoolLabel, hold_id, pool_of
from app.flash_sales.parts import FlashSales
from app.flash_sales.voice import HoldReleased
from app.refusal import Refusal
from app.storage.away import unless_away

QUANTITY_MAX: Final = 99
HOLDS_OF_PERSON_MAX: Final = 50
REBUILDING_RETRY_MS: Final = 250
ALL_HELD_RETRY_MS: Final = 1000
HELD_POOLS_KEY: Final = "pools:held"
"""Sorted set: pool -> when its first hold is overdue, as far as known."""

Quantity = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Hold(msgspec.Struct, frozen=True):
    """A hold as its owner sees it. `expires_in_ms` is for drawing a countdown; 0 once it is over."""

    id: str
    pool: str
    show: str | None
    variant: str
    title: str
    quantity: int
    unit_price_minor: int
    amount_minor: int
    currency: str
    state: str
    expires_in_ms: int
    expires_at_ms: int
    server_now_ms: int


NOT_SOLD_HERE: Final = Refusal("not_found", "There is no such item in this show.")
_REFUSALS: Final = {
    "all_held": ("Every unit is in somebody's basket just now; some may come back.", ALL_HELD_RETRY_MS),
    "sold_out": ("All units are sold.", None),
    "over_limit": ("This would be more than one person may buy.", None),
    "ended": ("The sale has ended.", None),
    "not_started": ("The sale has not begun.", None),
    "rebuilding": ("The stock is being counted; try again in a moment.", REBUILDING_RETRY_MS),
    "not_found": ("There is no such item.", None),
    "mismatch": ("This Idempotency-Key was used with another request.", None),
    "paying": ("A payment for this hold is under way.", ALL_HELD_RETRY_MS),
}
_CODES: Final = {"mismatch": "idempotency_mismatch", "paying": "payment_pending"}


def refuse(decided: Decided) -> Refusal:
    """The refusal in a gate's answer."""
    message, retry_ms = _REFUSALS[decided.code]
    code = _CODES.get(decided.code, decided.code)
    return Refusal(code, message, decided.wait_ms if decided.code == "not_started" else retry_ms)


def view_hold(hold: str, record: HoldRecord, label: PoolLabel, now_ms: int) -> Hold:
    """`now_ms` is the gate's clock, the same that timed the grant."""
    pool = pool_of(hold)
    assert pool is not None
    return Hold(
        id=hold,
        pool=pool,
        show=label.show or record.show or None,
        variant=label.variant,
        title=label.title,
        quantity=record.quantity,
        unit_price_minor=record.price_minor,
        amount_minor=record.price_minor * record.quantity,
        currency=label.currency,
        state=record.state,
        expires_in_ms=max(0, record.expires_at_ms - now_ms) if record.state == "held" else 0,
        expires_at_ms=record.expires_at_ms,
        server_now_ms=now_ms,
    )


async def take_hold(sales: FlashSales, *, person: str, key: str, pool: str, quantity: int, show: str) -> Hold | Refusal:
    """Takes `quantity` units for the person, at the gate's price and until the gate's expiry. Idempotent by `key`.

    `show` is where the person watches, "" for nowhere. The key belongs to the person and the pool.
    """
    if show and not await sales.sells(show, pool):
        return NOT_SOLD_HERE
    decided = await sales.gate.take(
        pool,
        hold=hold_id(pool, clock.new_id()),
        person=person,
        key=key,
        body=f"{quantity}:{show}",
        quantity=quantity,
        show=show,
        ttl_ms=sales.settings.hold_ttl_s * 1000,
    )
    if decided.code not in {"granted", "same"}:
        return refuse(decided)
    assert decided.hold is not None
    assert decided.label is not None
    # The grant stands, and the buyer gets its id, also without the note.
    await unless_away("hold", _note(sales.valkey, pool, decided.id, decided.hold, decided.now_ms))
    return view_hold(decided.id, decided.hold, decided.label, decided.now_ms)


async def release_hold(sales: FlashSales, *, person: str, hold: str) -> Refusal | None:
    """Gives the units back. Idempotent for the owner; another person's hold does not exist."""
    decided = await sales.gate.release(hold, person)
    if decided.code == "released":
        assert decided.hold is not None
        assert decided.label is not None
        show = decided.label.show or decided.hold.show
        if show:
            await unless_away("released hold", sales.rooms.tell(show, person, HoldReleased(hold)))
        return None
    return None if decided.code == "over" else refuse(decided)


async def holds_of(sales: FlashSales, person: str, show: str | None = None) -> list[Hold]:
    """The person's live holds, newest expiry last; all of them or those taken in one show."""
    ids = await _noted(sales.valkey, person)
    holds = []
    for hold in ids:
        decided = await sales.gate.read(hold, person)
        record = decided.hold
        if record is None or record.state != "held":
            continue
        assert decided.label is not None
        if show is not None and (decided.label.show or record.show) != show:
            continue
        holds.append(view_hold(hold, record, decided.label, decided.now_ms))
    return holds


def _index_key(person: str) -> str:
    return f"person:{person}:holds"


async def _note(valkey: Redis, pool: str, hold: str, record: HoldRecord, now_ms: int) -> None:
    """Remembers where to look for the person's holds, and when for overdue ones. Losing this loses no hold."""
    key = _index_key(record.person)
    async with valkey.pipeline(transaction=False) as pipe:
        pipe.zadd(key, {hold: record.granted_at_ms})
        pipe.zremrangebyrank(key, 0, -HOLDS_OF_PERSON_MAX - 1)
        pipe.zadd(HELD_POOLS_KEY, {pool: record.expires_at_ms}, lt=True)
        # Longer than any hold can be extended.
        pipe.pexpire(key, 2 * (record.expires_at_ms - now_ms) + 7_200_000)
        await pipe.execute()


async def _noted(valkey: Redis, person: str) -> Sequence[str]:
    members: list[Any] = await valkey.zrange(_index_key(person), 0, -1)
    return [member.decode() for member in members]
