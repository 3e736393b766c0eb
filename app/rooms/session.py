"""One viewer's way through a room, as a state machine: what to give next, from offsets alone.

Pure: no socket, no clock, no bytes. The room asks it what a viewer lacks, and tells it what was written.

    JOINING --join--> LIVE <--caught_up-- DEMOTED      LIVE: gets every frame that the room writes
                        |------stall--------^          DEMOTED: gets nothing until its socket drains
    any --leave--> CLOSED
A joiner whose share is large starts as DEMOTED and is fed in portions like one that fell behind.
"""

from enum import Enum
from typing import Final

import msgspec

SNAPSHOT_MAX: Final = 50
"""Events given to a viewer that cannot be continued."""


class Phase(Enum):
    """Where a viewer stands."""

    JOINING = "joining"
    LIVE = "live"
    DEMOTED = "demoted"
    CLOSED = "closed"


class Step(Enum):
    """What happens to a viewer."""

    JOIN = "join"
    JOIN_IN_PORTIONS = "join_in_portions"
    STALL = "stall"
    CAUGHT_UP = "caught_up"
    LEAVE = "leave"


TRANSITIONS: Final = {
    (Phase.JOINING, Step.JOIN): Phase.LIVE,
    (Phase.JOINING, Step.JOIN_IN_PORTIONS): Phase.DEMOTED,
    (Phase.JOINING, Step.LEAVE): Phase.CLOSED,
    (Phase.LIVE, Step.STALL): Phase.DEMOTED,
    (Phase.LIVE, Step.LEAVE): Phase.CLOSED,
    (Phase.DEMOTED, Step.CAUGHT_UP): Phase.LIVE,
    (Phase.DEMOTED, Step.LEAVE): Phase.CLOSED,
}


class IllegalStepError(Exception):
    """A step that the phase does not know: a defect of the caller."""


class Window(msgspec.Struct, frozen=True):
    """What a room can give: the events `first`..`top` of `epoch` (none when first = top + 1)."""

    epoch: str
    first: int
    top: int


class Share(msgspec.Struct, frozen=True):
    """What a viewer is owed: the events `first`..`last`. `recovered`: they continue what the viewer has; otherwise
    they replace it.
    """

    first: int
    last: int
    recovered: bool


def share_since(window: Window, epoch: str | None, since: int | None) -> Share:
    """What someone is owed who has everything up to `since` of `epoch` (None: nothing yet)."""
    reaches = epoch == window.epoch and since is not None and window.first - 1 <= since <= window.top
    if reaches:
        assert since is not None
        return Share(since + 1, window.top, recovered=True)
    return Share(max(window.first, window.top - SNAPSHOT_MAX + 1), window.top, recovered=False)


class Session:
    """The state of one viewer. While it is not LIVE, `sent` is the last offset written to it, and `current` says
    whether nothing but events can have passed it by since (state may have).
    """

    __slots__ = ("current", "epoch", "phase", "sent")

    def __init__(self) -> None:
        self.phase = Phase.JOINING
        self.epoch: str | None = None
        self.sent = 0
        self.current = False

    def _go(self, step: Step) -> None:
        after = TRANSITIONS.get((self.phase, step))
        if after is None:
            raise IllegalStepError(f"{step.value} while {self.phase.value}")
        self.phase = after

    def join(self, window: Window, last: int) -> None:
        """The join reply was written and reaches up to `last`: LIVE when that is all there is."""
        assert window.first - 1 <= last <= window.top
        self._go(Step.JOIN if last == window.top else Step.JOIN_IN_PORTIONS)
        self.epoch, self.sent = window.epoch, last

    def stall(self, epoch: str, flushed: int) -> bool:
        """The socket takes no more; everything up to `flushed` of `epoch` was written. True when that demotes it."""
        self.current = False
        if self.phase is not Phase.LIVE:
            return False
        self._go(Step.STALL)
        self.epoch, self.sent = epoch, flushed
        return True

    def owed(self, window: Window) -> Share | None:
        """What the demoted viewer lacks; None when it lacks nothing. A share without events is owed for its state."""
        assert self.phase is Phase.DEMOTED, self.phase
        if self.current and self.epoch == window.epoch and self.sent == window.top:
            return None
        return share_since(window, self.epoch, self.sent)

    def gave(self, window: Window, last: int) -> None:
        """A portion of what was owed, up to `last`, is about to be written, with all state."""
        assert self.phase is Phase.DEMOTED, self.phase
        assert last <= window.top
        self.epoch, self.sent, self.current = window.epoch, last, True

    def caught_up(self) -> None:
        """Nothing is owed any more: back among the LIVE."""
        self._go(Step.CAUGHT_UP)

    def leave(self) -> bool:
        """The socket is gone or going. False when it was already."""
        if self.phase is Phase.CLOSED:
            return False
        self._go(Step.LEAVE)
        return True
