"""How many payments may be declined before somebody waits, and how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checkout.decline_rules import (
    FEW_IN_S,
    MANY_IN_S,
    NEW_FOR_S,
    SOON_MS,
    Buyer,
    Kind,
    Repute,
    Try,
    allowance,
    buyer_of,
    free_tries,
    is_shared,
    newcomers_wait_ms,
    refusal_of,
    repute_of,
    tries_read,
    wait_ms,
)

MINUTE = 60


def declined(*ages_s: float) -> list[Try]:
    return [Try(age_s, declined=True) for age_s in ages_s]


def undecided(count: int, age_s: float = 1) -> list[Try]:
    return [Try(age_s, declined=False)] * count


@pytest.mark.parametrize(
    ("kind", "tries", "waits_s"),
    [
        (Kind.ACCOUNT, [], 0),
        (Kind.ACCOUNT, declined(*range(9)), 0),
        (Kind.ACCOUNT, declined(*[0] * 10), FEW_IN_S),
        (Kind.ACCOUNT, declined(*range(9), 5 * MINUTE), 10 * MINUTE),
        (Kind.ACCOUNT, declined(*range(9), FEW_IN_S), 0),  # the tenth counts no more
        (Kind.ACCOUNT, declined(*range(10), *range(300, 330)), MANY_IN_S - 314),  # 25 in a day
        (Kind.ACCOUNT, declined(*range(1000, 1024)), 0),
        (Kind.ACCOUNT, declined(*range(1000, 1025)), MANY_IN_S - 1024),
        (Kind.ACCOUNT, declined(*range(MANY_IN_S - 24, MANY_IN_S + 1)), 0),
        (Kind.ACCOUNT, undecided(9), 0),
        (Kind.ACCOUNT, undecided(10), SOON_MS / 1000),
        (Kind.ACCOUNT, [*declined(*range(9)), *undecided(1)], SOON_MS / 1000),
        (Kind.ACCOUNT, undecided(50, age_s=11 * MINUTE), 0),  # left behind by a crash
        (Kind.CARD, declined(*[0] * 4), 0),
        (Kind.CARD, declined(*[0] * 5), FEW_IN_S),
    ],
)
def test_who_waits_and_how_long(kind, tries, waits_s):
    assert wait_ms(kind, tries, 10) == waits_s * 1000


@pytest.mark.parametrize(
    ("late", "a_day", "undecided", "repute", "left"),
    [
        (0, 0, 0, Repute.CALM, 10),
        (99, 249, 399, Repute.CALM, 10),  # an office that presses together when a sale begins
        (100, 100, 0, Repute.SUSPECT, 2),
        (0, 250, 0, Repute.SUSPECT, 2),
        (0, 0, 400, Repute.SUSPECT, 2),
        (999, 2499, 10_000, Repute.SUSPECT, 2),
        (1000, 1000, 0, Repute.OVERRUN, 1),
        (0, 2500, 0, Repute.OVERRUN, 1),
    ],
)
def test_what_others_do_in_a_network_only_lessens_how_often_one_may_fail_there(late, a_day, undecided, repute, left):
    """It made everybody there wait, for up to a day: who brought 25 accounts kept a mobile carrier's buyers out."""
    assert repute_of(late, a_day, undecided, 10) is repute
    for buyer in (Buyer.PASSING, Buyer.NEW):
        assert allowance(10, repute, buyer) == left
        assert allowance(1, repute, buyer) == 1
    assert allowance(10, repute, Buyer.KNOWN) == 10
    assert tries_read(Kind.NETWORK, 10) >= 2500
    assert wait_ms(Kind.ACCOUNT, [], left) == 0  # whoever has not failed does not wait
    assert wait_ms(Kind.ACCOUNT, declined(*[0] * (left - 1)), left) == 0
    assert wait_ms(Kind.ACCOUNT, declined(*[0] * left), left) == FEW_IN_S * 1000


@pytest.mark.parametrize(
    ("known", "age_s", "paid", "buyer"),
    [
        (False, 0, False, Buyer.NEW),
        (False, NEW_FOR_S - 1, False, Buyer.NEW),
        (False, NEW_FOR_S, False, Buyer.PASSING),
        (False, 0, True, Buyer.PASSING),  # a card that works was charged for it
        (True, 0, False, Buyer.KNOWN),
        (True, NEW_FOR_S, True, Buyer.KNOWN),
    ],
)
def test_only_who_is_new_waits_for_others_and_only_in_an_overrun_network(known, age_s, paid, buyer):
    assert buyer_of(known=known, age_s=age_s, paid=paid) is buyer
    shared = {repute for repute in Repute if is_shared(repute, buyer)}
    assert shared == ({Repute.OVERRUN} if buyer is Buyer.NEW else set())


@pytest.mark.parametrize(
    ("tries", "waits_s"),
    [
        ([], 0),
        (declined(*[0] * 99), 0),
        (declined(*[0] * 100), FEW_IN_S),
        (declined(*range(99), 5 * MINUTE), 10 * MINUTE),
        (declined(*range(99), *range(FEW_IN_S, FEW_IN_S + 2000)), 0),  # a day of it keeps nobody out for a day
        ([*declined(*[0] * 99), *undecided(1)], SOON_MS / 1000),
        (undecided(99), 0),
        (undecided(100), SOON_MS / 1000),
        (undecided(100, age_s=11 * MINUTE), 0),
    ],
)
def test_all_who_are_new_in_an_overrun_network_share_what_would_make_it_suspect(tries, waits_s):
    """Each of them had one: as many cards were tried as accounts were made."""
    assert newcomers_wait_ms(tries, 10) == waits_s * 1000


@given(
    st.sampled_from([Kind.ACCOUNT, Kind.CARD]), st.integers(1, 50), st.lists(st.floats(0, MANY_IN_S + 10), max_size=150)
)
def test_after_the_wait_one_may_try_again_and_no_wait_is_longer_than_a_day(kind, account_max, ages_s):
    tries = declined(*ages_s)
    waits_ms = wait_ms(kind, tries, account_max)
    assert 0 <= waits_ms <= MANY_IN_S * 1000
    later = [Try(one.age_s + waits_ms / 1000 + 0.001, declined=True) for one in tries]
    assert wait_ms(kind, later, account_max) == 0
    few, many = free_tries(kind, account_max)
    assert 1 <= few[0] <= many[0]


@pytest.mark.parametrize(
    ("waits_ms", "words"), [(1, "in a moment"), (59_000, "in a minute"), (60_001, "in 2 minutes"), (900_000, "in 15")]
)
def test_the_buyer_is_told_when(waits_ms, words):
    refused = refusal_of(Kind.CARD, waits_ms)
    assert (refused.code, refused.retry_after_ms) == ("too_many_declines", waits_ms)
    assert words in refused.message
    assert "of new buyers in your network" in refusal_of(Kind.NETWORK, 60_000).message
