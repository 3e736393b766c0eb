"""What a person can do with holds: take, release, list. Owns the view of a hold and the words of each refusal."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from app.flash_sales import line_store
from app.flash_sales.address_rules import network_of
from app.flash_sales.door import Verdict, Wish
from app.flash_sales.gate import Decided, WishToPay
from app.flash_sales.gate_wire import HoldRecord, PoolLabel, place_for, place_of, pool_of
from app.flash_sales.hold_index import HoldNote, KeyClaim, noted_holds
from app.flash_sales.parts import FlashSales
from app.flash_sales.voice import HoldReleased
from app.refusal import Refusal
from app.storage.away import unless_away

QUANTITY_MAX: Final = 99
OFFER_KEY: Final = "offer:"
"""How the key of a hold begins that was taken for somebody who waited in line."""
REBUILDING_RETRY_MS: Final = 250
ALL_HELD_RETRY_MS: Final = 1000
RESIZE_TRIES: Final = 5

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
BANNED: Final = Refusal("banned", "You may not buy here.")
MISMATCH: Final = Refusal("idempotency_mismatch", "This Idempotency-Key was used with another request.")
PAYING: Final = Refusal("in_progress", "A payment for this hold is under way; it cannot be given back now.", 1000)
RESIZING: Final = Refusal("in_progress", "This hold is being changed by other requests.", ALL_HELD_RETRY_MS)
_REFUSALS: Final = {
    "all_held": ("Every unit is in somebody's basket just now; some may come back.", ALL_HELD_RETRY_MS),
    "stock_short": ("Fewer units are free than that; take fewer.", None),
    "sold_out": ("All units are sold.", None),
    "over_limit": ("This would be more than one person may buy.", None),
    "ended": ("The sale has ended.", None),
    "not_started": ("The sale has not begun.", None),
    "rebuilding": ("The stock is being counted; try again in a moment.", REBUILDING_RETRY_MS),
    "not_found": ("There is no such item.", None),
    "paying": ("A payment for this hold is under way.", ALL_HELD_RETRY_MS),
}
_TURNED_AWAY: Final = {
    Verdict.NOT_ADMITTED: Refusal("not_admitted", "This sale has a waiting room: join it and wait for your turn."),
    Verdict.ADMISSION_USED: Refusal("admission_used", "This admission was used; each is for one hold."),
    Verdict.SHORT: Refusal("stock_short", "Fewer units are free than that beside those of others whose turn it is."),
    Verdict.NETWORK_LIMIT: Refusal("address_limit", "Your network has as many units of this sale as one may have."),
    Verdict.IN_LINE: Refusal(
        "all_held", "Others wait for what comes back; join the line behind them.", ALL_HELD_RETRY_MS
    ),
}
_CODES: Final = {"paying": "payment_pending"}
_STAYS_COUNTED: Final = frozenset({"granted", "same", "rebuilding", "mismatch"})
"""Answers of the gate after which a network has the units: its hold is there, or its first request's is, or nobody
knows yet.
"""
STANDS: Final = frozenset({"held", "confirmed"})
"""States of a hold that has not come to nothing."""
_MISMATCHED: Final = frozenset({"mismatch", "mismatch_over"})
_AT_DOOR: Final = frozenset({Verdict.IN_LINE, Verdict.NETWORK_LIMIT})


def refuse(decided: Decided) -> Refusal:
    """The refusal in a gate's answer."""
    if decided.code in _MISMATCHED:
        return MISMATCH
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


async def take_hold(
    sales: FlashSales,
    *,
    person: str,
    key: str,
    pool: str,
    quantity: int,
    show: str,
    address: str = "",
    admission: str = "",
) -> Hold | Refusal:
    """Takes `quantity` units for the person, at the gate's price and until the gate's expiry. Idempotent by `key`.

    `show` is where the person watches, "" for nowhere. The key is the person's own, for this body alone. `admission`
    is what the waiting room gave; `address` stands for the network whose units are counted.
    """
    waits = sales.payers.refuse(person)
    if waits is not None:  # before the door, which counts
        return await _same_hold(sales, person, key, pool) or waits
    entrance = await sales.entrance_of(pool)
    if entrance is None or (show and not await sales.sells(show, pool)):
        return NOT_SOLD_HERE
    place = place_for(person, key)
    wish = Wish(
        person, place, network_of(address), quantity, entrance.per_address_limit, entrance.waiting_room, admission
    )
    claimed, verdict, bans = await asyncio.gather(
        sales.claims.submit(KeyClaim(person, key, pool)), sales.door.enter(pool, wish), sales.bans.of(person)
    )
    barred = bans.bar(entrance.shop, entrance.show, show)
    if barred or not claimed:
        if verdict is Verdict.IN or not claimed:
            await sales.door.back(pool, person, place, reuse=True)
        return BANNED if claimed else MISMATCH
    if verdict is not Verdict.IN:
        return await _same_hold(sales, person, key, pool) or _TURNED_AWAY[verdict]
    decided = await sales.gate.take(
        pool,
        person=person,
        key=key,
        body=f"{quantity}:{show}",
        quantity=quantity,
        show=show,
        ttl_ms=sales.settings.hold_ttl_s * 1000,
    )
    if _is_out(decided):
        await sales.door.back(pool, person, place, reuse=not _came_to_nothing(decided))
    if decided.code not in {"granted", "same"}:
        return refuse(decided)
    assert decided.hold is not None
    assert decided.label is not None
    # The grant stands, and the buyer gets its id, also without the note.
    note = HoldNote(person, key, pool, decided.id, decided.hold.granted_at_ms, decided.hold.expires_at_ms)
    await unless_away("hold", sales.notes.submit(note))
    if entrance.waiting_room:
        await unless_away("admission", sales.served.submit((pool, person, admission, decided.id)))
    return view_hold(decided.id, decided.hold, decided.label, decided.now_ms)


