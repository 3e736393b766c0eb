"""The line in front of a pool: the states of a place in it, how many may be served, how long it takes. Pure.

A line is the waiting room of a hot sale, where being served is an admission, or else the waitlist of a pool that has
run out, where it is an offer: a hold taken for the person, with a countdown of its own.
"""

from enum import StrEnum
from typing import Final

SERVED_AT_ONCE_MAX: Final = 200
LINE_MAX: Final = 20_000
TRIES_MAX: Final = 3
PACE_WINDOW_MS: Final = 60_000
PACE_WINDOW_MIN_MS: Final = 10_000  # the first to be served say little about the next


class EntryState(StrEnum):
    """served: took a hold with the admission, or pays for what was offered. lapsed: let the countdown pass. over: there
    is nothing to wait for.
    """

    WAITING = "waiting"
    OFFERED = "offered"
    ADMITTED = "admitted"
    SERVED = "served"
    LAPSED = "lapsed"
    LEFT = "left"
    OVER = "over"


class EntryEvent(StrEnum):
    """What can happen to a place in line. bring_back: the payment failed, or Valkey lost the
    hold; the place is theirs again.
    """

    OFFER = "offer"
    ADMIT = "admit"
    SERVE = "serve"
    LAPSE = "lapse"
    LEAVE = "leave"
    END = "end"
    BRING_BACK = "bring_back"


ENTRY_TRANSITIONS: Final[dict[tuple[EntryState, EntryEvent], EntryState]] = {
    (EntryState.WAITING, EntryEvent.OFFER): EntryState.OFFERED,
    (EntryState.WAITING, EntryEvent.ADMIT): EntryState.ADMITTED,
    (EntryState.WAITING, EntryEvent.LEAVE): EntryState.LEFT,
    (EntryState.WAITING, EntryEvent.END): EntryState.OVER,
    (EntryState.OFFERED, EntryEvent.SERVE): EntryState.SERVED,
    (EntryState.OFFERED, EntryEvent.LAPSE): EntryState.LAPSED,
    (EntryState.OFFERED, EntryEvent.LEAVE): EntryState.LEFT,
    (EntryState.OFFERED, EntryEvent.END): EntryState.OVER,
    (EntryState.OFFERED, EntryEvent.BRING_BACK): EntryState.WAITING,
    (EntryState.ADMITTED, EntryEvent.SERVE): EntryState.SERVED,
    (EntryState.ADMITTED, EntryEvent.LAPSE): EntryState.LAPSED,
    (EntryState.ADMITTED, EntryEvent.LEAVE): EntryState.LEFT,
    (EntryState.ADMITTED, EntryEvent.END): EntryState.OVER,
    (EntryState.SERVED, EntryEvent.BRING_BACK): EntryState.WAITING,
}

LIVE_STATES: Final = frozenset({EntryState.WAITING, EntryState.OFFERED, EntryState.ADMITTED})


class IllegalEntryChange(Exception):  # noqa: N818  it names the change, not an accident
    """The table has no such transition."""


def change_entry(state: EntryState, event: EntryEvent) -> EntryState:
    """The state after `event`. Raises IllegalEntryChange where the table has none."""
    after = ENTRY_TRANSITIONS.get((state, event))
    if after is None:
        raise IllegalEntryChange(f"{event} is not possible in state {state}")
    return after


def states_before(event: EntryEvent) -> list[EntryState]:
    """The states in which `event` is possible."""
    return [state for state, one in ENTRY_TRANSITIONS if one is event]


def to_serve(*, left: int, admitted: int) -> int:
    """How many may be served now: as many as units are free and not already promised to somebody admitted."""
    return max(0, min(left - admitted, SERVED_AT_ONCE_MAX))


def pace_ms(*, served: int, window_ms: int) -> int | None:
    """How many milliseconds one place takes, by those served within the window; None while nobody was."""
    return None if served < 1 else max(1, max(PACE_WINDOW_MIN_MS, min(window_ms, PACE_WINDOW_MS)) // served)


def expected_wait_ms(ahead: int | None, each_ms: int | None) -> int | None:
    """How long somebody waits behind `ahead` others; None when nobody can tell."""
    return None if ahead is None or each_ms is None else (ahead + 1) * each_ms
