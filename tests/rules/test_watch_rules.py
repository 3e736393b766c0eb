"""What it means for somebody's words that the staff keep an eye on them."""

import pytest

from app.chat.mode_rules import Hold
from app.chat.watch_rules import Level, watched_message, watched_words
from app.refusal import Refusal

NO = Refusal("links_off", "no")
TERM, DELAY, RESTRICTED = Hold("term", "x"), Hold("delay"), Hold("restricted")


def hidden(instead=""):
    return Hold("hidden", instead=instead)


CASES = [
    # level, what the rules said, of words anywhere, of a message in the chat
    (Level.NONE, None, None, None),
    (Level.NONE, TERM, TERM, TERM),
    (Level.MONITORED, None, None, None),
    (Level.MONITORED, DELAY, DELAY, DELAY),
    (Level.RESTRICTED, None, RESTRICTED, RESTRICTED),
    (Level.RESTRICTED, TERM, TERM, TERM),
    (Level.RESTRICTED, NO, NO, NO),
    (Level.RESTRICTED, DELAY, DELAY, RESTRICTED),
    (Level.HIDDEN, None, RESTRICTED, hidden()),
    (Level.HIDDEN, TERM, TERM, hidden("term")),
    (Level.HIDDEN, DELAY, DELAY, hidden("delay")),
    (Level.HIDDEN, NO, NO, NO),
]


@pytest.mark.parametrize(("level", "verdict", "words", "message"), CASES)
def test_words_wait_or_are_hidden_and_what_is_refused_is_refused(level, verdict, words, message):
    assert watched_words(verdict, level) == words
    assert watched_message(verdict, level) == message