def _came_to_nothing(decided: Decided) -> bool:
    """Whether the key has had its hold, and that one is over. It was counted out when it ended; the door, asked again
    with its key, counts it anew, and nobody else would count it out a second time.
    """
    over = decided.hold is not None and decided.hold.state not in STANDS
    return decided.code == "mismatch_over" or (decided.code == "same" and over)


def _is_out(decided: Decided) -> bool:
    return decided.code not in _STAYS_COUNTED or _came_to_nothing(decided)


async def resize_hold(
    sales: FlashSales, *, person: str, hold: str, quantity: int, address: str = ""
) -> Hold | Refusal | None:
    """Makes a live hold larger or smaller: the same hold, price and end. None when the person has no such live hold.

    What is refused changes nothing: giving back and taking anew would lose the unit, and an admission.
    """
    for _ in range(RESIZE_TRIES):
        before = await sales.gate.read(hold, person)
        if before.code == "rebuilding":
            return refuse(before)
        if before.hold is None or before.hold.state != "held":
            return None
        decided = await _resize(sales, before.hold, quantity, network_of(address))
        if isinstance(decided, Refusal):
            return decided
        if decided.code != "moved":
            return _resized(hold, decided)
    return RESIZING


def _resized(hold: str, decided: Decided) -> Hold | Refusal | None:
    if decided.code in {"over", "not_found"}:
        return None
    if decided.code != "resized":
        return refuse(decided)
    assert decided.hold is not None
    assert decided.label is not None
    return view_hold(hold, decided.hold, decided.label, decided.now_ms)


async def _resize(sales: FlashSales, record: HoldRecord, quantity: int, network: str) -> Decided | Refusal:
    """`moved` when it has other units than the record by now: then nothing was changed, nor counted."""
    more = quantity - record.quantity
    refused = await _let_grow(sales, record, more, network) if more > 0 else None
    if refused is not None:
        return refused
    decided = await sales.gate.resize(record.id, person=record.person, quantity=quantity, before=record.quantity)
    if more and (decided.code == "resized") == (more < 0):  # units that are given back, or were not taken after all
        await unless_away("door", sales.door.less(pool_of(record.id) or "", place_of(record.id), abs(more)))
    return decided


async def _let_grow(sales: FlashSales, record: HoldRecord, more: int, network: str) -> Refusal | None:
    waits = sales.payers.refuse(record.person)
    if waits is not None:
        return waits
    pool = pool_of(record.id) or ""
    entrance = await sales.entrance_of(pool)
    if entrance is None:
        return NOT_SOLD_HERE
    if (await sales.bans.of(record.person)).bar(entrance.shop, entrance.show, record.show):
        return BANNED
    verdict = await sales.door.more(pool, place_of(record.id), network, more, entrance.per_address_limit)
    return None if verdict is Verdict.IN else _TURNED_AWAY[verdict]


async def takes_to_pay(sales: FlashSales, *, pool: str, show: str) -> bool | Refusal:
    """Whether nobody needs an admission to take there, and so may take_to_pay; else take_hold."""
    entrance = await sales.entrance_of(pool)
    if entrance is None or (show and not await sales.sells(show, pool)):
        return NOT_SOLD_HERE
    return not entrance.waiting_room


def known_to_take_to_pay(sales: FlashSales, *, pool: str, show: str) -> bool:
    """Whether takes_to_pay would say yes without asking anybody."""
    entrance = sales.entrance_of.known(pool)
    return entrance is not None and not entrance.waiting_room and (not show or sales.sells.known(show, pool))


