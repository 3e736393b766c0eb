"""The states of orders and payment attempts."""

import pytest

from app.checkout.order_rules import (
    ATTEMPT_TRANSITIONS,
    ORDER_TRANSITIONS,
    AttemptEvent,
    AttemptState,
    IllegalChange,
    OrderEvent,
    OrderState,
    change_attempt,
    change_order,
    states_before,
)


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("event", OrderEvent)
def test_an_order_changes_by_its_table_alone(state, event):
    if (state, event) in ORDER_TRANSITIONS:
        assert change_order(state, event) is ORDER_TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalChange):
            change_order(state, event)


@pytest.mark.parametrize("state", AttemptState)
@pytest.mark.parametrize("event", AttemptEvent)
def test_an_attempt_changes_by_its_table_alone(state, event):
    if (state, event) in ATTEMPT_TRANSITIONS:
        assert change_attempt(state, event) is ATTEMPT_TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalChange):
            change_attempt(state, event)


def test_money_that_is_given_up_is_never_captured():
    lost = {AttemptState.DECLINED, AttemptState.VOIDING, AttemptState.VOIDED, AttemptState.CAPTURE_REFUSED}
    reached = {after for (before, _), after in ATTEMPT_TRANSITIONS.items() if before in lost}
    assert reached <= lost
    assert states_before(AttemptEvent.COMMIT) == states_before(AttemptEvent.GIVE_UP) == ["started", "authorised"]
