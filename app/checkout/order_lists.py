"""Long lists of orders: a buyer's history, a shop's orders by filter, and the same as CSV. Reads only.

Pages follow one another by a cursor, the id of the last order seen, so that orders that come meanwhile move nothing.
A shop's orders are looked for show by show, newest first, which is how they are indexed, and merged; those that were
bought outside any show are one group more.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.csv_rules import plain_amount
from app.checkout.orders import FoundOrder, read_orders
from app.http.csv_rules import csv_row

PAGE_MAX: Final = 50
CSV_PAGE: Final = 500
PRODUCT_LENGTH_MAX: Final = 120

# $2, $3: where the page before ended; null for the first.
_OWN: Final = """
    SELECT id FROM orders
     WHERE account_id = $1 AND ($2::timestamptz IS NULL OR created_at <= $2 AND (created_at, id) < ($2, $3))
     ORDER BY created_at DESC, id DESC LIMIT $4"""

_FITTING: Final = """
       AND o.shop_id = $1 AND ($2::timestamptz IS NULL OR o.created_at <= $2 AND (o.created_at, o.id) < ($2, $3))
       AND ($5 = '' OR o.state = $5)
       AND ($6::timestamptz IS NULL OR o.created_at >= $6) AND ($7::timestamptz IS NULL OR o.created_at < $7)
       AND ($8 = '' OR EXISTS (SELECT FROM order_lines l
                                WHERE l.order_id = o.id AND strpos(lower(l.title), lower($8)) > 0))
       AND ($9 = '' OR EXISTS (SELECT FROM accounts a
                                WHERE a.id = o.account_id AND strpos(lower(a.name), lower($9)) > 0))
       AND ($10 = '' OR ($10 = 'yes') = (o.shipped_at IS NOT NULL))
     ORDER BY o.created_at DESC, o.id DESC LIMIT $11) o"""

_BY_SHOWS: Final = """
    SELECT o.id, o.created_at FROM shows s CROSS JOIN LATERAL (
        SELECT o.id, o.created_at FROM orders o WHERE o.show_id = s.id"""

_BY_NO_SHOW: Final = """
     WHERE s.shop_id = $1 AND ($4 = '' OR s.id = $4)
    UNION ALL
    SELECT o.id, o.created_at FROM (
        SELECT o.id, o.created_at FROM orders o WHERE o.show_id IS NULL AND $4 = ''"""

_OF_SHOP: Final = f"{_BY_SHOWS}{_FITTING}{_BY_NO_SHOW}{_FITTING} ORDER BY created_at DESC, id DESC LIMIT $11"

_CURSOR: Final = "SELECT created_at FROM orders WHERE id = $1 AND (account_id = $2 OR shop_id = $3)"

CSV_HEAD: Final = (
    *("order", "made at (UTC)", "state", "buyer", "show", "item", "quantity", "unit price", "currency"),
    *("order goods", "discount", "shipping", "tax", "order total", "given back", "shipped at (UTC)", "carrier"),
    *("tracking number", "name", "street", "extra", "postal code", "city", "country"),
)


class Filter(msgspec.Struct, frozen=True):
    """Which orders of a shop. "" and None are for any; `shipped` is "yes" or "no"."""

    show: str = ""
    state: str = ""
    since: datetime | None = None
    until: datetime | None = None
    product: str = ""
    buyer: str = ""
    shipped: str = ""


class Page(msgspec.Struct, frozen=True):
    """Orders, newest first; `before` is the cursor of the next page, None on the last."""

    orders: list[FoundOrder]
    before: str | None


async def own_page(pg: asyncpg.Pool, person: str, before: str) -> Page | None:
    """A page of the person's orders; None when the cursor is none of theirs."""
    place = await _place(pg, before, person=person)
    if before and place is None:
        return None
    rows = await pg.fetch(_OWN, person, place, before, PAGE_MAX + 1)
    return await _page(pg, rows, PAGE_MAX)


async def shop_page(pg: asyncpg.Pool, shop: str, wanted: Filter, before: str, size: int = PAGE_MAX) -> Page | None:
    """A page of the shop's orders; None when the cursor is none of the shop's."""
    place = await _place(pg, before, shop=shop)
    if before and place is None:
        return None
    some = wanted
    rows = await pg.fetch(
        _OF_SHOP,
        shop,
        place,
        before,
        some.show,
        some.state,
        some.since,
        some.until,
        some.product,
        some.buyer,
        some.shipped,
        size + 1,
    )
    return await _page(pg, rows, size)


async def csv_of_shop(pg: asyncpg.Pool, shop: str, wanted: Filter) -> AsyncIterator[bytes]:
    """All of the shop's orders that fit, a row a line of each, page by page: never all of them at once."""
    yield csv_row(CSV_HEAD).encode()
    before: str | None = ""
    while before is not None:
        page = await shop_page(pg, shop, wanted, before, CSV_PAGE)
        assert page is not None
        yield "".join(row for one in page.orders for row in _rows(one)).encode()
        before = page.before


async def _place(pg: asyncpg.Pool, order: str, *, person: str = "", shop: str = "") -> datetime | None:
    moment: datetime | None = await pg.fetchval(_CURSOR, order, person, shop) if order else None
    return moment


async def _page(pg: asyncpg.Pool, rows: list[Any], size: int) -> Page:
    ids = [row["id"] for row in rows[:size]]
    found = {one.view.id: one for one in await read_orders(pg, ids)}
    return Page([found[one] for one in ids], ids[-1] if len(rows) > size else None)


def _rows(one: FoundOrder) -> list[str]:
    order, to, parcel, sums = one.view, one.ship_to, one.view.shipment, one.view.charges
    goods = sum(line.quantity * line.unit_price_minor for line in order.lines)

    def amount(minor: int) -> str:
        return plain_amount(minor, order.currency)

    tail = [
        order.currency,
        amount(goods),
        amount(sums.discount_minor if sums else 0),
        amount(sums.shipping_minor if sums else 0),
        amount(sums.tax_minor if sums else 0),
        amount(order.total_minor),
        amount(order.refunded_minor),
        "" if one.shipped_at is None else f"{one.shipped_at:%Y-%m-%d %H:%M:%S}",
        *((parcel.carrier, parcel.number) if parcel else ("", "")),
        *((to.name, to.street, to.extra, to.postal_code, to.city, to.country) if to else ("",) * 6),
    ]
    head = [order.id, f"{order.created_at:%Y-%m-%d %H:%M:%S}", order.state, one.buyer_name, order.show or ""]
    return [
        csv_row([*head, line.title, str(line.quantity), amount(line.unit_price_minor), *tail]) for line in order.lines
    ]
