"""A sale's states, what the clock brings about, and which price counts."""

import pytest

from app.flash_sales.sale_rules import (
    AHEAD_MAX_MS,
    OPEN_STATES,
    TRANSITIONS,
    IllegalSaleChange,
    SaleEvent,
    SaleState,
    change_sale,
    end_after,
    event_due,
    pool_status,
    state_at_birth,
    window_after,
)
from app.flash_sales.sales import CreateSale, sale_price, sale_times
from app.refusal import Refusal

START, END, COUNTDOWN = 1_000_000, 2_000_000, 60_000
NOW = 5_000_000
WINDOW = {"starts_at_ms": START, "ends_at_ms": END, "countdown_ms": COUNTDOWN, "allotment": 10}


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
        ("scheduled", START - COUNTDOWN - 1, 0, None),
        ("scheduled", START - COUNTDOWN, 0, "count_down"),
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
    due = event_due(SaleState(state), now_ms=now_ms, sold=sold, **WINDOW)
    assert due == event


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
@pytest.mark.parametrize("sold", [0, 10])
def test_what_is_due_is_always_legal_and_comes_to_rest(state, sold):
    for now_ms in (0, START - 1, START, END - 1, END):
        at = state
        for _ in range(5):
            event = event_due(at, now_ms=now_ms, sold=sold, **WINDOW)
            if event is None:
                break
            at = change_sale(at, event)
        assert event is None


@pytest.mark.parametrize(
    ("now_ms", "state"),
    [
        (START - COUNTDOWN - 1, "scheduled"),
        (START - COUNTDOWN, "countdown"),
        (START - 1, "countdown"),
        (START, "running"),
    ],
)
def test_a_new_sale_is_born_in_the_state_that_its_times_say(now_ms, state):
    assert state_at_birth(now_ms=now_ms, starts_at_ms=START, countdown_ms=COUNTDOWN) == state


@pytest.mark.parametrize(
    ("event", "now_ms", "window"),
    [
        ("start", START - 500, (START - 500, END - 500)),
        ("start", START + 80, (START, END)),
        ("count_down", START - 500, (START, END)),
        ("sell_out", START + 80, (START, END)),
        ("end", END - 300, (START, END - 300)),
        ("end", END + 300, (START, END)),
        ("cancel", START - 500, (START, START + 1)),
    ],
)
def test_an_early_start_keeps_the_length_and_an_early_end_is_the_end(event, now_ms, window):
    assert window_after(SaleEvent(event), now_ms=now_ms, starts_at_ms=START, ends_at_ms=END) == window


def test_a_sale_grows_up_to_twenty_minutes():
    assert end_after(starts_at_ms=START, ends_at_ms=END, by_ms=200_000) == END + 200_000
    assert end_after(starts_at_ms=START, ends_at_ms=END, by_ms=200_001) is None


@pytest.mark.parametrize(
    ("wanted", "times"),
    [
        ({}, (NOW, 0)),
        ({"countdown_s": 10}, (NOW + 10_000, 10)),
        ({"countdown_s": 300}, (NOW + 300_000, 300)),
        ({"countdown_s": 9}, "malformed"),
        ({"starts_at_ms": NOW + 1}, (NOW + 1, 60)),
        ({"starts_at_ms": NOW + 3_600_000, "countdown_s": 300}, (NOW + 3_600_000, 300)),
        ({"starts_at_ms": NOW + 3_600_000, "countdown_s": 0}, (NOW + 3_600_000, 0)),
        ({"starts_at_ms": NOW}, "malformed"),
        ({"starts_at_ms": NOW + AHEAD_MAX_MS + 1}, "malformed"),
    ],
)
def test_a_sale_starts_now_after_a_countdown_or_at_a_time_within_a_week(wanted, times):
    body = CreateSale(variant="v", allotment=1, per_buyer_limit=1, duration_s=30, price_minor=1, **wanted)
    found = sale_times(body, NOW)
    assert (found.code if isinstance(found, Refusal) else found) == times


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
    found = sale_price(wanted, 1000, "EUR")
    assert (None if isinstance(found, Refusal) else found) == price


@pytest.mark.parametrize(
    ("given", "price"),
    [({"price_minor": 8_640}, 8_640), ({"price_minor": 8_645}, "price_invalid"), ({"percent_off": 33}, 8_270)],
)
def test_a_price_in_thousandths_is_one_that_a_card_can_pay(given, price):
    wanted = CreateSale(variant="v", allotment=1, per_buyer_limit=1, duration_s=30, **given)
    found = sale_price(wanted, 12_350, "KWD")
    assert (found.code if isinstance(found, Refusal) else found) == price


@pytest.mark.parametrize(
    ("left", "held", "status"), [(1, 0, "open"), (1, 5, "open"), (0, 1, "all_held"), (0, 0, "sold_out")]
)
def test_sold_out_is_said_only_when_nothing_may_come_back(left, held, status):
    assert pool_status(left=left, held=held) == status
