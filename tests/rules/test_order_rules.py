"""The states of orders and payment attempts, and the decision on a batch of orders."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checkout.order_rules import (
    ATTEMPT_TRANSITIONS,
    ORDER_TRANSITIONS,
    AttemptEvent,
    AttemptState,
    IllegalChange,
    OrderEvent,
    OrderState,
    PoolRow,
    Verdict,
    Wish,
    change_attempt,
    change_order,
    decide,
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


def wish(n: int, pool="p", buyer="ann", quantity=1, state=AttemptState.AUTHORISED) -> Wish:
    return Wish(f"a{n}", state, pool, buyer, quantity)


def test_one_that_does_not_fit_takes_no_room_from_the_next():
    wishes = [wish(1, quantity=2), wish(2, buyer="bob", quantity=2), wish(3, buyer="cy")]
    verdicts = decide(wishes, {"p": PoolRow(3, None, cancelled=False)}, {})
    assert verdicts == [Verdict.COMMIT, Verdict.SOLD_OUT, Verdict.COMMIT]


def test_the_limit_counts_earlier_orders_and_those_of_the_same_batch():
    wishes = [wish(1, quantity=2), wish(2, quantity=2), wish(3), wish(4, buyer="bob", quantity=5)]
    verdicts = decide(wishes, {"p": PoolRow(50, 5, cancelled=False)}, {("p", "ann"): 2})
    assert verdicts == [Verdict.COMMIT, Verdict.OVER_LIMIT, Verdict.COMMIT, Verdict.COMMIT]


def test_a_cancelled_sale_and_an_attempt_that_is_over_give_no_order():
    pools = {"p": PoolRow(5, None, cancelled=True), "q": PoolRow(5, None, cancelled=False)}
    over = [wish(n, "q", state=state) for n, state in enumerate(AttemptState) if state not in {"started", "authorised"}]
    assert decide([wish(99), *over], pools, {}) == [Verdict.CANCELLED, *[Verdict.OVER] * len(over)]


wishes_of = st.lists(
    st.builds(
        Wish,
        attempt=st.uuids().map(str),
        state=st.sampled_from([AttemptState.STARTED, AttemptState.AUTHORISED, AttemptState.COMMITTED]),
        pool=st.sampled_from(["p", "q"]),
        buyer=st.sampled_from(["ann", "bob"]),
        quantity=st.integers(1, 4),
    ),
    max_size=30,
)


@given(wishes=wishes_of, left=st.integers(0, 12), limit=st.none() | st.integers(1, 6), before=st.integers(0, 6))
def test_no_batch_sells_more_than_is_left_or_than_a_buyer_may_have(wishes, left, limit, before):
    pools = {"p": PoolRow(left, limit, cancelled=False), "q": PoolRow(3, None, cancelled=False)}
    bought = {("p", "ann"): before}
    verdicts = decide(wishes, pools, bought)
    sold, counts = Counter(), Counter(bought)
    for one, verdict in zip(wishes, verdicts, strict=True):
        fits = one.quantity + sold[one.pool] <= pools[one.pool].left
        limit_here = pools[one.pool].per_buyer_limit
        allowed = limit_here is None or counts[one.pool, one.buyer] + one.quantity <= limit_here
        is_open = one.state is not AttemptState.COMMITTED
        assert (verdict is Verdict.COMMIT) == (is_open and fits and allowed)
        if verdict is Verdict.COMMIT:
            sold[one.pool] += one.quantity
            counts[one.pool, one.buyer] += one.quantity
    assert all(sold[pool] <= row.left for pool, row in pools.items())
