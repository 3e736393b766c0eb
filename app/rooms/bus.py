"""What features call to speak in a room. Owns the room's Lua scripts and key names; decides no policy.

A room is a show's public room (`room = show id`) or its staff room (`room = staff_room(show)`).
"""

from typing import Protocol

import msgspec

STAFF_SUFFIX = ":staff"


def staff_room(show: str) -> str:
    """The name of the room that only the show's staff may join."""
    return show + STAFF_SUFFIX


class Spoken(msgspec.Struct, frozen=True):
    """Where an event landed: offset `o` under epoch `e`."""

    e: str
    o: int


class Muted(msgspec.Struct, frozen=True):
    """The room refused the words: the person is timed out until `until_ms` (Valkey's clock), or banned (None)."""

    remaining_ms: int | None


class Rooms(Protocol):
    """The sending half of a room, as features see it. app/rooms/valkey_bus.py implements it."""

    async def append(self, room: str, event: msgspec.Struct) -> Spoken:
        """Appends a sequenced event (the `m` of the wire) to the history and publishes it."""

    async def speak(self, room: str, person: str, key: str, event: msgspec.Struct) -> Spoken | Muted:
        """Like append, but only when `person` has no sanction; one script decides and appends. `key` makes a
        retry answer with the first offset.
        """

    async def replace(self, room: str, offset: int, tombstone: msgspec.Struct, event: msgspec.Struct) -> Spoken:
        """Puts a tombstone in the history at `offset` and appends `event` that tells everybody, in one script."""

    async def set_state(self, room: str, key: str, version: int, value: msgspec.Struct | None) -> bool:
        """Sets state `key` (the `k` of the wire) when `version` is newer than what is there, and publishes it."""

    async def tell(self, show: str, person: str, hint: msgspec.Struct) -> None:
        """Sends a hint to one person's sockets of the show (the `u` of the wire)."""
