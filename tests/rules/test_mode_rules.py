"""What the modes that are for the chat alone make of a text, and what counts as emoji."""

import pytest

from app.chat.emoji_rules import is_emoji
from app.chat.level_rules import STRICTEST
from app.chat.mode_rules import UNIQUE_MS, Hold, Modes, decide_in_chat, in_force, stricter, unique_ms
from app.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "emoji"),
    [
        ("🔥", True),
        ("🔥 🔥🔥", True),
        ("❤️", True),
        ("❤", True),
        ("👍🏽", True),
        ("👩‍👩‍👧‍👦", True),
        ("🏳️‍🌈", True),
        ("🇩🇪🇫🇷", True),
        ("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", True),
        ("3️⃣", True),
        ("☕➡️😀", True),
        ("hello", False),
        ("🔥 hot", False),
        ("🔥!", False),
        ("1", False),
        ("🇩", False),
        ("🅱🅰🅳", False),
        ("Ⓐ", False),
        ("ⓑ", False),
        ("👍🏽x", False),
        ("\u200d", False),
        ("\uff03", False),
    ],
)
def test_a_text_is_made_of_emoji_alone(text, emoji):
    assert is_emoji(text) is emoji


@pytest.mark.timeout(10)
def test_no_text_takes_long_to_be_found_out():
    assert not is_emoji("👩‍" * 500 + "x")
    assert not is_emoji("🏳️" * 1000 + "\u200d")


CASES = [
    # modes, text, staff, buyer, what becomes of it
    (Modes(), "hello", False, False, None),
    (Modes(emoji=True), "hello", False, True, "emoji_only"),
    (Modes(emoji=True), "🔥", False, False, None),
    (Modes(emoji=True), "hello", True, False, None),
    (Modes(buyers=True), "hello", False, False, "buyers_only"),
    (Modes(buyers=True), "hello", False, True, None),
    (Modes(buyers=True), "hello", True, False, None),
    (Modes(buyers=True, emoji=True), "hello", False, False, "emoji_only"),
    (Modes(delay_s=5), "hello", False, False, "delay"),
    (Modes(delay_s=5), "hello", True, False, None),
    (Modes(delay_s=5, buyers=True), "hello", False, False, "buyers_only"),
]


@pytest.mark.parametrize(("modes", "text", "staff", "buyer", "expected"), CASES)
def test_what_becomes_of_a_message_in_the_chat(modes, text, staff, buyer, expected):
    match decide_in_chat(text, modes, staff=staff, buyer=buyer):
        case None:
            assert expected is None
        case Hold(why=why):
            assert why == expected
        case Refusal(code=code):
            assert code == expected


def test_of_two_decisions_the_stricter_one_holds():
    term, delay, no = Hold("term", "idiot"), Hold("delay"), Refusal("emoji_only", "no")
    assert stricter(None, None) is None
    assert stricter(None, delay) == delay
    assert stricter(term, delay) == term
    assert stricter(term, no) == no
    assert stricter(None, no) == no


def test_the_shield_has_nothing_said_twice_and_leaves_the_modes_of_the_chat_alone():
    modes = Modes(emoji=True, buyers=True, delay_s=7, shield=True)
    assert in_force(modes) == Modes(30, False, True, True, True, True, True, True, 7, levels=STRICTEST)
    assert (unique_ms(modes), unique_ms(Modes(unique=True)), unique_ms(Modes())) == (UNIQUE_MS, UNIQUE_MS, 0)


def test_what_others_may_never_read_takes_no_words_from_them():
    unique = Modes(unique=True)
    assert [unique_ms(unique, Hold(why)) for why in ("delay", "term", "hidden")] == [UNIQUE_MS, 0, 0]


FOLLOWING = [
    # least age in minutes, for how long followed, refused with this wait (ms)
    (None, None, "said"),
    (0, None, None),
    (0, 0.0, "said"),
    (10, None, None),
    (10, 0.0, 600_000),
    (10, 599.5, 500),
    (10, 600.0, "said"),
]


@pytest.mark.parametrize(("least_min", "follows_s", "outcome"), FOLLOWING)
def test_who_has_followed_for_long_enough_writes_and_others_learn_when_they_may(least_min, follows_s, outcome):
    modes = Modes(followers_min=least_min)
    found = decide_in_chat("hello", modes, staff=False, buyer=False, follows_s=follows_s)
    if outcome == "said":
        assert found is None
    else:
        assert (found.code, found.retry_after_ms) == ("followers_only", outcome)
    assert decide_in_chat("hello", modes, staff=True, buyer=False, follows_s=None) is None
