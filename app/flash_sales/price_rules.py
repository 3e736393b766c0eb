"""Which price counts for one unit: live flash sale, campaign, product discount, list, in this order.

Values in, values out. Percentages are rounded down to a step of the currency, in the buyer's favour, and no price is
below one (`app.money.percent_off`). Campaigns do not add up: of those that are on, the one that takes most off counts.
"""

from collections.abc import Sequence

import msgspec

from app.money import percent_off


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Something that lowers a list price from `starts_at_ms` to just before `ends_at_ms`, Unix time; None: no edge.

    Exactly one of `percent` (1..99) and `amount_minor` is there.
    """

    percent: int | None = None
    amount_minor: int | None = None
    starts_at_ms: int | None = None
    ends_at_ms: int | None = None
    name: str = ""


class PriceSources(msgspec.Struct, frozen=True, kw_only=True):
    """Every price that could apply to one unit of a variant, in minor units; None where there is none."""

    list_minor: int
    flash_sale_minor: int | None = None
    campaign_minor: int | None = None
    discount_minor: int | None = None


def price_to_pay(prices: PriceSources) -> int:
    """The first that exists of flash sale, campaign, product discount, list. Lower ones never undercut it."""
    for price in (prices.flash_sale_minor, prices.campaign_minor, prices.discount_minor):
        if price is not None:
            return price
    return prices.list_minor


def is_on(cut: Cut, now_ms: int) -> bool:
    """True from the first millisecond of its window to the last."""
    begun = cut.starts_at_ms is None or cut.starts_at_ms <= now_ms
    return begun and (cut.ends_at_ms is None or now_ms < cut.ends_at_ms)


def cut_price(cut: Cut, list_minor: int, step_minor: int = 1) -> int:
    """What is left of the list price, in minor units, never below a step of its currency."""
    if cut.percent is not None:
        return percent_off(list_minor, cut.percent, step_minor)
    return max(step_minor, list_minor - (cut.amount_minor or 0))


def campaign_on(campaigns: Sequence[Cut], now_ms: int) -> Cut | None:
    """The campaign that counts: of those that are on the one with most percent, of equal ones the first."""
    on = [one for one in campaigns if is_on(one, now_ms)]
    return max(on, key=lambda one: one.percent or 0, default=None)


def ordinary_sources(
    *, list_minor: int, discount: Cut | None, campaigns: Sequence[Cut], now_ms: int, step_minor: int = 1
) -> tuple[PriceSources, str]:
    """The prices of ordinary stock at `now_ms`, and the name of the campaign among them ("" for none)."""
    campaign = campaign_on(campaigns, now_ms)
    on_discount = discount is not None and is_on(discount, now_ms)
    sources = PriceSources(
        list_minor=list_minor,
        campaign_minor=None if campaign is None else cut_price(campaign, list_minor, step_minor),
        discount_minor=cut_price(discount, list_minor, step_minor) if discount is not None and on_discount else None,
    )
    return sources, "" if campaign is None else campaign.name
