"""An order as its buyer and as the show's host see it, and what rooms and people are told of it."""

from datetime import datetime

import msgspec


class OrderLine(msgspec.Struct, frozen=True):
    """A line as it was called and priced when it was bought."""

    title: str
    quantity: int
    unit_price_minor: int


class OrderView(msgspec.Struct, frozen=True):
    """The buyer's view."""

    id: str
    state: str
    show: str | None
    shop: str
    total_minor: int
    currency: str
    created_at: datetime
    lines: list[OrderLine]


class HostOrderView(OrderView, frozen=True):
    """The host's view: with who bought."""

    buyer: str


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


class PaymentOffer(msgspec.Struct, frozen=True):
    """How one pays here. `methods` are the simulated provider's; the other two are what Stripe's page script needs."""

    provider: str
    methods: list[str] = []
    script: str | None = None
    publishable_key: str | None = None
