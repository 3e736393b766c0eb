"""What a host can do with flash sales: create, start, end, cancel; and what the clock does with them.

A sale starts and ends by Valkey's clock, the one that times the holds. Units move in Postgres under both pools'
locks; out of the ordinary pool only those that its gate gives up, so no held unit is ever moved.
"""

import secrets
from functools import partial
from typing import Annotated, Final

import msgspec

from app import clock
from app.catalog.step_rules import off_step
from app.flash_sales import sale_store
from app.flash_sales.address_rules import default_limit
from app.flash_sales.draw_rules import SEED_BYTES
from app.flash_sales.gate_wire import gate_keys
from app.flash_sales.moment import from_ms, valkey_now_ms
from app.flash_sales.parts import FlashSales
from app.flash_sales.pool_store import lock_pool, read_pool
from app.flash_sales.rebuild import close_gate, rebuild_gate, shrink_gate
from app.flash_sales.sale_rules import (
    AHEAD_MAX_MS,
    COUNTDOWN_MIN_S,
    COUNTDOWN_S,
    IllegalSaleChange,
    SaleEvent,
    SaleState,
    change_sale,
    state_at_birth,
    window_after,
)
from app.flash_sales.sale_store import NewSale, Sale, SaleRow
from app.money import AMOUNT_MINOR_MAX, percent_off, step
from app.refusal import Refusal
from app.storage.away import unless_away
from app.storage.rolled_back import until_it_stays

GATE_KEPT_S: Final = 7200  # a closed pool's gate, for late questions about its holds

NOT_FOUND: Final = Refusal("not_found", "There is no such sale in this show.")
_NO_VARIANT: Final = Refusal("not_found", "There is no such variant in this show's shop.")
SHORT: Final = Refusal("stock_short", "There are not that many free units in stock; held ones cannot be moved.")
_SHOW_ENDED: Final = Refusal("show_ended", "The show has ended.")
_COUNTDOWN: Final = Refusal("malformed", "A countdown lasts 10 to 300 seconds; leave it out to start at once.")
_NO_TIME_TO_WAIT: Final = Refusal("malformed", "A waiting room needs a countdown, or a time to start at.")
_WHEN: Final = Refusal("malformed", "A sale starts within the next seven days.")
_PRICE: Final = Refusal("price_invalid", "Give either price_minor, below the list price, or percent_off.")
BUSY: Final = Refusal("rebuilding", "The stock is being counted; try again in a moment.", 250)


