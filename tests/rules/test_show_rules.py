"""The life of a show, pair by pair."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.streams.show_rules import TRANSITIONS, IllegalShowAct, ShowAct, ShowState, may_be_planned, next_state

PAIRS = [(state, act) for state in ShowState for act in ShowAct]


@pytest.mark.parametrize(("state", "act"), PAIRS)
def test_a_pair_is_in_the_table_or_raises_the_one_error(state: ShowState, act: ShowAct):
    if (state, act) in TRANSITIONS:
        assert next_state(state, act) is TRANSITIONS[state, act]
        return
    with pytest.raises(IllegalShowAct) as illegal:
        next_state(state, act)
    assert (illegal.value.state, illegal.value.act) == (state, act)


@given(st.lists(st.sampled_from(list(ShowAct))))
def test_an_ended_show_stays_ended_and_none_goes_back_to_scheduled(acts: list[ShowAct]):
    state = ShowState.SCHEDULED
    for act in acts:
        before = state
        try:
            state = next_state(state, act)
        except IllegalShowAct:
            state = before
        assert before is not ShowState.ENDED or state is ShowState.ENDED
        assert before is ShowState.SCHEDULED or state is not ShowState.SCHEDULED


def test_every_state_but_the_last_can_end():
    assert all((state, ShowAct.END) in TRANSITIONS for state in ShowState if state is not ShowState.ENDED)


@pytest.mark.parametrize(("days", "fits"), [(0, True), (700, True), (740, False), (-2, False)])
def test_a_show_is_planned_for_the_near_future(days: int, fits: bool):
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert may_be_planned(now + timedelta(days=days), now) is fits


def test_the_ends_of_time_are_no_plan_and_no_overflow():
    now = datetime(2026, 11, 21, tzinfo=UTC)
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert not may_be_planned(datetime.fromisoformat(moment), now)
