"""Orders as they are read: by their buyer, by the show's host, by hold. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.address_rules import ShipTo
from app.checkout.shipment_rules import Shipment
from app.checkout.views import Charges, HostOrderView, OrderLine, OrderView, share_discount

ORDERS_MAX: Final = 200

_ORDER: Final = """
    SELECT o.id, o.state, o.show_id, o.shop_id, o.total_minor, o.currency, o.created_at, o.account_id, a.name AS buyer,
           a.email_folded AS email, h.name AS shop_name, o.shipped_at, o.shipped_at IS NOT NULL AS shipped,
           (SELECT coalesce(sum(r.amount_minor), 0)::bigint FROM refunds r
             WHERE r.order_id = o.id AND r.state <> 'refused') AS refunded_minor,
           (SELECT d.state FROM disputes d WHERE d.order_id = o.id ORDER BY d.created_at DESC, d.id LIMIT 1) AS dispute,
           (SELECT jsonb_agg(jsonb_build_array(l.title, l.quantity, l.unit_price_minor, l.returned) ORDER BY l.line)
              FROM order_lines l WHERE l.order_id = o.id) AS lines,
           (SELECT to_jsonb(t) - 'attempt_id' FROM payment_addresses t WHERE t.attempt_id = o.id) AS ship_to,
           (SELECT to_jsonb(t) - 'attempt_id' FROM payment_totals t WHERE t.attempt_id = o.id) AS charges,
           (SELECT jsonb_build_object('carrier', s.carrier, 'number', s.number, 'url', s.url) FROM shipments s
             WHERE s.order_id = o.id) AS shipment
      FROM orders o JOIN accounts a ON a.id = o.account_id JOIN shops h ON h.id = o.shop_id"""

_BY_IDS: Final = _ORDER + " WHERE o.id = ANY($1) ORDER BY o.id"
_BY_SHOW: Final = _ORDER + " WHERE o.show_id = $1 ORDER BY o.created_at DESC, o.id LIMIT $2"

# The order of a hold, also when its payment went on with a new hold.
_OF_HOLD: Final = """
    SELECT id FROM payment_attempts
     WHERE (hold_id = $1 OR replaced_hold_id = $1) AND account_id = $2 AND NOT failed
       AND state IN ('committed', 'captured', 'capture_refused')"""

_OPEN_ON_HOLD: Final = """
    SELECT EXISTS (SELECT FROM payment_attempts WHERE (hold_id = $1 OR replaced_hold_id = $1) AND account_id = $2
                                                  AND NOT failed AND state IN ('started', 'authorised'))"""


class FoundOrder(msgspec.Struct, frozen=True):
    """An order with its buyer's id, name and address for mail, "" for none; and where it is sent."""

    view: OrderView
    buyer: str
    buyer_name: str
    email: str
    shop_name: str
    shipped_at: datetime | None
    ship_to: ShipTo | None


async def read_order(pg: asyncpg.Pool, order: str) -> FoundOrder | None:
    """One order; None when there is none."""
    found = await read_orders(pg, [order])
    return found[0] if found else None


async def read_orders(pg: asyncpg.Pool, orders: Sequence[str]) -> list[FoundOrder]:
    """Those of the orders that there are, in the order of their ids."""
    return [_found(row) for row in await pg.fetch(_BY_IDS, orders)]


async def orders_in(pg: asyncpg.Pool, show: str) -> list[HostOrderView]:
    """The show's newest orders, with who bought."""
    return [addressed_view(_found(row)) for row in await pg.fetch(_BY_SHOW, show, ORDERS_MAX)]


async def order_of_hold(pg: asyncpg.Pool, hold: str, person: str) -> str | None:
    """The order that came of this person's hold."""
    order: str | None = await pg.fetchval(_OF_HOLD, hold, person)
    return order


async def payment_open_on(pg: asyncpg.Pool, hold: str, person: str) -> bool:
    """True while a payment on this person's hold may still become an order."""
    return bool(await pg.fetchval(_OPEN_ON_HOLD, hold, person))


def host_view(found: FoundOrder) -> HostOrderView:
    """The order as the show's host sees it."""
    return HostOrderView(**msgspec.structs.asdict(found.view), buyer=found.buyer_name)


def addressed_view(found: FoundOrder) -> HostOrderView:
    """The same with where it is sent: for the host alone."""
    return msgspec.structs.replace(host_view(found), ship_to=found.ship_to)


def _address(found: dict[str, str] | None) -> ShipTo | None:
    return None if found is None else ShipTo(**found)


def _found(row: Any) -> FoundOrder:
    charges = None if row["charges"] is None else Charges(**row["charges"])
    view = OrderView(
        id=row["id"],
        state=row["state"],
        show=row["show_id"],
        shop=row["shop_id"],
        total_minor=row["total_minor"],
        currency=row["currency"],
        created_at=row["created_at"],
        lines=share_discount([OrderLine(*line) for line in row["lines"]], charges, row["currency"]),
        refunded_minor=row["refunded_minor"],
        shipped=row["shipped"],
        charges=charges,
        dispute=row["dispute"] or "",
        shipment=None if row["shipment"] is None else Shipment(**row["shipment"]),
    )
    return FoundOrder(
        view=view,
        buyer=row["account_id"],
        buyer_name=row["buyer"],
        email=row["email"] or "",
        shop_name=row["shop_name"],
        shipped_at=row["shipped_at"],
        ship_to=_address(row["ship_to"]),
    )
