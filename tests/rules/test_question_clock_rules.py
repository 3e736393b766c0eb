"""By when a question that a show left open is answered and closed."""

import pytest

from app.chat.question_clock_rules import Clocks, Late, clocks

H = 60 * 60 * 1000
END = 1000 * H

CASES = [
    # asked, ended, being answered, now, answer by, close by, late
    (END - H, None, False, END, None, None, Late.NOTHING),
    (END - H, None, False, END + 100 * H, None, None, Late.NOTHING),
    (END - H, END, False, END, END + 12 * H, END + 24 * H, Late.NOTHING),
    (END - H, END, False, END + 12 * H - 1, END + 12 * H, END + 24 * H, Late.NOTHING),
    (END - H, END, False, END + 12 * H, END + 12 * H, END + 24 * H, Late.ANSWER),
    (END - H, END, False, END + 24 * H, END + 12 * H, END + 24 * H, Late.CLOSING),
    (END - H, END, True, END + 13 * H, None, END + 24 * H, Late.NOTHING),
    (END - H, END, True, END + 24 * H, None, END + 24 * H, Late.CLOSING),
    (END + H, END, False, END + 12 * H, END + 13 * H, END + 25 * H, Late.NOTHING),
]


@pytest.mark.parametrize(("asked", "ended", "answering", "now", "answer_by", "close_by", "late"), CASES)
def test_the_clocks_run_from_the_end_of_the_show(asked, ended, answering, now, answer_by, close_by, late):
    found = clocks(asked_ms=asked, ended_ms=ended, is_answering=answering, now_ms=now)
    assert found == Clocks(answer_by, close_by, late)
