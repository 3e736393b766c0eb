"""The names of a room's keys and channel, and how its scripts are read. Does no I/O but reading those files."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from app.rooms.bus import is_staff, show_of
from app.storage.valkey import SERVER_LUA, Script

_HERE: Final = Path(__file__).parent


def room_script(name: str) -> Script:
    """The room script in this folder's file `name`."""
    return Script(_HERE / name, before=(SERVER_LUA, _HERE / "room.lua"))


class RoomKeys(msgspec.Struct, frozen=True):
    """The names of one room's keys. The show in braces keeps all on one node of a cluster."""

    prefix: str

    @property
    def head(self) -> str:
        """Hash: epoch, top."""
        return self.prefix + ":head"

    @property
    def log(self) -> str:
        """List of the last events."""
        return self.prefix + ":log"

    @property
    def state(self) -> str:
        """Hash: key to version and value."""
        return self.prefix + ":state"

    @property
    def mutes(self) -> str:
        """Hash: person to the end of the sanction."""
        return self.prefix + ":mutes"

    @property
    def copies(self) -> str:
        """Hash: "epoch:offset" to words that are not yet in Postgres."""
        return self.prefix + ":copies"

    @property
    def refused(self) -> str:
        """List of words that Postgres could not take, newest first."""
        return self.prefix + ":refused"

    @property
    def here(self) -> str:
        """Hash: worker to its number of viewers."""
        return self.prefix + ":here"

    def once(self, event_id: str) -> str:
        """Hash: the epoch and offset of words that were said lately."""
        return f"{self.prefix}:once:{event_id}"

    def pace(self, person: str, name: str = "") -> str:
        """When one person's allowance of that name is full again."""
        return f"{self.prefix}:pace{name}:{person}"

    def pace_from(self, place: str) -> str:
        """When the allowance is full again that all share who write from one address."""
        return f"{self.prefix}:pace-from:{hashlib.sha256(place.encode()).hexdigest()[:32]}"

    @property
    def pace_of_all(self) -> str:
        """When the room's own allowance is full again."""
        return self.prefix + ":pace-of-all"

    def same(self, person: str) -> str:
        """What one person said last, and how often."""
        return f"{self.prefix}:same:{person}"

    def said(self, likeness: str) -> str:
        """That somebody said this, where nothing is said twice."""
        return f"{self.prefix}:said:{likeness}"


def keys_of(room: str) -> RoomKeys:
    """The keys of a room."""
    return RoomKeys(f"room:{{{show_of(room)}}}" + (":staff" if is_staff(room) else ""))


def channel_of(room: str) -> str:
    """The channel on which a room is published."""
    return keys_of(room).prefix
