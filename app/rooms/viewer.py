"""One open socket in a room: who is behind it, and how far it has come. Owns the feeding of a viewer that fell behind.

It listens to its wire: a stalled wire demotes the viewer, which then keeps no queue; once drained it is fed from the
room's ring in portions; one that stays stalled is aborted.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from app.person import Person, Standing
from app.rooms import closes
from app.rooms.bus import show_of
from app.rooms.frames import text_frame
from app.rooms.session import Phase, Session
from app.rooms.wire import Wire

if TYPE_CHECKING:
    from app.rooms.room import LocalRoom

STALL_S: Final = 10.0
"""A peer that has not read for so long is dropped; it may resume."""


class Viewer:
    """A joined or joining socket. `room` feeds it."""

    __slots__ = ("_stall_timer", "missed_hint", "person", "room", "session", "standing", "wire")

    def __init__(self, room: "LocalRoom", wire: Wire, person: Person | None, standing: Standing) -> None:
        self.room = room
        self.wire = wire
        self.person = person
        self.standing = standing
        self.session = Session()
        self.missed_hint = False
        self._stall_timer: asyncio.TimerHandle | None = None
        wire.listener = self

    def stalled(self) -> None:
        """The wire is full."""
        if self.session.stall(self.room.ring.epoch, self.room.flushed):
            self.room.demote(self)
            self.room.tally.demotions += 1
        if self._stall_timer is None and self.session.phase is not Phase.CLOSED:
            self._stall_timer = asyncio.get_running_loop().call_later(STALL_S, self.wire.abort)

    def drained(self) -> None:
        """The wire takes frames again."""
        self._stop_timer()
        if self.session.phase is not Phase.DEMOTED:
            return
        if self.missed_hint:
            # What was for this person alone is in nobody's ring: the next join's `me` has it.
            self.wire.close(closes.SLOW, "slow")
            return
        self.feed()

    def lost(self) -> None:
        """The wire is going."""
        self._stop_timer()
        if self.session.leave():
            self.room.remove(self)

    def feed(self) -> None:
        """Writes what the demoted viewer is owed, portion by portion, until it has all or its wire is full again."""
        while not self.wire.stalled and self.session.phase is Phase.DEMOTED:
            window = self.room.window()
            share = self.session.owed(window)
            if share is None:
                self.session.caught_up()
                self.room.promote(self)
                return
            body, last = self.room.share_body(share)
            self.session.gave(window, last)
            self.wire.write(text_frame(body))

    @property
    def show(self) -> str:
        """The show of the room, public or staff."""
        return show_of(self.room.name)

    def hint(self, frame: bytes) -> None:
        """Writes a frame for this person alone, or remembers that it could not."""
        if self.session.phase is Phase.LIVE:
            self.wire.write(frame)
        else:
            self.missed_hint = True

    def _stop_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
