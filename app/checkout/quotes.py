"""What an order would cost: said before anybody agrees to it. Promises nothing; pay.py reckons once more.

Owns the shape of a quote. The prices are those of the buyer's holds, the sums condition_rules'.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from app.checkout.agreement import usual_method
from app.checkout.condition_rules import Conditions, MethodId, totals_for
from app.checkout.coupon_rules import Code
from app.checkout.coupons import Presented
from app.checkout.parts import Checkout
from app.checkout.shipping_rules import goes_to, price_of
from app.checkout.total_rules import TOO_MUCH, PricedLine, Totals
from app.flash_sales.holds import refuse, view_hold
from app.money import AMOUNT_MINOR_MAX, step
from app.refusal import Refusal

HOLDS_MAX: Final = 20
NO_HOLD: Final = Refusal("hold_ended", "This hold has ended; its units are free again.")
MIXED: Final = Refusal("order_invalid", "One order is of one shop and one currency.")

HoldId = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be quoted: holds of one's own, the country, the way to ship; "" for the usual one."""

    holds: Annotated[list[HoldId], msgspec.Meta(min_length=1, max_length=HOLDS_MAX)]
    country: Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")] = ""
    shipping: MethodId = ""
    coupon: Code | None = None


class Way(msgspec.Struct, frozen=True):
    """A way to ship that goes there, and what it would cost with these goods."""

    id: str
    name: str
    price_minor: int


class Quote(msgspec.Struct, frozen=True):
    """What it costs. Without a country only the goods, and what a coupon takes off them, are known: `totals` is null
    and `ways` empty.
    """

    currency: str
    goods_minor: int
    needs_address: bool
    ways: list[Way]
    shipping: str
    totals: Totals | None
    policy_version: int
    tax_included: bool
    discount_minor: int = 0


async def quote_holds(
    checkout: Checkout, person: str, shop: str, ask: Ask, presented: Presented | None = None
) -> Quote | Refusal:
    """The quote for live holds of the person at one shop, with the coupon that is presented."""
    lines, currencies, show = [], set(), ""
    for hold in dict.fromkeys(ask.holds):
        decided = await checkout.gate.read(hold, person)
        if decided.code in {"rebuilding", "not_found"}:  # another person's hold does not exist
            return refuse(decided)
        if decided.hold is None or decided.label is None or decided.hold.state != "held":
            return NO_HOLD
        seen = view_hold(hold, decided.hold, decided.label, decided.now_ms)
        lines.append(PricedLine(seen.quantity, seen.unit_price_minor))
        currencies.add((decided.label.shop, seen.currency))
        show = show or seen.show or ""
    ((at, currency), *more) = currencies
    if more or at != shop:
        return MIXED
    conditions = await checkout.conditions.now(shop)
    method = ask.shipping or await usual_method(checkout.pg, conditions, person, shop, ask.country)
    discount = await discount_on(checkout, presented, lines, person=person, shop=shop, show=show)
    if isinstance(discount, Refusal):
        return discount
    return quote(conditions, lines, currency, ask.country, method, discount_minor=discount)


async def discount_on(
    checkout: Checkout, presented: Presented | None, lines: Sequence[PricedLine], *, person: str, shop: str, show: str
) -> int | Refusal:
    """What the coupon that is presented takes off these lines; 0 for none."""
    if presented is None:
        return 0
    goods = sum(line.quantity * line.unit_price_minor for line in lines)
    if goods > AMOUNT_MINOR_MAX:
        return TOO_MUCH
    applied = await checkout.coupons.present(presented, person=person, shop=shop, show=show, goods_minor=goods)
    return applied if isinstance(applied, Refusal) else applied.discount_minor


def quote(
    conditions: Conditions,
    lines: Sequence[PricedLine],
    currency: str,
    country: str,
    method: str,
    *,
    discount_minor: int = 0,
) -> Quote | Refusal:
    """The quote for these lines."""
    goods = sum(line.quantity * line.unit_price_minor for line in lines)
    known = bool(country) or not conditions.needs_address
    size = step(currency)
    totals = totals_for(conditions, lines, country, method, discount_minor, step_minor=size) if known else None
    if isinstance(totals, Refusal):
        return totals
    going = [one for one in conditions.shipping if country and goes_to(one, country)]
    return Quote(
        currency=currency,
        goods_minor=goods,
        needs_address=conditions.needs_address,
        ways=[Way(one.id, one.name, price_of(one, goods - discount_minor)) for one in going],
        shipping=method,
        totals=totals,
        policy_version=conditions.policy_version,
        tax_included=conditions.prices_include_tax,
        discount_minor=discount_minor,
    )
