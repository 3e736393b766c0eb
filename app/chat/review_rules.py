"""What a reviewer outside decides about a message, by the status of their answer. Pure.

200, 204: it is said.  202: it waits for a moderator.  403: it is refused.
Anything else, and no answer within the limit: what the shop chose for that.
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from app.chat.mode_rules import Hold
from app.refusal import Refusal

LIMIT_MS_MIN: Final = 100
LIMIT_MS_MAX: Final = 3000
REFUSED: Final = Refusal("not_now", "That message cannot be sent here.")

LimitMs = Annotated[int, Meta(ge=LIMIT_MS_MIN, le=LIMIT_MS_MAX)]


class Outcome(StrEnum):
    """What becomes of the message."""

    SAY = "say"
    HOLD = "hold"
    REFUSE = "refuse"


_BY_STATUS: Final = {200: Outcome.SAY, 204: Outcome.SAY, 202: Outcome.HOLD, 403: Outcome.REFUSE}


def reviewed(verdict: Hold | None, status: int | None, otherwise: Outcome) -> Hold | Refusal | None:
    """The decision on words about which the reviewer answered with this status, None: not in time. `verdict`: the one
    before, which stands when they may be said: they may still be delayed.
    """
    outcome = otherwise if status is None else _BY_STATUS.get(status, otherwise)
    if outcome is Outcome.REFUSE:
        return REFUSED
    return verdict if outcome is Outcome.SAY else Hold("review")


def is_asked(verdict: Hold | Refusal | None) -> bool:
    """Whether words are shown to the reviewer: those that would be said without anybody's doing."""
    return verdict is None or verdict == Hold("delay")
