"""The life of a show: its states, what a host may do in each, and when it may be planned for.

Pure: values in, values out.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class ShowState(StrEnum):
    """Where a show is in its life. In a rehearsal only the staff see the stream."""

    SCHEDULED = "scheduled"
    REHEARSAL = "rehearsal"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"


class ShowAct(StrEnum):
    """What a host does to a show."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


class IllegalShowAct(Exception):  # noqa: N818 it names what happened, not an error of the program
    """The act does not fit the state the show is in."""

    def __init__(self, state: ShowState, act: ShowAct) -> None:
        super().__init__(f"A show that is {state} cannot {act}.")
        self.state = state
        self.act = act


TRANSITIONS: Final = {
    (ShowState.SCHEDULED, ShowAct.START): ShowState.LIVE,
    (ShowState.REHEARSAL, ShowAct.START): ShowState.LIVE,
    (ShowState.LIVE, ShowAct.PAUSE): ShowState.PAUSED,
    (ShowState.PAUSED, ShowAct.RESUME): ShowState.LIVE,
    (ShowState.SCHEDULED, ShowAct.END): ShowState.ENDED,
    (ShowState.REHEARSAL, ShowAct.END): ShowState.ENDED,
    (ShowState.LIVE, ShowAct.END): ShowState.ENDED,
    (ShowState.PAUSED, ShowAct.END): ShowState.ENDED,
}
PLANNED_AHEAD_MAX: Final = timedelta(days=2 * 366)
PLANNED_BACK_MAX: Final = timedelta(days=1)


def next_state(state: ShowState, act: ShowAct) -> ShowState:
    """The state after the act; IllegalShowAct when there is none."""
    after = TRANSITIONS.get((state, act))
    if after is None:
        raise IllegalShowAct(state, act)
    return after


def may_be_planned(scheduled_at: datetime, now: datetime) -> bool:
    """Whether a show may be planned for that time. Both are aware."""
    return now - PLANNED_BACK_MAX <= scheduled_at <= now + PLANNED_AHEAD_MAX
