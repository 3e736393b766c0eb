"""What an order costs: lines, discount, shipping and tax to one total, in integer minor units of one currency.

The one place where the parts are added up: what a page shows, what a buyer agrees to, what is charged and what the
ledger says all come from here. Knows no coupon, no country and no shop; its callers bring the discount, the method
and the tax that apply.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from app.checkout.shipping_rules import ShippingMethod, price_of
from app.checkout.tax_rules import Tax, tax_of
from app.money import AMOUNT_MINOR_MAX
from app.refusal import Refusal

TOO_MUCH: Final = Refusal("order_invalid", "This is more than one order may cost.")
NOTHING: Final = Refusal("order_invalid", "There is nothing to pay; such an order cannot be made here.")
NO_TAX: Final = Tax(0, included=True)


class PricedLine(msgspec.Struct, frozen=True):
    """So many units of one thing at one price."""

    quantity: int
    unit_price_minor: int


class Totals(msgspec.Struct, frozen=True):
    """The total is goods less discount, with shipping, and with tax unless the prices include it."""

    goods_minor: int
    discount_minor: int
    shipping_minor: int
    tax_minor: int
    tax_rate_bp: int
    tax_included: bool
    total_minor: int


def total_of(
    lines: Iterable[PricedLine],
    *,
    discount_minor: int = 0,
    shipping: ShippingMethod | None = None,
    tax: Tax = NO_TAX,
    step_minor: int = 1,
) -> Totals | Refusal:
    """The totals of an order; a refusal when they are above AMOUNT_MINOR_MAX, or nothing is left to pay.

    The discount is off the goods, before shipping and tax, and never more than they cost; `free from` looks at what
    the goods cost after it.
    """
    assert discount_minor >= 0, discount_minor
    goods = sum(_worth(line) for line in lines)
    if goods > AMOUNT_MINOR_MAX:
        return TOO_MUCH
    discount = min(discount_minor, goods)
    sending = 0 if shipping is None else price_of(shipping, goods - discount)
    charged = goods - discount + sending
    taxes = tax_of(charged, tax, step_minor)
    total = charged if tax.included else charged + taxes
    if total > AMOUNT_MINOR_MAX:
        return TOO_MUCH
    if total < 1:
        return NOTHING
    return Totals(goods, discount, sending, taxes, tax.rate_bp, tax.included, total)


def part_given_back(part_minor: int, given_back_minor: int, total_minor: int) -> int:
    """How much of a part of the total (its tax, its shipping) is given back with so much of the whole: in proportion,
    rounded down, so that all of it is back when all of the total is. Of several refunds, take the difference.
    """
    assert 0 <= given_back_minor <= total_minor
    return part_minor * given_back_minor // total_minor


def _worth(line: PricedLine) -> int:
    assert type(line.quantity) is int, line
    assert type(line.unit_price_minor) is int, line
    assert line.quantity >= 1, line
    assert line.unit_price_minor >= 0, line
    return line.quantity * line.unit_price_minor
