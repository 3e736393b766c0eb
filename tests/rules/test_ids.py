"""Ids that sort by when they were made."""

import itertools

from app import clock


def test_ids_that_are_made_together_are_as_those_made_one_by_one(monkeypatch):
    made = []
    for moment in (1, 1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_031, 1_700_000_000_032, 2**45 - 1):
        monkeypatch.setattr(clock.time, "time_ns", lambda moment=moment: moment * 1_000_000)
        alone, together = clock.new_ordered_id(), clock.new_ordered_ids(200)
        assert {one[:9] for one in together} == {alone[:9]}
        assert len(set(together)) == 200
        assert {len(one) for one in together} == {16}
        made.append(sorted([alone, *together]))
    assert made == sorted(made)
    assert all(before[-1] < after[0] for before, after in itertools.pairwise(made))


def test_of_ids_that_are_made_together_no_two_are_alike(monkeypatch):
    """Of two payments of one id one was written, and both buyers were told of an order."""
    thrown = [b"12345" * 3 + b"abcde", b"12345" + b"abcde", b"fghij" + b"klmno"]
    monkeypatch.setattr(clock.secrets, "token_bytes", lambda count: thrown.pop(0)[:count])
    assert len(set(clock.new_ordered_ids(4))) == 4
    assert thrown == []


def test_no_ids_are_none():
    assert clock.new_ordered_ids(0) == []
