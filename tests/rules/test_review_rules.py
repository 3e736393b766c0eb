"""What a reviewer's answer means for a message."""

import pytest

from app.chat.mode_rules import Hold
from app.chat.review_rules import REFUSED, Outcome, is_asked, reviewed
from app.refusal import Refusal

DELAY, REVIEW = Hold("delay"), Hold("review")
SAY, HOLD, REFUSE = Outcome.SAY, Outcome.HOLD, Outcome.REFUSE


@pytest.mark.parametrize(
    ("verdict", "status", "otherwise", "becomes"),
    [
        (None, 200, REFUSE, None),
        (None, 204, REFUSE, None),
        (DELAY, 204, REFUSE, DELAY),
        (None, 202, SAY, REVIEW),
        (DELAY, 202, SAY, REVIEW),
        (None, 403, SAY, REFUSED),
        (DELAY, 403, SAY, REFUSED),
        (None, None, SAY, None),
        (DELAY, None, SAY, DELAY),
        (None, None, HOLD, REVIEW),
        (None, None, REFUSE, REFUSED),
        (None, 500, HOLD, REVIEW),
        (None, 302, SAY, None),
        (None, 404, REFUSE, REFUSED),
    ],
)
def test_the_status_decides_and_without_one_the_shops_choice_does(verdict, status, otherwise, becomes):
    assert reviewed(verdict, status, otherwise) == becomes


@pytest.mark.parametrize(
    ("verdict", "asked"),
    [(None, True), (DELAY, True), (Hold("term", "x"), False), (Hold("newcomer"), False), (Refusal("x", "x"), False)],
)
def test_only_what_would_be_said_is_shown_to_the_reviewer(verdict, asked):
    assert is_asked(verdict) is asked
