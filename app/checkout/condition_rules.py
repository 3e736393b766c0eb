"""What a shop may ask of an order, and whether an order has it. Values in, values out.

Conditions are ways to ship, tax by country and a return policy. A shop that has none of them sells as if this module
were not there: for the price on the label, and the address is nobody's business.
"""

import unicodedata
from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.checkout.shipping_rules import Amount, ShippingMethod, method_for
from app.checkout.tax_rules import TaxRate, tax_for
from app.checkout.total_rules import NO_TAX, PricedLine, Totals, total_of
from app.refusal import Refusal

METHODS_MAX: Final = 20
RATES_MAX: Final = 250
POLICY_LENGTH_MAX: Final = 20_000

MethodId = Annotated[str, Meta(max_length=32, pattern="^[a-z0-9-]*$")]
Version = Annotated[int, Meta(ge=0, le=2**31 - 1)]

NO_ADDRESS: Final = Refusal("address_needed", "This shop needs to know where to send it.")
NO_METHOD: Final = Refusal("shipping_unknown", "This shop does not send it there in that way; choose another.")
NOT_AGREED: Final = "Please look at the total and the return policy, and agree to them."
OTHER_TOTAL: Final = "The total is another by now; please look at it again."
OTHER_POLICY: Final = "The return policy is another by now; please read it again."


class Conditions(Struct, frozen=True):
    """A shop's conditions as they stand. `policy_version` 0: there is no return policy."""

    version: int = 0
    prices_include_tax: bool = True
    shipping: list[ShippingMethod] = []
    tax: list[TaxRate] = []
    policy_version: int = 0

    @property
    def any(self) -> bool:
        """Whether an order needs anything beyond its lines."""
        return bool(self.shipping or self.tax or self.policy_version)

    @property
    def needs_address(self) -> bool:
        """Whether what an order costs, or whether it can be sent, depends on the country."""
        return bool(self.shipping or self.tax)


NONE: Final = Conditions()


class Agreed(Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer saw and agreed to: the total, the way to ship, the version of the return policy."""

    total_minor: Amount
    shipping: MethodId = ""
    policy: Version = 0


class Charged(Struct, frozen=True):
    """What an order costs and why, as it is kept with it."""

    totals: Totals
    shipping: str = ""
    policy_version: int = 0


def check_conditions(shipping: list[ShippingMethod], tax: list[TaxRate], policy: str) -> Refusal | None:
    """Why these can be no shop's conditions."""
    if len({one.id for one in shipping}) < len(shipping):
        return Refusal("conditions_invalid", "Two ways to ship have the same id.")
    if len({one.country for one in tax}) < len(tax):
        return Refusal("conditions_invalid", "A country has two rates.")
    if not all(_printable(one.name) and one.name.strip() for one in shipping):
        return Refusal("conditions_invalid", "A way to ship needs a name that can be printed.")
    if not _printable(policy.replace("\n", " ")):
        return Refusal("conditions_invalid", "The return policy has a sign that cannot be printed.")
    return None


def totals_for(
    conditions: Conditions,
    lines: Iterable[PricedLine],
    country: str,
    method: str,
    discount_minor: int = 0,
    *,
    step_minor: int,
) -> Totals | Refusal:
    """What the lines cost when they go to `country` by `method`; both are "" where the shop asks neither."""
    if conditions.needs_address and not country:
        return NO_ADDRESS
    way = method_for(conditions.shipping, method, country)
    if conditions.shipping and way is None:
        return NO_METHOD
    tax = tax_for(conditions.tax, country, included=conditions.prices_include_tax) if conditions.tax else NO_TAX
    return total_of(lines, discount_minor=discount_minor, shipping=way, tax=tax, step_minor=step_minor)


def charge(
    conditions: Conditions,
    lines: Iterable[PricedLine],
    country: str,
    agreed: Agreed | None,
    discount_minor: int = 0,
    *,
    usual_method: str = "",
    step_minor: int,
) -> Charged | Refusal:
    """What the order costs, once the buyer has agreed to exactly that; else why not, with the total as it is now.

    Without `agreed` the total is reckoned for `usual_method`, so that the buyer can be shown it.
    """
    method = usual_method if agreed is None else agreed.shipping
    totals = totals_for(conditions, lines, country, method, discount_minor, step_minor=step_minor)
    if isinstance(totals, Refusal):
        return totals
    if agreed is None:
        return Refusal("agreement_needed", NOT_AGREED, details=_told(totals, method, conditions))
    if agreed.policy != conditions.policy_version:
        return Refusal("policy_changed", OTHER_POLICY, details=_told(totals, method, conditions))
    if agreed.total_minor != totals.total_minor:
        return Refusal("total_changed", OTHER_TOTAL, details=_told(totals, method, conditions))
    way = method_for(conditions.shipping, method, country)
    return Charged(totals, "" if way is None else way.name, conditions.policy_version)


def first_method(conditions: Conditions, country: str, wanted: str = "") -> str:
    """The id of the wanted method if it goes there, else of the first that does; "" for none."""
    going = [one for one in conditions.shipping if method_for([one], one.id, country)]
    return next((one.id for one in going if one.id == wanted), going[0].id if going else "")


def _told(totals: Totals, method: str, conditions: Conditions) -> dict[str, str | int]:
    return {
        "goods_minor": totals.goods_minor,
        "discount_minor": totals.discount_minor,
        "shipping_minor": totals.shipping_minor,
        "tax_minor": totals.tax_minor,
        "total_minor": totals.total_minor,
        "shipping": method,
        "policy": conditions.policy_version,
    }


def _printable(line: str) -> bool:
    return all(unicodedata.category(sign) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for sign in line)
