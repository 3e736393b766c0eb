"""What a coupon takes off, which of its rules stands in the way, and how its discount is shared out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from app.checkout.coupon_rules import (
    Audience,
    Code,
    Coupon,
    discount_of,
    judge_coupon,
    split_discount,
    split_in_steps,
)
from app.money import AMOUNT_MINOR_MAX, step

TEN = Coupon(id="c", code="TEN", percent_off=10)
AMOUNTS = st.integers(1, AMOUNT_MINOR_MAX)


@pytest.mark.parametrize(
    ("coupon", "goods", "discount"),
    [
        (TEN, 1000, 100),
        (TEN, 999, 100),  # 99.9: rounded up, in the buyer's favour
        (TEN, 1, 0),  # something is left to pay
        (structs.replace(TEN, cap_minor=50), 1000, 50),
        (structs.replace(TEN, cap_minor=50), 400, 40),
        (structs.replace(TEN, percent_off=99), 100, 99),
        (structs.replace(TEN, percent_off=99), 50, 49),
        (Coupon(id="c", code="FIVE", amount_minor=500), 1200, 500),
        (Coupon(id="c", code="FIVE", amount_minor=500), 500, 499),
        (Coupon(id="c", code="FIVE", amount_minor=500), 3, 2),
        (Coupon(id="c", code="FIVE", amount_minor=500), 0, 0),
    ],
)
def test_what_it_takes_off(coupon, goods, discount):
    assert discount_of(coupon, goods) == discount


@given(AMOUNTS, st.integers(1, 99), st.one_of(st.none(), AMOUNTS))
def test_a_percentage_is_capped_never_negative_and_leaves_something_to_pay(goods, percent, cap):
    discount = discount_of(structs.replace(TEN, percent_off=percent, cap_minor=cap), goods)
    assert 0 <= discount < goods
    assert cap is None or discount <= cap
    assert discount <= goods * percent / 100 + 1


@pytest.mark.parametrize(
    ("change", "goods", "show", "code"),
    [
        ({}, 1, "", None),
        ({"is_early": True}, 1, "", "coupon_early"),
        ({"is_over": True}, 1, "", "coupon_expired"),
        ({"show_id": "tonight"}, 1, "tonight", None),
        ({"show_id": "tonight"}, 1, "", "coupon_show"),
        ({"show_id": "tonight"}, 1, "tomorrow", "coupon_show"),
        ({"audience": Audience.FIRST_TIME}, 1, "", None),
        ({"audience": Audience.FIRST_TIME, "has_bought": True}, 1, "", "coupon_audience"),
        ({"has_bought": True, "used_by_buyer": True}, 1, "", None),
        ({"once_per_buyer": True, "used_by_buyer": True}, 1, "", "coupon_used"),
        ({"uses_max": 3, "used": 2}, 1, "", None),
        ({"uses_max": 3, "used": 3}, 1, "", "coupon_used_up"),
        ({"minimum_minor": 500}, 500, "", None),
        ({"minimum_minor": 500}, 499, "", "coupon_minimum"),
        ({"minimum_minor": 500, "is_over": True}, 499, "", "coupon_expired"),
    ],
)
def test_the_rule_that_stands_in_the_way_is_named(change, goods, show, code):
    refusal = judge_coupon(structs.replace(TEN, **change), goods_minor=goods, show=show)
    assert (refusal and refusal.code) == code
    if code == "coupon_minimum":
        assert refusal.details == {"minimum_minor": 500, "short_minor": 1}


LINES = st.lists(st.integers(0, 10**11), min_size=1, max_size=10).filter(any)


@given(LINES, st.floats(0, 1))
def test_the_shares_of_a_discount_add_up_and_none_is_more_than_its_line(worths, part):
    discount = int(sum(worths) * part)
    shares = split_discount(discount, worths)
    assert sum(shares) == discount
    assert all(0 <= share <= worth for share, worth in zip(shares, worths, strict=True))
    exact = [discount * worth / sum(worths) for worth in worths]
    assert all(abs(share - fair) < 1.001 for share, fair in zip(shares, exact, strict=True))


@given(LINES, st.floats(0, 1))
def test_what_is_left_of_the_lines_is_what_is_left_of_the_whole(worths, part):
    """Refunds by line come to exactly what was paid for the goods."""
    discount = int(sum(worths) * part)
    shares = split_discount(discount, worths)
    assert sum(worth - share for worth, share in zip(worths, shares, strict=True)) == sum(worths) - discount


@pytest.mark.parametrize(
    ("discount", "worths", "shares"),
    [
        (100, [100, 100, 100], [34, 33, 33]),
        (10, [999, 1], [10, 0]),
        (1, [5, 5], [1, 0]),
        (0, [5, 5], [0, 0]),
        (7, [0, 7], [0, 7]),
        (5, [300, 200, 500], [2, 1, 2]),  # 1.5, 1, 2.5: the first of equal losses
    ],
)
def test_the_largest_remainder_gets_what_is_left(discount, worths, shares):
    assert split_discount(discount, worths) == shares


@pytest.mark.parametrize(("goods", "discount"), [(12_350, 1_240), (10, 0), (20, 10), (0, 0)])
def test_thousandths_are_taken_off_in_tens(goods, discount):
    ten_percent = structs.replace(TEN, percent_off=10, cap_minor=None, amount_minor=None, step_minor=step("KWD"))
    assert discount_of(ten_percent, goods) == discount


def test_each_line_of_thousandths_has_a_share_that_can_be_refunded():
    assert split_in_steps(1_240, [5_000, 7_350], step("KWD")) == [500, 740]
    assert split_in_steps(1_240, [5_001, 7_350], step("KWD")) == split_discount(1_240, [5_001, 7_350])


@pytest.mark.parametrize("code", ["TEN", "ten-2", "4EVER", "A-1", "X" * 24])
def test_a_code_has_letters_digits_and_dashes(code):
    assert re.search(_pattern(), code)


@pytest.mark.parametrize("code", ["4242424242424242", "10%", "A B", "", "ÄÖÜ", "A\x00B", "a;b", "--1"])
def test_what_is_no_code_is_none(code):
    assert not re.fullmatch(_pattern().removeprefix("^").removesuffix("$"), code)


def _pattern() -> str:
    return Code.__metadata__[0].pattern
