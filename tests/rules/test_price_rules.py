"""Which price counts, when, and how it is rounded: tables of cases."""

import pytest

from app.catalog.actions import discount_fits
from app.catalog.views import Discount
from app.flash_sales.price_rules import Cut, PriceSources, campaign_on, cut_price, is_on, ordinary_sources, price_to_pay
from app.money import percent_off, step

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("prices", "price"),
    [
        ({}, 1000),
        ({"discount_minor": 900}, 900),
        ({"campaign_minor": 950, "discount_minor": 900}, 950),
        ({"flash_sale_minor": 960, "campaign_minor": 950, "discount_minor": 900}, 960),
        ({"flash_sale_minor": 960, "discount_minor": 900}, 960),
        ({"flash_sale_minor": 960}, 960),
        ({"campaign_minor": 950}, 950),
    ],
)
def test_the_first_price_that_exists_counts_even_when_a_later_one_is_lower(prices, price):
    assert price_to_pay(PriceSources(list_minor=1000, **prices)) == price


@pytest.mark.parametrize(
    ("list_minor", "percent", "price"),
    [(1000, 25, 750), (999, 50, 499), (199, 33, 133), (1, 1, 1), (1, 99, 1), (10, 99, 1), (10**12, 1, 99 * 10**10)],
)
def test_a_percentage_is_rounded_down_for_the_buyer_and_never_below_one(list_minor, percent, price):
    assert percent_off(list_minor, percent) == price
    assert cut_price(Cut(percent=percent), list_minor) == price


@pytest.mark.parametrize(("list_minor", "percent", "price"), [(12_350, 33, 8_270), (10, 99, 10), (20, 1, 10)])
def test_a_percentage_of_thousandths_leaves_tens_of_them(list_minor, percent, price):
    assert percent_off(list_minor, percent, step("KWD")) == price
    assert cut_price(Cut(percent=percent), list_minor, step("KWD")) == price
    assert cut_price(Cut(amount_minor=list_minor), list_minor, step("KWD")) == step("KWD")


@pytest.mark.parametrize(("off", "price"), [(1, 999), (999, 1), (1000, 1), (5000, 1)])
def test_an_amount_off_leaves_at_least_one(off, price):
    assert cut_price(Cut(amount_minor=off), 1000) == price


@pytest.mark.parametrize(
    ("window", "on"),
    [
        ((None, None), True),
        ((NOW, None), True),
        ((NOW + 1, None), False),
        ((None, NOW), False),
        ((None, NOW + 1), True),
        ((NOW, NOW + 1), True),
        ((NOW - 2, NOW), False),
    ],
)
def test_a_price_counts_from_its_start_to_just_before_its_end(window, on):
    starts, ends = window
    assert is_on(Cut(percent=10, starts_at_ms=starts, ends_at_ms=ends), NOW) is on


def campaign(name, percent, starts_in=-1, ends_in=1):
    return Cut(name=name, percent=percent, starts_at_ms=NOW + starts_in, ends_at_ms=NOW + ends_in)


@pytest.mark.parametrize(
    ("campaigns", "name"),
    [
        ([], None),
        ([campaign("a", 10)], "a"),
        ([campaign("a", 10), campaign("b", 20)], "b"),
        ([campaign("a", 20), campaign("b", 20)], "a"),
        ([campaign("a", 10), campaign("b", 20, ends_in=0)], "a"),
        ([campaign("a", 10, starts_in=1)], None),
    ],
)
def test_of_the_campaigns_that_are_on_the_largest_counts_alone(campaigns, name):
    found = campaign_on(campaigns, NOW)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("discount", "campaigns", "price", "name"),
    [
        (None, [], 1000, ""),
        (Cut(percent=30), [], 700, ""),
        (Cut(amount_minor=1), [], 999, ""),
        (Cut(percent=30), [campaign("week", 10)], 900, "week"),
        (Cut(percent=30), [campaign("week", 10, starts_in=1)], 700, ""),
        (Cut(percent=30, ends_at_ms=NOW), [], 1000, ""),
    ],
)
def test_ordinary_stock_costs_what_the_campaign_says_else_the_discount_else_the_list(discount, campaigns, price, name):
    sources, said = ordinary_sources(list_minor=1000, discount=discount, campaigns=campaigns, now_ms=NOW)
    assert (price_to_pay(sources), said) == (price, name)


@pytest.mark.parametrize(
    ("off", "fits"),
    [
        (None, True),
        (Discount(percent=10), True),
        (Discount(amount_minor=999), True),
        (Discount(amount_minor=1000), False),
        (Discount(), False),
        (Discount(percent=10, amount_minor=10), False),
        (Discount(percent=10, starts_at_ms=5, ends_at_ms=6), True),
        (Discount(percent=10, starts_at_ms=5, ends_at_ms=5), False),
    ],
)
def test_a_discount_is_one_thing_leaves_a_price_and_ends_after_it_starts(off, fits):
    assert discount_fits(off, 1000) is fits
