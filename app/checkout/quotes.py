"""What an order would cost: said before anybody agrees to it. Promises nothing; pay.py reckons once more.

Owns the shape of a quote. The prices are those of the buyer's holds, the sums condition_rules'.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from app.checkout.agreement import usual_method
from app.checkout.condition_rules import Conditions, MethodId, totals_for
from app.checkout.parts import Checkout
from app.checkout.shipping_rules import goes_to, price_of
from app.checkout.total_rules import PricedLine, Totals
from app.flash_sales.holds import view_hold
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


class Way(msgspec.Struct, frozen=True):
    """A way to ship that goes there, and what it would cost with these goods."""

    id: str
    name: str
    price_minor: int


class Quote(msgspec.Struct, frozen=True):
    """What it costs. Without a country only the goods are known: `totals` is null and `ways` empty."""

    currency: str
    goods_minor: int
    needs_address: bool
    ways: list[Way]
    shipping: str
    totals: Totals | None
    policy_version: int
    tax_included: bool


async def quote_holds(checkout: Checkout, person: str, shop: str, ask: Ask) -> Quote | Refusal:
    """The quote for live holds of the person at one shop."""
    lines, currencies = [], set()
    for hold in dict.fromkeys(ask.holds):
        decided = await checkout.gate.read(hold, person)
        if decided.hold is None or decided.label is None or decided.hold.state != "held":
            return NO_HOLD
        seen = view_hold(hold, decided.hold, decided.label, decided.now_ms)
        lines.append(PricedLine(seen.quantity, seen.unit_price_minor))
        currencies.add((decided.label.shop, seen.currency))
    ((at, currency), *more) = currencies
    if more or at != shop:
        return MIXED
    conditions = await checkout.conditions.now(shop)
    method = ask.shipping or await usual_method(checkout.pg, conditions, person, shop, ask.country)
    return quote(conditions, lines, currency, ask.country, method)


def quote(
    conditions: Conditions, lines: Sequence[PricedLine], currency: str, country: str, method: str
) -> Quote | Refusal:
    """The quote for these lines."""
    goods = sum(line.quantity * line.unit_price_minor for line in lines)
    known = bool(country) or not conditions.needs_address
    totals = totals_for(conditions, lines, country, method) if known else None
    if isinstance(totals, Refusal):
        return totals
    going = [one for one in conditions.shipping if country and goes_to(one, country)]
    return Quote(
        currency=currency,
        goods_minor=goods,
        needs_address=conditions.needs_address,
        ways=[Way(one.id, one.name, price_of(one, goods)) for one in going],
        shipping=method,
        totals=totals,
        policy_version=conditions.policy_version,
        tax_included=conditions.prices_include_tax,
    )
