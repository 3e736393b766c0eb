"""The clocks of questions that a show has left open: by when the first answer is due, by when all is closed. Pure.

They begin when the show ends, or for a question that came later when it was asked; while the show goes on none runs.
"""

from enum import StrEnum
from typing import Final

import msgspec

FIRST_ANSWER_MS: Final = 12 * 60 * 60 * 1000
CLOSED_MS: Final = 24 * 60 * 60 * 1000


class Late(StrEnum):
    """What is overdue."""

    NOTHING = ""
    ANSWER = "answer"
    CLOSING = "closing"


class Clocks(msgspec.Struct, frozen=True):
    """Unix ms; None while no such clock runs. Who is being answered has their first answer."""

    answer_by: int | None
    close_by: int | None
    late: Late


def clocks(*, asked_ms: int, ended_ms: int | None, is_answering: bool, now_ms: int) -> Clocks:
    """The clocks of a question that is not closed. `ended_ms`: when its show ended, None while it goes on."""
    if ended_ms is None:
        return Clocks(None, None, Late.NOTHING)
    begun_ms = max(asked_ms, ended_ms)
    answer_by = None if is_answering else begun_ms + FIRST_ANSWER_MS
    close_by = begun_ms + CLOSED_MS
    if now_ms >= close_by:
        late = Late.CLOSING
    else:
        late = Late.ANSWER if answer_by is not None and now_ms >= answer_by else Late.NOTHING
    return Clocks(answer_by, close_by, late)
