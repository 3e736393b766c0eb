"""The doors through which orders are undone: the buyer's cancel; the shop's cancel, refund, ship. Decides nothing."""

from functools import partial
from typing import Annotated, Final

import msgspec

from app.checkout.orders import host_view, read_order
from app.checkout.parts import Checkout
from app.checkout.refund_rules import UnitsBack
from app.checkout.refunds import NO_ORDER, Asked, RefundView, cancel_order, refund_order, ship_order
from app.checkout.shipment_rules import Shipment, clean_shipment
from app.checkout.views import HostOrderView, OrderView
from app.http.endpoint import Call, Endpoint, Reply
from app.money import AMOUNT_MINOR_MAX
from app.person import Right
from app.refusal import Refusal

BACK_MAX: Final = 100


class AskRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a refund. `units` come back on the shelf; without them none do."""

    amount_minor: Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MINOR_MAX)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    units: Annotated[list[UnitsBack], msgspec.Meta(max_length=BACK_MAX)] = []


def undo_endpoints(parts: Checkout) -> list[Endpoint]:
    """The routes."""
    of_shop = "/api/shops/{shop}/orders/{order}"
    return [
        Endpoint(
            method="POST",
            path="/api/orders/{order}/cancel",
            right=Right.SIGNED_IN,
            action=partial(_cancel_own, parts),
            summary="Take back one's own order before it is shipped",
            answer=OrderView,
        ),
        Endpoint(
            method="POST",
            path=f"{of_shop}/cancel",
            right=Right.SHOP_HOST,
            action=partial(_cancel, parts),
            summary="Cancel an order before it is shipped",
            answer=HostOrderView,
        ),
        Endpoint(
            method="POST",
            path=f"{of_shop}/refunds",
            right=Right.SHOP_HOST,
            action=partial(_refund, parts),
            summary="Give back all or a part of what was paid",
            body=AskRefund,
            answer=RefundView,
            idempotent=True,
        ),
        Endpoint(
            method="POST",
            path=f"{of_shop}/ship",
            right=Right.SHOP_HOST,
            action=partial(_ship, parts),
            summary="Say that an order is on its way",
            answer=HostOrderView,
        ),
        Endpoint(
            method="PUT",
            path=f"{of_shop}/shipment",
            right=Right.SHOP_HOST,
            action=partial(_ship_parcel, parts),
            summary="Say with whom an order is on its way, and where to look for it",
            body=Shipment,
            answer=HostOrderView,
        ),
    ]


async def _cancel_own(parts: Checkout, call: Call) -> Reply | Refusal:
    found = await read_order(parts.pg, call.path["order"])
    if found is None or found.buyer != call.signed_in.id:
        return NO_ORDER
    cancelled = await cancel_order(parts, found.view.id, call.signed_in.id)
    return cancelled if isinstance(cancelled, Refusal) else Reply(cancelled.view)


async def _order_of_shop(parts: Checkout, call: Call) -> str | None:
    found = await read_order(parts.pg, call.path["order"])
    return found.view.id if found is not None and found.view.shop == call.path["shop"] else None


async def _cancel(parts: Checkout, call: Call) -> Reply | Refusal:
    order = await _order_of_shop(parts, call)
    if order is None:
        return NO_ORDER
    cancelled = await cancel_order(parts, order, call.signed_in.id)
    return cancelled if isinstance(cancelled, Refusal) else Reply(host_view(cancelled))


async def _refund(parts: Checkout, call: Call) -> Reply | Refusal:
    order = await _order_of_shop(parts, call)
    if order is None:
        return NO_ORDER
    assert call.idempotency_key is not None
    body: AskRefund = call.body
    asked = Asked(call.signed_in.id, call.idempotency_key, order, body.amount_minor, body.currency, tuple(body.units))
    refund = await refund_order(parts, asked)
    return refund if isinstance(refund, Refusal) else Reply(refund, status=201)


async def _ship(parts: Checkout, call: Call) -> Reply | Refusal:
    order = await _order_of_shop(parts, call)
    if order is None:
        return NO_ORDER
    shipped = await ship_order(parts, order)
    return shipped if isinstance(shipped, Refusal) else Reply(host_view(shipped))


async def _ship_parcel(parts: Checkout, call: Call) -> Reply | Refusal:
    parcel = clean_shipment(call.body)
    if isinstance(parcel, Refusal):
        return parcel
    order = await _order_of_shop(parts, call)
    if order is None:
        return NO_ORDER
    shipped = await ship_order(parts, order, parcel)
    return shipped if isinstance(shipped, Refusal) else Reply(host_view(shipped))
