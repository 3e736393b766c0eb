"""Tax: one rate per country, in an amount or on top of it. Integers in, integers out.

A rate is in basis points (1900 is 19 %). What is taxed is the goods less the discount plus the shipping: transport that
the seller charges is part of the taxable amount, a discount given at the sale is not (Directive 2006/112/EC, Articles
78(b) and 79(b)). The tax is reckoned once per order, not per line, and rounded to the nearest minor unit, halves up:
European law leaves the method to each state (Court of Justice, C-484/06 Ahold and C-302/07 Wetherspoon), and once, to
the nearest, strays least from the exact amount. A country without a rate is one without tax.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

WHOLE_BP: Final = 10_000
RATE_BP_MAX: Final = 10_000

Country = Annotated[str, Meta(pattern="^[A-Z]{2}$")]


class TaxRate(Struct, frozen=True, forbid_unknown_fields=True):
    """A country's rate. `country` is ISO 3166-1 alpha-2."""

    country: Country
    rate_bp: Annotated[int, Meta(ge=0, le=RATE_BP_MAX)]


class Tax(Struct, frozen=True):
    """How an order is taxed. `included`: the prices have the tax in them; else it comes on top."""

    rate_bp: int
    included: bool


def tax_for(rates: Sequence[TaxRate], country: str, *, included: bool) -> Tax:
    """The tax on what goes to `country`."""
    return Tax(next((one.rate_bp for one in rates if one.country == country), 0), included)


def tax_of(amount_minor: int, tax: Tax, step_minor: int = 1) -> int:
    """How much of the amount is tax, or comes on top of it: to the nearest minor unit, and what comes on top to the
    nearest step of the currency, so that the total can be charged. Halves are rounded up.
    """
    assert amount_minor >= 0, amount_minor
    assert 0 <= tax.rate_bp <= RATE_BP_MAX, tax.rate_bp
    parts = WHOLE_BP + tax.rate_bp if tax.included else WHOLE_BP * step_minor
    nearest = (2 * amount_minor * tax.rate_bp + parts) // (2 * parts)
    return nearest if tax.included else nearest * step_minor
