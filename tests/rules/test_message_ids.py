"""A message's id is made from its command's, so that a retry names the same message."""

from hypothesis import given
from hypothesis import strategies as st

from app.chat.message_rules import PERIOD_MS, message_ids
from app.rooms.bus import ONCE_TTL_MS

WORD = st.text(max_size=8)


@given(WORD, WORD, WORD, st.integers(0, 2**45), st.integers(0, PERIOD_MS))
def test_a_retry_within_a_period_has_the_first_id_as_its_own_or_its_former_one(show, person, key, now_ms, later_ms):
    first, _ = message_ids(show, person, key, now_ms)
    assert first in message_ids(show, person, key, now_ms + later_ms)


@given(WORD, WORD, WORD, st.integers(0, 2**45))
def test_a_key_that_is_used_again_when_nobody_knows_it_any_more_makes_another_message(show, person, key, now_ms):
    first, _ = message_ids(show, person, key, now_ms)
    assert first not in message_ids(show, person, key, now_ms + ONCE_TTL_MS)


@given(st.lists(st.tuples(WORD, WORD, WORD), min_size=2, max_size=2, unique=True))
def test_nobody_elses_command_has_the_same_id(two):
    assert len({message_ids(*one, 0)[0] for one in two}) == 2


def test_half_a_character_is_a_key_too():
    assert message_ids("s", "p", "\ud800", 0) != message_ids("s", "p", "\ud801", 0)