async def take_to_pay(
    sales: FlashSales, pool: str, wishes: Sequence[WishToPay], *, for_ms: int, total_max_ms: int
) -> Sequence[Decided]:
    """Takes holds that are paid for at once and within one request: what the gate says, `granted` or `same` or why not,
    or the door of a pool with a limit for networks (refuse_to_pay). They are not noted as their persons'.
    """
    counted = await _count_in(sales, pool, wishes)
    asking = [one for one in wishes if counted.get(one.attempt, Verdict.IN) is Verdict.IN]
    ttl_ms = sales.settings.hold_ttl_s * 1000
    taken: Sequence[Decided] = ()
    if asking:
        taken = await sales.gate.take_to_pay(pool, asking, ttl_ms=ttl_ms, for_ms=for_ms, total_max_ms=total_max_ms)
    expires_at_ms = max((one.hold.expires_at_ms for one in taken if one.code == "granted" and one.hold), default=None)
    if expires_at_ms is not None:
        await unless_away("busy pool", sales.busy_pools.note(pool, expires_at_ms))
    if not counted:
        return taken
    told = {one.attempt: decided for one, decided in zip(asking, taken, strict=True)}
    out = [one for one in asking if one.attempt in counted and _is_out(told[one.attempt])]
    await asyncio.gather(*(_count_out(sales, pool, one) for one in out))
    return [told.get(one.attempt) or Decided(code=counted[one.attempt]) for one in wishes]


async def _count_in(sales: FlashSales, pool: str, wishes: Sequence[WishToPay]) -> dict[str, Verdict]:
    """What the door says to each whose network it counts, by attempt: where the pool has a limit for one."""
    entrance = await sales.entrance_of(pool)
    if entrance is None or not entrance.per_address_limit:
        return {}
    limit, from_networks = entrance.per_address_limit, [(one, network_of(one.address)) for one in wishes]
    counted = [
        (
            one.attempt,
            Wish(
                one.person,
                place_for(one.person, one.key),
                network,
                one.quantity,
                limit,
                by_admission=False,
                admission="",
            ),
        )
        for one, network in from_networks
        if network
    ]
    verdicts = await sales.door.enter_all(pool, [wish for _, wish in counted]) if counted else ()
    return {attempt: verdict for (attempt, _), verdict in zip(counted, verdicts, strict=True)}


async def _count_out(sales: FlashSales, pool: str, wish: WishToPay) -> None:
    place = place_for(wish.person, wish.key)
    await unless_away("door", sales.door.back(pool, wish.person, place, reuse=True))


def refuse_to_pay(decided: Decided) -> Refusal:
    """The refusal in the answer to take_to_pay."""
    return _TURNED_AWAY[Verdict(decided.code)] if decided.code in _AT_DOOR else refuse(decided)


async def note_hold(sales: FlashSales, pool: str, decided: Decided) -> None:
    """Notes as its person's a hold that take_to_pay took: its payment goes on without the request."""
    hold = decided.hold
    assert hold is not None
    note = HoldNote(hold.person, hold.key, pool, decided.id, hold.granted_at_ms, hold.expires_at_ms)
    await unless_away("hold", sales.notes.submit(note))


async def _same_hold(sales: FlashSales, person: str, key: str, pool: str) -> Hold | None:
    """What this key was granted before somebody had to wait for it."""
    for hold in await noted_holds(sales.valkey, person):
        if pool_of(hold) == pool:
            decided = await sales.gate.read(hold, person)
            if decided.hold is not None and decided.label is not None and decided.hold.key == key:
                return view_hold(hold, decided.hold, decided.label, decided.now_ms)
    return None


async def release_hold(sales: FlashSales, *, person: str, hold: str) -> Refusal | None:
    """Gives the units back. Idempotent for the owner; another person's hold does not exist."""
    decided = await sales.gate.release(hold, person)
    if decided.code == "released":
        assert decided.hold is not None
        assert decided.label is not None
        show = decided.label.show or decided.hold.show
        await unless_away("door", sales.door.back(pool_of(hold) or "", person, place_of(hold), reuse=False))
        if decided.hold.key.startswith(OFFER_KEY):
            await unless_away("offer", line_store.leave_offer(sales.pg, hold))
        if show:
            await unless_away("released hold", sales.rooms.tell(show, person, HoldReleased(hold)))
        return None
    if decided.code == "paying":
        return PAYING
    return None if decided.code == "over" else refuse(decided)


async def holds_of(sales: FlashSales, person: str, show: str | None = None) -> list[Hold]:
    """The person's live holds, oldest first; all of them or those taken in one show."""
    ids = await noted_holds(sales.valkey, person)
    holds = []
    # Asked together: one script call per pool.
    for hold, decided in zip(ids, await asyncio.gather(*(sales.gate.read(one, person) for one in ids)), strict=True):
        record = decided.hold
        if record is None or record.state != "held":
            continue
        assert decided.label is not None
        if show is not None and (decided.label.show or record.show) != show:
            continue
        holds.append(view_hold(hold, record, decided.label, decided.now_ms))
    return holds
