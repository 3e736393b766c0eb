"""What the bus carries between workers: the messages that the Lua scripts publish, read into values. Pure.

    m <epoch> <offset> <event>                                     an event
    d <epoch> <offset> <buried> <length of event> <event><tombstone>   an event that buries another (0: none)
    b <epoch> <offset> <length of event> <event><burials>          one that buries many: lines of <offset> <tombstone>
    k <epoch> <version> <key> <value>                              a state key
    o <epoch>                                                      the room was opened again
    r <sums>                                                       reactions by kind, kept by nobody
    u <person> <hint>                                              a hint for one person
    s <person>                                                     that person's standing changed, said in both rooms
Events, values and hints are JSON that nobody decodes on the way from the feature to the page.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec


class Told(msgspec.Struct, frozen=True):
    """An event at `o`. `burials`: the offsets whose events are tombstones now, with these."""

    e: str
    o: int
    event: bytes
    burials: tuple[tuple[int, bytes], ...] = ()


class Set(msgspec.Struct, frozen=True):
    """A state key has a new value."""

    e: str
    key: str
    version: int
    value: bytes


class Opened(msgspec.Struct, frozen=True):
    """The room has a new epoch."""

    e: str


class Reacted(msgspec.Struct, frozen=True):
    """So many more reactions of each kind."""

    sums: dict[str, int]


class Hinted(msgspec.Struct, frozen=True):
    """Something for one person's sockets alone."""

    person: str
    hint: bytes


class StandingChanged(msgspec.Struct, frozen=True):
    """A person's rights in the show are to be asked again."""

    person: str


News: TypeAlias = Told | Set | Opened | Reacted | Hinted | StandingChanged


_read_sums = msgspec.json.Decoder(dict[str, int]).decode


def _told(payload: bytes) -> Told:
    _, epoch, offset, event = payload.split(b" ", 3)
    return Told(epoch.decode(), int(offset), event)


def _told_burial(payload: bytes) -> Told:
    _, epoch, offset, buried, length, rest = payload.split(b" ", 5)
    burials = ((int(buried), rest[int(length) :]),) if buried != b"0" else ()
    return Told(epoch.decode(), int(offset), rest[: int(length)], burials)


def _told_burials(payload: bytes) -> Told:
    _, epoch, offset, length, rest = payload.split(b" ", 4)
    lines = (line.partition(b" ") for line in rest[int(length) :].split(b"\n") if line)
    burials = tuple((int(buried), tombstone) for buried, _, tombstone in lines)
    return Told(epoch.decode(), int(offset), rest[: int(length)], burials)


def _set(payload: bytes) -> Set:
    _, epoch, version, key, value = payload.split(b" ", 4)
    return Set(epoch.decode(), key.decode(), int(version), value)


def _hinted(payload: bytes) -> Hinted:
    _, person, hint = payload.split(b" ", 2)
    return Hinted(person.decode(), hint)


_READERS: Final[Mapping[bytes, Callable[[bytes], News]]] = {
    b"m ": _told,
    b"d ": _told_burial,
    b"b ": _told_burials,
    b"k ": _set,
    b"o ": lambda payload: Opened(payload[2:].decode()),
    b"r ": lambda payload: Reacted(_read_sums(payload[2:])),
    b"u ": _hinted,
    b"s ": lambda payload: StandingChanged(payload[2:].decode()),
}


def read_news(payload: bytes) -> News:
    """The message as a value. Only our own scripts publish, so anything else is a defect and an AssertionError."""
    read = _READERS.get(payload[:2])
    assert read is not None, payload[:64]
    return read(payload)
