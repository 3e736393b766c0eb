"""What chat puts on the room's wire: events, tombstones and hints, as msgspec types with the wire's own names."""

import msgspec

from app.person import Person, Standing


class Who(msgspec.Struct, frozen=True):
    """A person as everybody sees them."""

    id: str
    name: str


class Author(msgspec.Struct, frozen=True):
    """The person behind a message, and what they were in the show when they wrote it."""

    id: str
    name: str
    standing: Standing


class Chat(msgspec.Struct, frozen=True, tag="chat", tag_field="t"):
    """A message. `at` is Unix ms."""

    id: str
    by: Author
    text: str
    at: int


class ChatGone(msgspec.Struct, frozen=True, tag="chat.gone", tag_field="t"):
    """The tombstone in a deleted message's place."""

    id: str


class ChatDeleted(msgspec.Struct, frozen=True, tag="chat.deleted", tag_field="t"):
    """A message was deleted."""

    id: str
    by: Who
    at: int


class Timeout(msgspec.Struct, frozen=True, tag="timeout", tag_field="t"):
    """A person may not write for a while."""

    person: Who
    seconds: int
    at: int


class Banned(msgspec.Struct, frozen=True, tag="ban", tag_field="t"):
    """A person may not write any more."""

    person: Who
    at: int


class TimeoutEnded(msgspec.Struct, frozen=True, tag="timeout.ended", tag_field="t"):
    """A person may write again, before the time was over."""

    person: Who
    at: int


class TimeoutHint(msgspec.Struct, frozen=True, tag="timeout", tag_field="t"):
    """For the person alone: how long and why. `remaining_ms` 0: over."""

    remaining_ms: int
    reason: str


class Act(msgspec.Struct, frozen=True, tag="act", tag_field="t"):
    """For the staff room: who did what to whom."""

    actor: Who
    act: str
    target: Who | None
    at: int


def who(person: Person) -> Who:
    """The person without their session."""
    return Who(person.id, person.name)
