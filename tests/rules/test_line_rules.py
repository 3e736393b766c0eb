"""Places in line: which changes are possible, how many are served, how long it takes; and what a network is."""

import pytest

from app.flash_sales.address_rules import default_limit, network_of
from app.flash_sales.line_rules import (
    ENTRY_TRANSITIONS,
    LIVE_STATES,
    SERVED_AT_ONCE_MAX,
    EntryEvent,
    EntryState,
    IllegalEntryChange,
    change_entry,
    expected_wait_ms,
    pace_ms,
    states_before,
    to_serve,
)


@pytest.mark.parametrize("state", EntryState)
@pytest.mark.parametrize("event", EntryEvent)
def test_every_pair_of_state_and_event_is_in_the_table_or_refused_by_name(state, event):
    if (state, event) in ENTRY_TRANSITIONS:
        assert change_entry(state, event) is ENTRY_TRANSITIONS[state, event]
        assert state in states_before(event)
    else:
        with pytest.raises(IllegalEntryChange, match=f"{event} is not possible in state {state}"):
            change_entry(state, event)


def test_only_a_failed_payment_leads_back_from_the_end():
    ended = {pair for pair in ENTRY_TRANSITIONS if pair[0] not in LIVE_STATES}
    assert ended == {(EntryState.SERVED, EntryEvent.BRING_BACK)}


@pytest.mark.parametrize(
    ("left", "admitted", "served"),
    [(0, 0, 0), (3, 0, 3), (3, 2, 1), (3, 4, 0), (-1, 0, 0), (10**6, 0, SERVED_AT_ONCE_MAX)],
)
def test_as_many_are_served_as_units_are_free_and_not_promised(left, admitted, served):
    assert to_serve(left=left, admitted=admitted) == served


@pytest.mark.parametrize(
    ("ahead", "served", "window_ms", "wait_ms"),
    [
        (0, 60, 60_000, 1000),
        (9, 60, 60_000, 10_000),
        (9, 0, 60_000, None),
        (None, 60, 60_000, None),
        (1, 10, 5000, 2000),
        (9, 120, 600_000, 5000),
    ],
)
def test_the_wait_is_the_pace_times_the_people_before_and_oneself(ahead, served, window_ms, wait_ms):
    assert expected_wait_ms(ahead, pace_ms(served=served, window_ms=window_ms)) == wait_ms


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_a_network_is_a_24_or_a_64_and_loopback_is_none(address, network):
    assert network_of(address) == network


def test_a_network_may_have_what_twenty_buyers_may_or_a_tenth_of_the_sale():
    assert default_limit(allotment=100, per_buyer_limit=2) == 40
    assert default_limit(allotment=5000, per_buyer_limit=2) == 500
    assert default_limit(allotment=40, per_buyer_limit=2) == 0
