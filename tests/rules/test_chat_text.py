"""What chat lets through: text that says what it shows."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.moderation_rules import may_delete, may_silence
from app.chat.text_rules import BYTES_MAX, GRAPHEMES_MAX, MARKS_MAX, clean_message, graphemes
from app.person import Standing
from app.refusal import Refusal

PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
FAMILY = "👨‍👩‍👧‍👦"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("  hello \n\t world ", "hello world"),
        ("e\u0301", "é"),
        ("abc\u202edef", "abcdef"),
        ("a\u200bb\ufeffc\u2060d\u00ade", "abcde"),
        ("a\u200db", "ab"),
        (FAMILY, FAMILY),
        ("🏳️‍🌈 👩🏽‍🚀 ❤️‍🔥", "🏳️‍🌈 👩🏽‍🚀 ❤️‍🔥"),
        (SCOTLAND, SCOTLAND),
        ("\U000e0067\U000e0062x", "x"),
        (PERSIAN, PERSIAN),
        ("क्\u200dष", "क्\u200dष"),
        ("z" + "\u0335" * 40, "z" + "\u0335" * MARKS_MAX),
        ("nul\x00 bell\x07", "nul bell"),
        ("a\ufe01b\U000e0101c", "abc"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_text_is_cleaned_of_what_deceives_and_keeps_what_writing_needs(typed, shown):
    assert clean_message(typed) == shown


@pytest.mark.parametrize("typed", ["", "   ", "\u200b\u200d", "\u2800\u3164", "\u202e", "\u0301", "\ufe0f"])
def test_nothing_to_see_is_empty(typed):
    assert clean_message(typed).code == "empty"


@pytest.mark.parametrize("typed", ["x" * 501, "é" * 501, "🎉" * 501, "x\u0301\u0302\u0303\u0304" * 450, "x" * 100_000])
def test_too_much_is_too_long(typed):
    assert clean_message(typed).code == "too_long"


@given(st.text(st.characters(max_codepoint=127), max_size=520))
def test_plain_text_is_cleaned_as_any_other_is(typed):
    assert clean_message(typed) == clean_message(typed + "\u200b")


@pytest.mark.parametrize("typed", ["x" * 500, "é" * 500, "🎉" * 500, "e\u0301" * 500])
def test_five_hundred_characters_fit(typed):
    assert isinstance(clean_message(typed), str)


def test_a_lone_surrogate_is_refused():
    assert clean_message("a\ud800b").code == "malformed"


@pytest.mark.parametrize(
    ("text", "count"),
    [("abc", 3), (FAMILY, 1), ("🇩🇪🇫🇷", 2), ("👍🏽", 1), (SCOTLAND, 1), ("e\u0301x", 2), ("1️⃣", 1), ("", 0)],
)
def test_graphemes_are_what_a_person_counts(text, count):
    assert graphemes(text) == count


@given(st.text(max_size=700))
def test_whatever_is_let_through_is_clean_already(typed):
    clean = clean_message(typed)
    if isinstance(clean, Refusal):
        return
    assert clean_message(clean) == clean
    assert len(clean.encode()) <= BYTES_MAX
    assert 0 < graphemes(clean) <= GRAPHEMES_MAX
    assert unicodedata.is_normalized("NFC", clean)
    assert not any(
        unicodedata.bidirectional(sign) in {"RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI"} for sign in clean
    )


@pytest.mark.parametrize(
    ("actor", "target", "silence", "take_away"),
    [
        (Standing.HOST, Standing.MODERATOR, True, True),
        (Standing.HOST, Standing.HOST, False, True),
        (Standing.MODERATOR, Standing.VIEWER, True, True),
        (Standing.MODERATOR, Standing.MODERATOR, False, True),
        (Standing.MODERATOR, Standing.HOST, False, False),
        (Standing.VIEWER, Standing.VIEWER, False, False),
    ],
)
def test_staff_act_downwards(actor, target, silence, take_away):
    assert may_silence(actor, target) is silence
    assert may_delete(actor, target) is take_away
