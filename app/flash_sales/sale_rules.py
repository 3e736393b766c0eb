"""A flash sale's states, and when the clock moves them. Values in, values out."""

from enum import StrEnum
from typing import Final


class SaleState(StrEnum):
    """scheduled: announced with its time. countdown: counted down on every page. Neither can be bought from yet.
    running and sold_out: the window is open.
    """

    SCHEDULED = "scheduled"
    COUNTDOWN = "countdown"
    RUNNING = "running"
    SOLD_OUT = "sold_out"
    ENDED = "ended"
    CANCELLED = "cancelled"


class SaleEvent(StrEnum):
    """What can happen to a sale."""

    COUNT_DOWN = "count_down"
    START = "start"
    SELL_OUT = "sell_out"
    RESTOCK = "restock"
    END = "end"
    CANCEL = "cancel"


TRANSITIONS: Final[dict[tuple[SaleState, SaleEvent], SaleState]] = {
    (SaleState.SCHEDULED, SaleEvent.COUNT_DOWN): SaleState.COUNTDOWN,
    (SaleState.SCHEDULED, SaleEvent.START): SaleState.RUNNING,
    (SaleState.SCHEDULED, SaleEvent.CANCEL): SaleState.CANCELLED,
    (SaleState.COUNTDOWN, SaleEvent.START): SaleState.RUNNING,
    (SaleState.COUNTDOWN, SaleEvent.CANCEL): SaleState.CANCELLED,
    (SaleState.RUNNING, SaleEvent.SELL_OUT): SaleState.SOLD_OUT,
    (SaleState.RUNNING, SaleEvent.END): SaleState.ENDED,
    (SaleState.RUNNING, SaleEvent.CANCEL): SaleState.CANCELLED,
    (SaleState.SOLD_OUT, SaleEvent.RESTOCK): SaleState.RUNNING,
    (SaleState.SOLD_OUT, SaleEvent.END): SaleState.ENDED,
    (SaleState.SOLD_OUT, SaleEvent.CANCEL): SaleState.CANCELLED,
}

OPEN_STATES: Final = frozenset({SaleState.SCHEDULED, SaleState.COUNTDOWN, SaleState.RUNNING, SaleState.SOLD_OUT})
BEGUN_STATES: Final = frozenset({SaleState.RUNNING, SaleState.SOLD_OUT})
COUNTDOWN_MIN_S: Final = 10
COUNTDOWN_S: Final = 60
"""How long a sale that starts at a set time counts down when nothing else is said."""
WINDOW_MAX_MS: Final = 1_200_000
AHEAD_MAX_MS: Final = 7 * 24 * 3600 * 1000


class IllegalSaleChange(Exception):  # noqa: N818  it names the change, not an accident
    """The table has no such transition."""


def change_sale(state: SaleState, event: SaleEvent) -> SaleState:
    """The state after `event`. Raises IllegalSaleChange where the table has none."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise IllegalSaleChange(f"{event} is not possible in state {state}")
    return after


def state_at_birth(*, now_ms: int, starts_at_ms: int, countdown_ms: int) -> SaleState:
    """The state of a sale that is made at `now_ms`."""
    if starts_at_ms <= now_ms:
        return SaleState.RUNNING
    return SaleState.COUNTDOWN if now_ms >= starts_at_ms - countdown_ms else SaleState.SCHEDULED


def event_due(
    state: SaleState, *, now_ms: int, starts_at_ms: int, ends_at_ms: int, countdown_ms: int, allotment: int, sold: int
) -> SaleEvent | None:
    """What the clock or the stock brings about next, one event at a time; None when all is as it should be."""
    event: SaleEvent | None = None
    if state in {SaleState.SCHEDULED, SaleState.COUNTDOWN}:
        if now_ms >= starts_at_ms:
            event = SaleEvent.START
        elif state is SaleState.SCHEDULED and now_ms >= starts_at_ms - countdown_ms:
            event = SaleEvent.COUNT_DOWN
    elif state in BEGUN_STATES:
        if now_ms >= ends_at_ms:
            event = SaleEvent.END
        elif state is SaleState.RUNNING and sold >= allotment:
            event = SaleEvent.SELL_OUT
        elif state is SaleState.SOLD_OUT and sold < allotment:
            event = SaleEvent.RESTOCK
    return event


def window_after(event: SaleEvent, *, now_ms: int, starts_at_ms: int, ends_at_ms: int) -> tuple[int, int]:
    """The window, as (start, end), once `event` has happened: a start before its time brings the end forward, and
    an end before its time is the end.
    """
    if event is SaleEvent.START:
        early_ms = max(0, starts_at_ms - now_ms)
        return starts_at_ms - early_ms, ends_at_ms - early_ms
    if event in {SaleEvent.END, SaleEvent.CANCEL}:
        return starts_at_ms, max(min(ends_at_ms, now_ms), starts_at_ms + 1)
    return starts_at_ms, ends_at_ms


def end_after(*, starts_at_ms: int, ends_at_ms: int, by_ms: int) -> int | None:
    """When a sale ends that is made `by_ms` longer; None when its window would be longer than any may be."""
    later_ms = ends_at_ms + by_ms
    return later_ms if later_ms - starts_at_ms <= WINDOW_MAX_MS else None


def pool_status(*, left: int, held: int) -> str:
    """open: units are free. all_held: none is, but some may come back. sold_out: every unit is paid."""
    if left > 0:
        return "open"
    return "all_held" if held > 0 else "sold_out"
