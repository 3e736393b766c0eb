"""One room inside one worker: its ring, its state, its viewers, and the one frame per tick that all of them get.

Owns the fan-out. It learns everything from `apply` (the bus) and `adopt` (a reading of the whole room) and never
does I/O of its own except writing to wires, which never waits.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, Final

from app import clock
from app.rooms.bus import HISTORY_MAX
from app.rooms.figures import Tally
from app.rooms.frames import joined_body, last_portion, portion, room_body, text_frame
from app.rooms.news import Set, Told
from app.rooms.opening import Memory
from app.rooms.ring import Ring
from app.rooms.session import Share, Window, share_since
from app.rooms.valkey_bus import RoomView
from app.rooms.viewer import Viewer

TICK_S: Final = 0.02
"""Least time between two frames; the first after a quiet time leaves at once."""
SWEEPS_PER_TICK: Final = 2
"""A tick lasts at least so many times what the last sweep over all viewers took."""
FULL_EVENTS: Final = 16
"""So many events do not wait for the tick: a write is shared by sixteen already, and sweeps that follow one another
closely find the viewers' memory warm, which is worth a third of their cost. Between two sweeps the loop turns once, so
that everybody else has a turn too.
"""


NOTHING: Final = b"null"
"""The value of a key that is gone. It is kept for its version, so that no late older value comes back."""


class LocalRoom:
    """The room `name` as this worker knows it. `flushed` is the last offset that the live viewers were given."""

    def __init__(self, name: str, tally: Tally | None = None) -> None:
        self.name = name
        self.tally = tally or Tally()
        self.ring = Ring("", 0, ())
        self.flushed = 0
        self.frames = 0  # written in all, each to every live viewer
        self.state: dict[str, tuple[int, bytes]] = {}
        self.viewers: set[Viewer] = set()
        self._live: dict[Callable[[Any, bytes], None], dict[Viewer, Any]] = {}
        """By what writes (one function for each kind of wire): each live viewer's own end of it, the first served last.
        """
        self._changed: set[str] = set()
        self._reactions: Counter[str] = Counter()
        self._timer: asyncio.Handle | None = None
        self._hurried = False  # the timer is that of a full frame
        self._tick_over_s = 0.0

    def window(self) -> Window:
        """What a viewer can be given now: everything that the live ones have."""
        return Window(self.ring.epoch, self.ring.first, self.flushed)

    def memory(self) -> Memory:
        """All that is remembered."""
        return Memory(self.ring.epoch, self.ring.top, self.ring.slice(self.ring.first, self.ring.top))

    # From the bus.

    def apply(self, news: Told | Set) -> bool:
        """Takes in what the bus said. False when it does not fit: another epoch, or a hole before it."""
        if news.e != self.ring.epoch:
            return False
        if isinstance(news, Set):
            self._set(news.key, news.version, news.value)
            return True
        if news.o <= self.ring.top:
            return True  # known from a reading of the room
        if news.o > self.ring.top + 1:
            return False
        for buried, tombstone in news.burials:
            self.ring.bury(buried, tombstone)
        if self.ring.top - self.flushed >= HISTORY_MAX:
            self.flush()  # before what nobody has been given falls out of the ring
        self.ring.append(news.o, news.event)
        self._schedule()
        return True

    def adopt(self, view: RoomView) -> None:
        """Takes in a reading of the whole room. Under another epoch, or when more was missed than is left, the live
        viewers are given a fresh start.
        """
        continues = view.e == self.ring.epoch and view.top - len(view.events) <= self.flushed
        if continues and view.top < self.ring.top:
            return  # read before what the bus has told since
        if view.e != self.ring.epoch:
            self.state = {}
            self._changed.clear()
        self.ring = Ring(view.e, view.top, view.events)
        self.take_state(view.state)
        if continues:
            self._schedule()
        else:
            self.flushed = view.top
            self._start_afresh()

    def take_state(self, state: Mapping[str, tuple[int, bytes]]) -> None:
        """Takes in state keys of the present epoch as they were read; only newer ones matter."""
        for key, (version, value) in state.items():
            self._set(key, version, value)

    def react(self, sums: Mapping[str, int]) -> None:
        """Adds reactions to the next frame; who gets no frame then never hears of them."""
        self._reactions.update(sums)
        self._schedule()

    def _set(self, key: str, version: int, value: bytes) -> None:
        known = self.state.get(key)
        if known is None or known[0] < version:
            self.state[key] = (version, value)
            self._changed.add(key)
            self._schedule()

    # To the viewers.

    def _schedule(self) -> None:
        full = self.ring.top - self.flushed >= FULL_EVENTS
        if self._timer is not None:
            if not full or self._hurried:
                return
            self._timer.cancel()
        self._hurried = full
        loop = asyncio.get_running_loop()
        wait_s = 0.0 if full else self._tick_over_s - clock.monotonic_s()
        # Even at once means after the news that arrived together with this one.
        self._timer = loop.call_later(wait_s, self.flush) if wait_s > 0 else loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes one frame with all that is new to every live viewer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        first, last = self.flushed + 1, self.ring.top
        if last < first and not self._changed and not self._reactions:
            return
        changed = {key: self.state[key] for key in self._changed}
        events = self.ring.slice(first, last)
        reactions = dict(self._reactions)
        self._changed.clear()
        self._reactions.clear()
        self.flushed = last
        if any(self._live.values()):
            self._sweep(text_frame(room_body(self.ring.epoch, first, events, changed, reactions)))

    def _sweep(self, frame: bytes) -> None:
        started_s = clock.monotonic_s()
        for write, ends in self._live.items():
            # A snapshot: a write may stall its wire at once, which takes the viewer out of the live ones. The loop
            # is map's, and nothing is touched for a viewer but its end: each line of cold memory shows in the figures.
            deque(map(write, tuple(reversed(ends.values())), repeat(frame)), maxlen=0)
        self.frames += 1
        took_s = clock.monotonic_s() - started_s  # the loop's own clock counts milliseconds
        self.tally.sweeps += 1
        self.tally.sweep_s += took_s
        self._tick_over_s = started_s + max(TICK_S, SWEEPS_PER_TICK * took_s)

    def _start_afresh(self) -> None:
        self._changed.clear()
        if any(self._live.values()):
            self.tally.fresh_starts += 1
            body, _ = self.share_body(share_since(self.window(), None, None))
            self._sweep(text_frame(body))

    def join(self, viewer: Viewer, epoch: str | None, since: int | None, me: Mapping[str, Any]) -> None:
        """Writes the join reply: all state, and what the viewer lacks, or as much of it as is given at once."""
        if since is not None and since > self.flushed:
            self.flush()  # it has seen on another worker what waits for the tick here
        window = self.window()
        share = share_since(window, epoch, since)
        self.tally.joins += 1
        self.tally.resumes += share.recovered
        body, last = self.share_body(share, me)
        viewer.session.join(window, last)
        self.viewers.add(viewer)
        if last == window.top:
            self.promote(viewer)
        viewer.wire.write(text_frame(body))
        if last < window.top:
            viewer.feed()

    def share_body(self, share: Share, me: Mapping[str, Any] | None = None) -> tuple[bytes, int]:
        """The frame's body that gives (a first portion of) a share, and the offset up to which it reaches.

        What continues and needs no `me` is an ordinary frame; a fresh start is the newest that fits.
        """
        events = self.ring.slice(share.first, share.last)
        if share.recovered:
            events = events[: portion(events)]
            if me is None:
                return room_body(self.ring.epoch, share.first, events, self.state), share.first + len(events) - 1
            first = share.first
        else:
            events = events[len(events) - last_portion(events) :]
            first = share.last - len(events) + 1
        body = joined_body(
            self.ring.epoch,
            first,
            events,
            # What is gone is left out: who joins forgets what is not named.
            {key: known for key, known in self.state.items() if known[1] != NOTHING},
            recovered=share.recovered,
            server_now_ms=clock.now_ms(),
            me=me,
        )
        return body, first + len(events) - 1

    def demote(self, viewer: Viewer) -> None:
        """Takes a stalled viewer out of the live ones."""
        for ends in self._live.values():
            ends.pop(viewer, None)

    def promote(self, viewer: Viewer) -> None:
        """Puts a viewer that lacks nothing back among the live ones."""
        write, end = viewer.wire.writer()
        self._live.setdefault(write, {})[viewer] = end

    def heard(self, viewer: Viewer) -> None:
        """Has the viewer served before those who said nothing since: only who speaks knows how long a frame takes."""
        for ends in self._live.values():
            end = ends.pop(viewer, None)
            if end is not None:
                ends[viewer] = end

    def remove(self, viewer: Viewer) -> None:
        """Forgets a viewer."""
        self.demote(viewer)
        self.viewers.discard(viewer)
