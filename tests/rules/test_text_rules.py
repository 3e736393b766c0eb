"""Titles and descriptions that a host writes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.text_rules import clean_description, clean_title
from app.refusal import Refusal


@pytest.mark.parametrize("text", ["", "  ", "a" * 121, "x\u202ey", "x\x00y", "x\u0007", "\ud800", "\u2067x", "\ufeff"])
def test_titles_that_deceive_or_say_nothing_are_refused(text: str):
    assert isinstance(clean_title(text), Refusal)


def test_titles_keep_emoji_with_their_joiners_and_lose_spare_space():
    assert clean_title("  Tea\n pot 👩\u200d🍳 ") == "Tea pot 👩\u200d🍳"


def test_descriptions_keep_their_lines():
    assert clean_description("one\r\n\r\ntwo\tthree ", 100) == "one\n\ntwo three"
    assert clean_description("", 100) == ""
    assert isinstance(clean_description("x" * 101, 100), Refusal)
    assert isinstance(clean_description("x\u202ey", 100), Refusal)


@given(st.text(max_size=200))
def test_a_clean_title_is_normal_and_stays_clean(text: str):
    clean = clean_title(text)
    if not isinstance(clean, Refusal):
        assert unicodedata.is_normalized("NFC", clean)
        assert clean_title(clean) == clean
