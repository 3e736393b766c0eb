"""What may still be done to an order: whether it can be cancelled, shipped, refunded. Values in, values out."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from app.checkout.order_rules import OrderState
from app.refusal import Refusal

SHIPPED: Final = Refusal("order_state", "This order is on its way; it can be refunded, but not cancelled.")
DISPUTED: Final = Refusal("order_state", "The buyer's bank decides about this order's money; it cannot be cancelled.")
AT_THE_BANK: Final = Refusal("order_state", "The buyer's bank has this money until it decides.")
NOT_PAID: Final = Refusal("order_state", "Only an order that is paid can be refunded or shipped.")
TOO_MUCH: Final = Refusal("refund_too_large", "This is more than was paid and not given back yet.")
OTHER_CURRENCY: Final = Refusal("refund_currency", "A refund is in the currency of the order.")
ALL_BACK: Final = Refusal("order_state", "All of this order is back on the shelf; there is nothing to ship.")
NO_SUCH_UNITS: Final = Refusal("refund_units", "The order has no such units left to come back.")


class OrderFacts(msgspec.Struct, frozen=True):
    """A locked order. `refunded_minor` counts what was asked for and not refused; `disputed_minor` what the buyer's
    bank has taken, `disputed` while it has still to decide; `units` by line what is not back.
    """

    id: str
    state: OrderState
    total_minor: int
    refunded_minor: int
    currency: str
    shipped: bool
    units: Mapping[int, int]
    disputed_minor: int = 0
    disputed: bool = False

    @property
    def unrefunded_minor(self) -> int:
        """What nobody has given back."""
        return self.total_minor - self.refunded_minor

    @property
    def refundable_minor(self) -> int:
        """What can still be given back of a paid order: not what the buyer's bank has."""
        return max(0, self.unrefunded_minor - self.disputed_minor)


class UnitsBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Units of a line, counted from 1, that the shop puts back on its shelf."""

    line: int
    quantity: int


def judge_refund(order: OrderFacts, amount_minor: int, currency: str, back: Sequence[UnitsBack]) -> Refusal | None:
    """None when the refund fits: never more than was captured, in the same currency, units that are really out."""
    if order.state is not OrderState.PAID:
        return TOO_MUCH if order.state is OrderState.REFUNDED else NOT_PAID
    if currency != order.currency:
        return OTHER_CURRENCY
    if not 1 <= amount_minor <= order.refundable_minor:
        return AT_THE_BANK if order.disputed and amount_minor <= order.unrefunded_minor else TOO_MUCH
    lines = [one.line for one in back]
    fits = all(1 <= one.quantity <= order.units.get(one.line, 0) for one in back)
    return None if fits and len(set(lines)) == len(lines) else NO_SUCH_UNITS


def judge_cancel(order: OrderFacts) -> Refusal | None:
    """None while it stands and nothing was shipped. What is cancelled already is no refusal: the caller looks first."""
    if order.disputed or order.disputed_minor:
        return DISPUTED
    return SHIPPED if order.shipped else None


def judge_shipment(order: OrderFacts) -> Refusal | None:
    """None while it is paid and any of it is out. One whose refund was refused is paid, and may have nothing left."""
    if order.state is not OrderState.PAID:
        return NOT_PAID
    return None if any(order.units.values()) else ALL_BACK


def is_over(order: OrderFacts) -> bool:
    """Nothing is left of it to be cancelled."""
    return order.state in {OrderState.CANCELLED, OrderState.REFUNDED}
