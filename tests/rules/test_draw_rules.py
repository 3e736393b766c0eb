"""The waiting room's draw: the order is the seed's, and anybody can see whether it is."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flash_sales.draw_rules import commitment_of, crowd_of, draw_fault, draw_order

SEED = bytes(range(32))
ENTRIES = ["ana", "ben", "cleo", "dan", "eve"]
# Worked out by hand from the description at the top of draw_rules.py, with sha256sum.
ORDER = ["ben", "cleo", "dan", "eve", "ana"]
COMMITMENT = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"
CROWD = "4521cf53db209852636669ad9580cb08bd6236f17f56effd243577c846c3bd36"


def test_the_order_and_the_commitment_are_those_of_the_description():
    assert commitment_of(SEED) == COMMITMENT
    assert draw_order(SEED, ENTRIES) == ORDER
    assert crowd_of(ORDER).hex() == CROWD


@given(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=30), st.randoms())
def test_the_order_has_everybody_once_and_knows_nothing_of_who_came_when(entries, dice):
    shuffled = list(entries)
    dice.shuffle(shuffled)
    assert draw_order(SEED, shuffled) == draw_order(SEED, entries)
    assert sorted(draw_order(SEED, entries)) == sorted(entries)


def test_everybody_comes_first_about_equally_often():
    first = Counter(draw_order(seed.to_bytes(32), ENTRIES)[0] for seed in range(2000))
    assert all(300 < first[entry] < 500 for entry in ENTRIES), first


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"commitment": COMMITMENT.upper()}, None),
        ({"seed_hex": None}, "still to come"),
        ({"seed_hex": "00"}, "32 bytes"),
        ({"seed_hex": "zz" * 32}, "32 bytes"),
        ({"seed_hex": "00" * 32}, "not the one whose hash"),
        ({"commitment": "00" * 32}, "not the one whose hash"),
        ({"entries": ORDER[::-1]}, "not the one that the seed gives"),
        ({"entries": ORDER[1:]}, "not those whose hash"),
        ({"entries": [*ORDER, ORDER[0]]}, "twice"),
        ({"crowd": CROWD.upper()}, None),
        ({"crowd": None}, None),
        # Somebody was left out, and the others were drawn once more.
        ({"entries": draw_order(SEED, ORDER[1:])}, "not those whose hash"),
        ({"entries": draw_order(SEED, ORDER[1:]), "crowd": None}, None),
    ],
)
def test_a_draw_that_was_tampered_with_is_found_out(changed, fault):
    published = {"commitment": COMMITMENT, "seed_hex": SEED.hex(), "entries": ORDER, "crowd": CROWD} | changed
    found = draw_fault(**published)
    assert (found is None) if fault is None else (fault in (found or "")), found
