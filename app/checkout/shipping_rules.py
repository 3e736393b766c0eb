"""Shipping: a shop's ways to send an order, and what each costs. Integers in, integers out."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from app.checkout.tax_rules import Country
from app.money import AMOUNT_MINOR_MAX

Amount = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class ShippingMethod(Struct, frozen=True, forbid_unknown_fields=True):
    """A way to send an order: a flat price in the shop's currency, nothing from `free_from_minor` on.

    `id` stays the same while the shop changes the rest; no `countries` means everywhere.
    """

    id: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")]
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    price_minor: Amount
    free_from_minor: Amount | None = None
    countries: Annotated[list[Country], Meta(max_length=250)] = []


def price_of(method: ShippingMethod, goods_minor: int) -> int:
    """What sending costs with goods of that worth, after the discount."""
    if method.free_from_minor is not None and goods_minor >= method.free_from_minor:
        return 0
    return method.price_minor


def goes_to(method: ShippingMethod, country: str) -> bool:
    """Whether the method serves the country."""
    return not method.countries or country in method.countries


def method_for(methods: Sequence[ShippingMethod], wanted: str, country: str) -> ShippingMethod | None:
    """The method of that id, if there is one that goes there."""
    return next((one for one in methods if one.id == wanted and goes_to(one, country)), None)
