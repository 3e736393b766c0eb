"""A sale's states, what the clock brings about, and which price counts."""

import pytest

from app.flash_sales.sale_rules import (
    COUNTDOWN_MAX_MS,
    OPEN_STATES,
    TRANSITIONS,
    IllegalSaleChange,
    PriceSources,
    SaleEvent,
    SaleState,
    change_sale,
    event_due,
    pool_status,
    price_to_pay,
)
from app.flash_sales.sales import CreateSale, sale_price

START, END = 1_000_000, 2_000_000


@pytest.mark.parametrize("state", SaleState)
@pytest.mark.parametrize("event", SaleEvent)
def test_every_pair_of_state_and_event_is_in_the_table_or_refused_by_name(state, event):
    if (state, event) in TRANSITIONS:
        assert change_sale(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalSaleChange, match=f"{event} is not possible in state {state}"):
            change_sale(state, event)


def test_nothing_leaves_ended_or_cancelled():
    assert {state for state, _ in TRANSITIONS} == OPEN_STATES


@pytest.mark.parametrize(
    ("state", "now_ms", "sold", "event"),
    [
        ("scheduled", START - COUNTDOWN_MAX_MS - 1, 0, None),
        ("scheduled", START - COUNTDOWN_MAX_MS, 0, "count_down"),
        ("scheduled", START, 0, "start"),
        ("countdown", START - 1, 0, None),
        ("countdown", START, 0, "start"),
        ("running", END - 1, 9, None),
        ("running", END - 1, 10, "sell_out"),
        ("running", END, 10, "end"),
        ("sold_out", END - 1, 10, None),
        ("sold_out", END - 1, 9, "restock"),
        ("sold_out", END, 9, "end"),
        ("ended", END, 0, None),
        ("cancelled", END, 0, None),
    ],
)
def test_the_clock_and_the_stock_move_a_sale(state, now_ms, sold, event):
    due = event_due(SaleState(state), now_ms=now_ms, starts_at_ms=START, ends_at_ms=END, allotment=10, sold=sold)
    assert due == event


@pytest.mark.parametrize("state", OPEN_STATES)
@pytest.mark.parametrize("sold", [0, 10])
def test_what_is_due_is_always_legal_and_comes_to_rest(state, sold):
    for now_ms in (0, START - 1, START, END - 1, END):
        at = state
        for _ in range(5):
            event = event_due(at, now_ms=now_ms, starts_at_ms=START, ends_at_ms=END, allotment=10, sold=sold)
            if event is None:
                break
            at = change_sale(at, event)
        assert event is None


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
    ("given", "price"),
    [
        ({"price_minor": 600}, 600),
        ({"percent_off": 25}, 750),
        ({"price_minor": 1000}, None),
        ({"price_minor": 1001}, None),
        ({}, None),
        ({"price_minor": 600, "percent_off": 25}, None),
    ],
)
def test_a_sale_has_one_price_below_the_list_price(given, price):
    wanted = CreateSale(variant="v", allotment=1, per_buyer_limit=1, duration_s=30, **given)
    assert sale_price(wanted, 1000) == price


@pytest.mark.parametrize(
    ("left", "held", "status"), [(1, 0, "open"), (1, 5, "open"), (0, 1, "all_held"), (0, 0, "sold_out")]
)
def test_sold_out_is_said_only_when_nothing_may_come_back(left, held, status):
    assert pool_status(left=left, held=held) == status