class CreateSale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /api/shows/{show}/flash-sales.

    With `starts_at_ms`, Unix time, the sale starts then and counts down `countdown_s` before; without, the countdown
    begins now, or with no countdown the sale itself. All times are the server's. A sale with a waiting room needs time
    before its start. `per_address_limit` is in units for one /24 or /64; 0 for none, left out for a wide one.
    """

    variant: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    allotment: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    per_buyer_limit: Annotated[int, msgspec.Meta(ge=1, le=99)]
    duration_s: Annotated[int, msgspec.Meta(ge=30, le=1200)]
    countdown_s: Annotated[int, msgspec.Meta(ge=0, le=300)] | None = None
    starts_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    waiting_room: bool = False
    per_address_limit: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    price_minor: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MINOR_MAX)] | None = None
    percent_off: Annotated[int, msgspec.Meta(ge=1, le=99)] | None = None


class SaleChanged(msgspec.Struct, frozen=True, tag="sale", tag_field="t", omit_defaults=True):
    """A room's event: the sale's state is now `state`. With a waiting room also the hash of the seed of its draw."""

    sale: str
    state: str
    title: str
    at: int
    commitment: str | None = None


def sale_price(wanted: CreateSale, list_minor: int, currency: str) -> int | Refusal:
    """The price in minor units, below the list price; a refusal when the request does not give exactly one."""
    if (wanted.price_minor is None) == (wanted.percent_off is None):
        return _PRICE
    price = wanted.price_minor
    if price is None:
        price = percent_off(list_minor, wanted.percent_off or 0, step(currency))
    return (off_step(currency, price) or price) if price < list_minor else _PRICE


def sale_times(wanted: CreateSale, now_ms: int) -> tuple[int, int] | Refusal:
    """When the sale starts, and how many seconds it counts down before."""
    countdown_s = wanted.countdown_s
    if countdown_s is None:
        countdown_s = 0 if wanted.starts_at_ms is None else COUNTDOWN_S
    if 0 < countdown_s < COUNTDOWN_MIN_S:
        return _COUNTDOWN
    if wanted.waiting_room and countdown_s == 0 and wanted.starts_at_ms is None:
        return _NO_TIME_TO_WAIT
    if wanted.starts_at_ms is None:
        return now_ms + countdown_s * 1000, countdown_s
    if not now_ms < wanted.starts_at_ms <= now_ms + AHEAD_MAX_MS:
        return _WHEN
    return wanted.starts_at_ms, countdown_s


async def create_sale(sales: FlashSales, *, host: str, show: str, wanted: CreateSale) -> Sale | Refusal:
    """Moves the allotment out of ordinary stock; the sale is then scheduled, counts down or runs."""
    if await sale_store.show_state(sales.pg, show) == "ended":
        return _SHOW_ENDED
    variant = await sale_store.read_variant(sales.pg, show, wanted.variant)
    if variant is None:
        return _NO_VARIANT
    price_minor = sale_price(wanted, variant.list_minor, variant.currency)
    if isinstance(price_minor, Refusal):
        return price_minor
    now_ms = await valkey_now_ms(sales.valkey)
    times = sale_times(wanted, now_ms)
    if isinstance(times, Refusal):
        return times
    starts_at_ms, countdown_s = times
    new = NewSale(
        id=clock.new_id(),
        pool=clock.new_id(),
        show=show,
        variant=wanted.variant,
        state=state_at_birth(now_ms=now_ms, starts_at_ms=starts_at_ms, countdown_ms=countdown_s * 1000),
        price_minor=price_minor,
        list_minor=variant.list_minor,
        per_buyer_limit=wanted.per_buyer_limit,
        allotment=wanted.allotment,
        starts_at=from_ms(starts_at_ms),
        ends_at=from_ms(starts_at_ms + wanted.duration_s * 1000),
        countdown_s=countdown_s,
        waiting_room=wanted.waiting_room,
        draw_seed=secrets.token_bytes(SEED_BYTES) if wanted.waiting_room else None,
        per_address_limit=_address_limit(wanted),
        created_by=host,
    )
    refused = await until_it_stays(partial(_write_sale, sales, new, variant.ordinary_pool))
    if refused is not None:
        return refused
    await unless_away("new sale's gate", sales.gate.sync(new.pool))
    return await announce(sales, show, new.id)


def _address_limit(wanted: CreateSale) -> int:
    if wanted.per_address_limit is not None:
        return wanted.per_address_limit
    return default_limit(allotment=wanted.allotment, per_buyer_limit=wanted.per_buyer_limit)


async def _write_sale(sales: FlashSales, new: NewSale, ordinary_pool: str) -> Refusal | None:
    await rebuild_gate(sales.pg, sales.valkey, ordinary_pool)
    await sales.gate.look(ordinary_pool)  # lets go of what is overdue
    try:
        async with sales.pg.acquire() as connection, connection.transaction():
            await lock_pool(connection, ordinary_pool)
            config = await read_pool(connection, ordinary_pool)
            assert config is not None
            if config.allotment - config.sold < new.allotment:
                return SHORT
            shrunk = await shrink_gate(sales.valkey, ordinary_pool, config.epoch, new.allotment)
            if shrunk != "done":
                return SHORT if shrunk == "short" else BUSY
            moved = await sale_store.insert_sale(connection, new, ordinary_pool)
            assert moved
    finally:
        # Also when the transaction failed after the gate had shrunk: the gate then gets its units back.
        await unless_away("ordinary gate", sales.gate.sync(ordinary_pool))
    return None


async def start_sale(sales: FlashSales, show: str, sale: str) -> Sale | Refusal:
    """Begins a sale that is to come now; it lasts as long as it would have."""
    return await _change_by_host(sales, show, sale, SaleEvent.START)


async def end_sale(sales: FlashSales, show: str, sale: str) -> Sale | Refusal:
    """Takes no more holds; those that are open may still be paid."""
    return await _change_by_host(sales, show, sale, SaleEvent.END)


async def cancel_sale(sales: FlashSales, show: str, sale: str) -> Sale | Refusal:
    """Releases all holds; payments in flight are voided unless their order is already committed."""
    return await _change_by_host(sales, show, sale, SaleEvent.CANCEL)


async def _change_by_host(sales: FlashSales, show: str, sale: str, event: SaleEvent) -> Sale | Refusal:
    row = await sale_store.read_sale(sales.pg, show, sale)
    if row is None:
        return NOT_FOUND
    try:
        changed = await change(sales, row, event, await valkey_now_ms(sales.valkey))
    except IllegalSaleChange:
        return Refusal("sale_state", f"A sale that is {row.view.state} cannot {event}.")
    if not changed:
        return Refusal("sale_state", "The sale changed at this very moment; look again.", 200)
    row = await sale_store.read_sale(sales.pg, show, sale)
    assert row is not None
    return row.view


async def change(sales: FlashSales, row: SaleRow, event: SaleEvent, now_ms: int) -> bool:
    """Brings one transition about and tells the room; False when somebody else was first."""
    view = row.view
    after = change_sale(SaleState(view.state), event)
    starts_ms, ends_ms = window_after(event, now_ms=now_ms, starts_at_ms=view.starts_at_ms, ends_at_ms=view.ends_at_ms)
    if not await sale_store.change_state(sales.pg, row, after, from_ms(starts_ms), from_ms(ends_ms)):
        return False
    if starts_ms != view.starts_at_ms:
        await unless_away("start of a sale", sales.gate.sync(view.pool))
    await announce(sales, view.show, view.id)
    if after in {SaleState.ENDED, SaleState.CANCELLED}:
        await unless_away("end of a sale", wind_up(sales, row, cancelled=after is SaleState.CANCELLED))
    return True


async def wind_up(sales: FlashSales, row: SaleRow, *, cancelled: bool) -> None:
    """A sale is over in Postgres: the gate stops granting, a cancelled one lets its holds go, units go back."""
    await sales.gate.sync(row.view.pool)
    if cancelled:
        await sales.gate.clear(row.view.pool)
    await give_units_back(sales, row)


async def give_units_back(sales: FlashSales, row: SaleRow) -> bool:
    """Moves the unsold units of a sale that is over to ordinary stock, once no hold and no payment is open on it."""
    pool, ordinary_pool = row.view.pool, row.ordinary_pool
    await _give_free_units_back(sales, row)
    async with sales.pg.acquire() as connection, connection.transaction():
        locked = await sale_store.lock_pools(connection, [pool, ordinary_pool])
        if locked[pool]["closed_at"] is not None:
            return True
        if await sale_store.payment_open(connection, pool):
            return False
        if await close_gate(sales.valkey, pool, locked[pool]["epoch"]) != "done":
            return False
        await sale_store.return_units(connection, pool, ordinary_pool)
    await sales.gate.sync(pool)
    await sales.gate.sync(ordinary_pool)
    for key in gate_keys(pool).all:
        await sales.valkey.expire(key, GATE_KEPT_S)
    return True


async def _give_free_units_back(sales: FlashSales, row: SaleRow) -> None:
    """What nobody holds need not wait for who does: one open hold would keep the rest of the sale from the shelf."""
    pool, ordinary_pool = row.view.pool, row.ordinary_pool
    looked = (await sales.gate.look(pool)).result  # lets go of what is overdue, rebuilds what is missing
    if looked is None or looked.left < 1 or looked.held < 1:
        return  # nothing is free, or everything is: then the pool can be closed at once
    try:
        async with sales.pg.acquire() as connection, connection.transaction():
            locked = await sale_store.lock_pools(connection, [pool, ordinary_pool])
            if locked[pool]["closed_at"] is not None:
                return
            if await shrink_gate(sales.valkey, pool, locked[pool]["epoch"], looked.left) != "done":
                return
            # Postgres has the last word: what it knows to be sold does not move.
            await sale_store.move_units(connection, pool, ordinary_pool, looked.left)
    finally:
        # Also when the transaction failed after the gate had shrunk: the gate then gets its units back.
        await unless_away("gate of a sale that is over", sales.gate.sync(pool))
        await unless_away("ordinary gate", sales.gate.sync(ordinary_pool))


async def announce(sales: FlashSales, show: str, sale: str) -> Sale:
    """Says the sale's state to the room, as key and as event."""
    row = await sale_store.read_sale(sales.pg, show, sale)
    assert row is not None
    view = row.view
    await unless_away("sale state", say_sale(sales, row))
    changed = SaleChanged(sale, view.state, view.product.title, clock.now_ms(), view.commitment)
    await unless_away("sale event", sales.rooms.append(show, changed))
    return view


async def say_sale(sales: FlashSales, row: SaleRow) -> None:
    """Says the sale's state to the room; one that has it drops it by its version."""
    await sales.rooms.set_state(row.view.show, f"sale:{row.view.id}", row.view.version, row.view)
