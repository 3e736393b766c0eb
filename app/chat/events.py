"""What chat puts on the room's wire: events, tombstones and hints, as msgspec types with the wire's own names."""

from typing import Final

import msgspec

from app.person import Person, Standing
from app.rooms.bus import WordsForm


class Who(msgspec.Struct, frozen=True):
    """A person as everybody sees them."""

    id: str
    name: str


class Author(msgspec.Struct, frozen=True):
    """The person behind a message, and what they were in the show when they wrote it."""

    id: str
    name: str
    standing: Standing


class Chat(msgspec.Struct, frozen=True, tag="chat", tag_field="t", omit_defaults=True):
    """A message. `at` is Unix ms; `re` the message that it answers. The order of `id` and `by` is known to WORDS."""

    id: str
    by: Author
    text: str
    at: int
    re: str | None = None


WORDS: Final = WordsForm(
    pattern='^{"t":"chat","id":"([^"]*)","by":{"id":"([^"]*)"', tombstone='{"t":"chat.gone","id":"%s"}'
)
"""How a Chat and a ChatGone are written, for the room's script."""


class ChatGone(msgspec.Struct, frozen=True, tag="chat.gone", tag_field="t"):
    """The tombstone in a deleted message's place."""

    id: str


class ChatDeleted(msgspec.Struct, frozen=True, tag="chat.deleted", tag_field="t"):
    """A message was deleted."""

    id: str
    by: Who
    at: int


class ChatPurged(msgspec.Struct, frozen=True, tag="chat.purged", tag_field="t"):
    """All that a person (None: everybody) had said is deleted."""

    person: Who | None
    by: Who
    at: int


class Held(msgspec.Struct, frozen=True, tag="held", tag_field="t"):
    """For the staff room: a message waits. `why`: `term` (with what was `found`), `newcomer`, `restricted`, `review`;
    `delay` when it is let out by itself, `hidden` when its author alone sees it beside the staff.
    """

    id: str
    by: Who
    text: str
    why: str
    found: str
    at: int


class HeldDecided(msgspec.Struct, frozen=True, tag="held.decided", tag_field="t"):
    """For the staff room, and for the author alone without `by`: the message was let through, or not."""

    id: str
    approved: bool
    by: Who | None = None


class Report(msgspec.Struct, frozen=True, tag="report", tag_field="t"):
    """For the staff room: a viewer says something is wrong with a message."""

    id: str
    message: str
    author: Who
    by: Who
    reason: str
    at: int


class ReportClosed(msgspec.Struct, frozen=True, tag="report.closed", tag_field="t"):
    """For the staff room: somebody has seen to the reports of a message."""

    message: str
    by: Who


class QuestionHeld(msgspec.Struct, frozen=True, tag="question.held", tag_field="t"):
    """For the staff room: a question waits. `why` as of a held message."""

    id: str
    by: Who
    text: str
    why: str
    at: int


class QuestionSeenTo(msgspec.Struct, frozen=True, tag="question.seen_to", tag_field="t"):
    """For the staff room: a question waits no more."""

    id: str


class QuestionAnswered(msgspec.Struct, frozen=True, tag="question.answered", tag_field="t"):
    """For the asker alone: their question was answered; `text` empty: aloud."""

    id: str
    text: str
    private: bool


class Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="t"):
    """What the show answers by itself to the message `re`. Kept by nobody but the room."""

    re: str
    text: str
    at: int


class Timeout(msgspec.Struct, frozen=True, tag="timeout", tag_field="t"):
    """A person may not write for a while."""

    person: Who
    seconds: int
    at: int


class TimeoutEnded(msgspec.Struct, frozen=True, tag="timeout.ended", tag_field="t"):
    """A person may write again, before the time was over."""

    person: Who
    at: int


class Ban(msgspec.Struct, frozen=True, tag="ban", tag_field="t"):
    """A person may not write in this show, nor be in it."""

    person: Who
    at: int


class BanEnded(msgspec.Struct, frozen=True, tag="ban.ended", tag_field="t"):
    """A person may come back."""

    person: Who
    at: int


class UnbanAsked(msgspec.Struct, frozen=True, tag="unban.asked", tag_field="t"):
    """For the staff room: somebody who is banned asks to be let back."""

    id: str
    by: Who
    text: str
    at: int


class UnbanDecided(msgspec.Struct, frozen=True, tag="unban.decided", tag_field="t"):
    """For the staff room: somebody has decided on it."""

    id: str
    accepted: bool
    by: Who


class EvasionSuspected(msgspec.Struct, frozen=True, tag="evasion", tag_field="t"):
    """For the staff room: somebody may be `like`, who is banned. `hint`: they share a `device` or an `address`."""

    by: Who
    like: Who
    hint: str
    at: int


class EvasionClosed(msgspec.Struct, frozen=True, tag="evasion.closed", tag_field="t"):
    """For the staff room: somebody has seen to what was suspected of the account."""

    account: str
    by: Who


class Banned(msgspec.Struct, frozen=True, tag="banned", tag_field="t"):
    """For the person alone: why; None: no longer."""

    reason: str | None


class Warning(msgspec.Struct, frozen=True, tag="warning", tag_field="t"):  # noqa: A001 - the word that everybody uses
    """For the person alone: what they are to acknowledge before they write again."""

    id: str
    reason: str


class TimeoutHint(msgspec.Struct, frozen=True, tag="timeout", tag_field="t"):
    """For the person alone: how long and why. `remaining_ms` 0: over."""

    remaining_ms: int
    reason: str


class Act(msgspec.Struct, frozen=True, tag="act", tag_field="t", omit_defaults=True):
    """For the staff room: who did what to whom. `n` is its number in the log, `undoes` that of what it took back."""

    actor: Who
    act: str
    target: Who | None
    at: int
    n: int = 0
    message: str | None = None
    reason: str = ""
    undoable: bool = False
    undoes: int = 0


def who(person: Person) -> Who:
    """The person without their session."""
    return Who(person.id, person.name)
