"""An order as its buyer and as the show's host see it, and what rooms and people are told of it."""

from datetime import datetime

import msgspec

from app.checkout.address_rules import ShipTo
from app.checkout.condition_rules import Charged
from app.checkout.coupon_rules import split_in_steps
from app.checkout.shipment_rules import Shipment
from app.checkout.total_rules import Totals
from app.money import step


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line as it was called and priced when it was bought. `returned` of its units came back; `discount_minor` is
    its share of what a coupon took off the whole.
    """

    title: str
    quantity: int
    unit_price_minor: int
    returned: int = 0
    discount_minor: int = 0


class Charges(Totals, frozen=True):
    """How a total came about, where it is more than the lines. `shipping` is the method as it was called."""

    shipping: str
    policy_version: int


class OrderView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The buyer's view. `refunded_minor` went back or is on its way; `shipped` orders cannot be cancelled. `dispute` is
    how the last one at the buyer's bank stands, "" for none.
    """

    id: str
    state: str
    show: str | None
    shop: str
    total_minor: int
    currency: str
    created_at: datetime
    lines: list[OrderLine]
    refunded_minor: int = 0
    shipped: bool = False
    charges: Charges | None = None
    shipment: Shipment | None = None
    dispute: str = ""


class OwnOrderView(OrderView, frozen=True, omit_defaults=True, kw_only=True):
    """The buyer's view of one order: with the shop's name and where it is sent."""

    shop_name: str
    ship_to: ShipTo | None = None


class HostOrderView(OrderView, frozen=True, omit_defaults=True, kw_only=True):
    """The host's view: with who bought. Where it is to be sent is told to the host alone, not in the staff's room."""

    buyer: str
    ship_to: ShipTo | None = None


class Sold(msgspec.Struct, frozen=True, tag="sold", tag_field="t"):
    """A room's event: something was bought; not by whom."""

    title: str
    quantity: int
    at: int


class StaffOrder(msgspec.Struct, frozen=True, tag="order", tag_field="t"):
    """A staff room's event."""

    order: HostOrderView
    at: int


class OrderPaid(msgspec.Struct, frozen=True, tag="order.paid", tag_field="t"):
    """A hint to the buyer: the money is captured."""

    order: str


class OrderCancelled(msgspec.Struct, frozen=True, tag="order.cancelled", tag_field="t"):
    """A hint to the buyer: the order does not stand any more."""

    order: str


class OrderRefunded(msgspec.Struct, frozen=True, tag="order.refunded", tag_field="t"):
    """A hint to the buyer: money of the order was given back."""

    order: str


class PaymentOffer(msgspec.Struct, frozen=True):
    """How one pays here: "simulated", "stripe" or "none". `methods` are the simulated provider's; the other two are
    what Stripe's page script needs.
    """

    provider: str
    methods: list[str] = []
    script: str | None = None
    publishable_key: str | None = None


def charges_of(charged: Charged) -> Charges:
    """What was charged, as it is told."""
    return Charges(
        **msgspec.structs.asdict(charged.totals), shipping=charged.shipping, policy_version=charged.policy_version
    )


def share_discount(lines: list[OrderLine], charges: Charges | None, currency: str) -> list[OrderLine]:
    """The lines, each with its share of the discount."""
    if charges is None or not charges.discount_minor:
        return lines
    worths = [line.quantity * line.unit_price_minor for line in lines]
    shares = split_in_steps(charges.discount_minor, worths, step(currency))
    return [msgspec.structs.replace(line, discount_minor=share) for line, share in zip(lines, shares, strict=True)]
