"""A worker's memory of a room: its last events, consecutive, as the JSON they came in. Pure; never decodes an event."""

from collections import deque
from collections.abc import Iterable
from itertools import islice

from app.rooms.bus import HISTORY_MAX


class Ring:
    """The events `first`..`top` of `epoch`."""

    def __init__(self, epoch: str, top: int, events: Iterable[bytes]) -> None:
        self.epoch = epoch
        self.top = top
        self._events = deque(events, HISTORY_MAX)
        assert len(self._events) <= top

    @property
    def first(self) -> int:
        """The offset of the oldest event; top + 1 when there is none."""
        return self.top - len(self._events) + 1

    def append(self, offset: int, event: bytes) -> None:
        """Adds the next event; the oldest falls out."""
        assert offset == self.top + 1, (offset, self.top)
        self._events.append(event)
        self.top = offset

    def bury(self, offset: int, tombstone: bytes) -> None:
        """Puts a tombstone in an event's place, if it is still here."""
        if self.first <= offset <= self.top:
            self._events[offset - self.first] = tombstone

    def slice(self, first: int, last: int) -> list[bytes]:
        """The events first..last, which must all be here."""
        assert self.first <= first, (first, self.first)
        assert last <= self.top, (last, self.top)
        return list(islice(self._events, first - self.first, last - self.first + 1))
