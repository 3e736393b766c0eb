"""What a host can change of a sale that is on or to come: more time, more units. Never its price or its limits.

A longer sale keeps its holds; more units come out of the variant's ordinary pool, only those that its gate gives up.
"""

from functools import partial
from typing import Annotated, Final

import msgspec

from app.flash_sales import sale_store
from app.flash_sales.moment import from_ms, valkey_now_ms
from app.flash_sales.parts import FlashSales
from app.flash_sales.rebuild import rebuild_gate, shrink_gate
from app.flash_sales.sale_rules import OPEN_STATES, end_after
from app.flash_sales.sale_store import Sale, SaleRow
from app.flash_sales.sales import BUSY, NOT_FOUND, SHORT, say_sale
from app.refusal import Refusal
from app.storage.away import unless_away
from app.storage.rolled_back import until_it_stays

_OVER: Final = Refusal("sale_state", "The sale is over; start another one.")
_TOO_LONG: Final = Refusal("sale_state", "A sale lasts 20 minutes at most.")
_MOVED: Final = Refusal("sale_state", "The sale changed at this very moment; look again.", 200)


class ExtendSale(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST …/flash-sales/{sale}/extend, in seconds."""

    by_s: Annotated[int, msgspec.Meta(ge=1, le=1200)]


class AddStock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST …/flash-sales/{sale}/stock, in units."""

    units: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


async def extend_sale(sales: FlashSales, show: str, sale: str, by_s: int) -> Sale | Refusal:
    """Moves the end away; what the clock has ended stays ended, also before anybody wrote it down."""
    row = await sale_store.read_sale(sales.pg, show, sale)
    if row is None:
        return NOT_FOUND
    view = row.view
    if view.state not in OPEN_STATES or view.ends_at_ms <= await valkey_now_ms(sales.valkey):
        return _OVER
    ends_ms = end_after(starts_at_ms=view.starts_at_ms, ends_at_ms=view.ends_at_ms, by_ms=by_s * 1000)
    if ends_ms is None:
        return _TOO_LONG
    if not await sale_store.move_end(sales.pg, row, from_ms(ends_ms)):
        return _MOVED
    await unless_away("longer sale's gate", sales.gate.sync(view.pool))
    return await _say(sales, show, sale)


async def add_stock(sales: FlashSales, show: str, sale: str, units: int) -> Sale | Refusal:
    """Moves free units of ordinary stock into the sale; one that is sold out then goes on."""
    row = await sale_store.read_sale(sales.pg, show, sale)
    if row is None:
        return NOT_FOUND
    await rebuild_gate(sales.pg, sales.valkey, row.ordinary_pool)
    await sales.gate.look(row.ordinary_pool)  # lets go of what is overdue
    refused = await until_it_stays(partial(_move, sales, row, units))
    if refused is not None:
        return refused
    await unless_away("sale's gate", sales.gate.sync(row.view.pool))
    return await _say(sales, show, sale)


async def _say(sales: FlashSales, show: str, sale: str) -> Sale:
    row = await sale_store.read_sale(sales.pg, show, sale)
    assert row is not None
    await unless_away("sale state", say_sale(sales, row))
    return row.view


async def _move(sales: FlashSales, row: SaleRow, units: int) -> Refusal | None:
    try:
        return await _move_at_once(sales, row, units)
    finally:
        # Also when the transaction failed after the gate had shrunk: the gate then gets its units back.
        await unless_away("ordinary gate", sales.gate.sync(row.ordinary_pool))


async def _move_at_once(sales: FlashSales, row: SaleRow, units: int) -> Refusal | None:
    pool, ordinary_pool = row.view.pool, row.ordinary_pool
    async with sales.pg.acquire() as connection, connection.transaction():
        locked = await sale_store.lock_pools(connection, [pool, ordinary_pool])
        if locked[pool]["closed_at"] is not None or not await sale_store.touch_open_sale(connection, row.view.id):
            return _OVER
        shrunk = await shrink_gate(sales.valkey, ordinary_pool, locked[ordinary_pool]["epoch"], units)
        if shrunk != "done":
            return SHORT if shrunk == "short" else BUSY
        if not await sale_store.move_units(connection, ordinary_pool, pool, units):
            return SHORT  # Postgres has the last word: what it knows to be sold does not move
    return None
