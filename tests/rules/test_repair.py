"""Which packets are asked for again, how often, and what the publisher is told of its losses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.streams.relay.limits import LATE_MAX, MISSING_MAX, REPAIR_INTERVAL_S, REPAIR_TRIES_MAX
from app.streams.relay.repair import Gaps, Reception
from app.streams.relay.rewrite import Numbering, Packet


def test_a_gap_is_asked_for_at_once_and_again_after_a_while():
    gaps = Gaps()
    gaps.arrived(10, 0)
    gaps.arrived(13, 0)
    assert gaps.due(0) == [11, 12]
    assert gaps.due(REPAIR_INTERVAL_S / 2) == []
    gaps.arrived(11, 0.01)
    assert gaps.due(REPAIR_INTERVAL_S) == [12]


def test_a_gap_that_never_closes_is_given_up():
    gaps = Gaps()
    gaps.arrived(10, 0)
    gaps.arrived(12, 0)
    asked = [gaps.due(number * REPAIR_INTERVAL_S) for number in range(REPAIR_TRIES_MAX + 5)]
    assert asked.count([11]) == REPAIR_TRIES_MAX
    assert len(gaps) == 0


@pytest.mark.parametrize("behind", [1, LATE_MAX - 1, LATE_MAX, LATE_MAX + 1])
def test_what_is_asked_for_is_what_would_be_taken(behind: int):
    """A fast encoder is too far on before the time is up."""
    gaps, numbering = Gaps(), Numbering(1, 90_000, 0, 0)

    def place(sequence: int) -> int | None:
        return numbering.place(Packet(96, 0, 0, sequence, 0, 2, b""), 0.0)

    gaps.arrived(place(10), 0.0)
    for sequence in range(12, 12 + behind):
        gaps.arrived(place(sequence), 0.0)
    taken = place(11)
    assert gaps.due(0.0) == ([] if taken is None else [taken])
    assert (taken is None) is (behind >= LATE_MAX)


def test_a_hole_too_wide_to_mend_is_left_to_a_key_frame():
    gaps = Gaps()
    gaps.arrived(10, 0)
    gaps.arrived(12, 0)
    gaps.arrived(12 + MISSING_MAX + 1, 0)
    assert gaps.due(0) == []


@given(st.lists(st.integers(0, 2_000), max_size=200))
def test_what_is_missing_is_bounded_and_never_what_came(places: list[int]):
    gaps, came = Gaps(), set()
    for number, place in enumerate(places):
        gaps.arrived(place, number / 100)
        came.add(place)
        assert len(gaps) <= MISSING_MAX
        assert not came & set(gaps.due(number / 100)) or place < max(places[:number], default=0)


def test_a_quarter_lost_is_told_as_a_quarter():
    reception = Reception(90_000)
    for sequence in range(65_500, 65_900):
        if sequence % 4:
            reception.arrived(sequence & 0xFFFF, sequence * 3_000, 1_000, sequence / 30)
    assert 60 <= reception.fraction_lost() <= 68
    assert 98 <= reception.lost <= 101
    assert reception.highest == 65_899
    assert reception.fraction_lost() == 0, "nothing since it was last asked"
    assert reception.jitter == 0


def test_a_stream_that_stutters_has_jitter():
    reception = Reception(90_000)
    for number in range(100):
        reception.arrived(number, number * 3_000, 1_000, number / 30 + (number % 2) * 0.02)
    assert 1_500 < reception.jitter < 1_900, "20 ms are 1,800 units"


def test_the_delay_since_a_sender_report_is_in_its_units():
    reception = Reception(90_000)
    assert reception.delay_since_report(5) == 0
    reception.reported(0x1122334455667788, now_s=5)
    assert reception.report_middle == 0x33445566
    assert reception.delay_since_report(6.5) == 98_304
