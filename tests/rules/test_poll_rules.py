"""What a poll may be made of."""

import pytest

from app.chat.poll_rules import OPTION_LENGTH_MAX, QUESTION_LENGTH_MAX, Wording, worded

YES_NO = ["Yes", "No"]


@pytest.mark.parametrize(
    ("question", "options", "made"),
    [
        ("Blue?", YES_NO, Wording("Blue?", ("Yes", "No"))),
        ("  Which\none? ", [" a ", "b\u200b"], Wording("Which one?", ("a", "b"))),
        ("x" * QUESTION_LENGTH_MAX, ["y" * OPTION_LENGTH_MAX, "n"], Wording("x" * 140, ("y" * 60, "n"))),
        ("Flag?", ["👩‍👩‍👧" * OPTION_LENGTH_MAX, "n"], Wording("Flag?", ("👩‍👩‍👧" * 60, "n"))),
        ("x" * (QUESTION_LENGTH_MAX + 1), YES_NO, "poll_invalid"),
        ("Blue?", ["y" * (OPTION_LENGTH_MAX + 1), "n"], "poll_invalid"),
        ("", YES_NO, "poll_invalid"),
        ("\u200b", YES_NO, "poll_invalid"),
        ("Blue?", ["Yes", " "], "poll_invalid"),
        ("Blue?", [], "poll_invalid"),
        ("Blue?", ["Yes"], "poll_invalid"),
        ("Blue?", list("abcdefg"), "poll_invalid"),
        ("Blue?", ["Yes", "yes"], "poll_invalid"),
        ("Blue?", ["Stra\u00dfe", "STRASSE"], "poll_invalid"),
        ("Blue?", ["Cafe\u0301", "Caf\u00e9"], "poll_invalid"),
        ("Blue\ud800?", YES_NO, "malformed"),
    ],
)
def test_a_poll_has_words_of_its_size_and_no_two_answers_alike(question, options, made):
    found = worded(question, options)
    assert found == made if isinstance(made, Wording) else found.code == made
