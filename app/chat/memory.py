"""What chat tells rooms when they ask: the words and sanctions of a lost room, and a person's time left at a join."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from app.chat import held_store, poll_store, polls, question_store, sanctions, store
from app.chat.events import Chat as Message
from app.chat.parts import Chat
from app.chat.question_store import Mine
from app.chat.questions import keys_of_questions
from app.chat.rulebooks import keys_of_room, read_room
from app.chat.warnings import next_warning
from app.person import Person
from app.rooms.bus import HISTORY_MAX, Muted, Spoken, warned
from app.rooms.sources import Words
from app.storage.group_commit import GroupCommit

STORY_MAX: Final = 50
_MESSAGE: Final = b'{"t":"chat",'  # how each begins that msgspec has encoded


def _messages(events: Iterable[bytes]) -> list[tuple[bytes, Message]]:
    return [(event, msgspec.json.decode(event, type=Message)) for event in events if event.startswith(_MESSAGE)]


class ChatMemory:
    """Implements the rooms' StorySource, StateSource, SanctionSource, BanSource and MeSource over chat."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._mine: GroupCommit[tuple[str, str], Mine] = GroupCommit(partial(question_store.read_mine, chat.pg))
        self._answered: GroupCommit[tuple[str, str], poll_store.Mine | None] = GroupCommit(
            partial(poll_store.read_mine, chat.pg)
        )
        self._believed: GroupCommit[tuple[str, str], list[Message]] = GroupCommit(
            partial(held_store.read_hidden, chat.pg)
        )

    async def story_of(self, show: str) -> Sequence[msgspec.Struct]:
        """The show's last messages that were not deleted."""
        return await store.last_messages(self._chat.pg, show, STORY_MAX)

    async def missing(self, show: str, events: Sequence[bytes], history: Sequence[bytes]) -> Sequence[Words]:
        """Messages without a row, unless they were deleted with many others; and those whose row came after the
        history had been begun with the rows that there were.
        """
        present = [message for _, message in _messages(history)]
        known = {message.id for message in present}
        said = [(event, message) for event, message in _messages(events) if message.id not in known]
        written = await store.written(self._chat.pg, [message.id for _, message in said])
        purged = await store.purged(self._chat.pg, show)
        begun_at = min((message.at for message in present), default=0) if len(present) >= STORY_MAX else 0

        def is_missing(message: Message) -> bool:
            if message.id in written:
                return not written[message.id] and message.at > begun_at and len(history) < HISTORY_MAX
            return not any(who in {None, message.by.id} and message.at <= until for who, until in purged)

        return [Words(event, message.id, message.by.id) for event, message in said if is_missing(message)]

    async def said_before(self, show: str, ids: Sequence[str]) -> Spoken | None:
        """Where a message with one of these ids was said, as far as it was copied."""
        return await store.said_before(self._chat.pg, show, ids)

    async def state_of(self, show: str) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
        """The keys `chat`, `notice`, `ticker`, `poll` and `q:*`."""
        asked = keys_of_questions(await question_store.shown(self._chat.pg, show))
        poll = await poll_store.newest(self._chat.pg, show)
        polled = [] if poll is None else [polls.key_of(poll)]
        return [*keys_of_room(await read_room(self._chat.pg, show)), *polled, *asked]

    async def sanctions_of(self, show: str) -> Mapping[str, int | None]:
        """Who may not write, by Postgres."""
        return await sanctions.sanctions_of(self._chat.pg, show)

    async def me_of(self, show: str, person: Person) -> Mapping[str, Any]:
        """`timeout_ms`: the time left, null when the person may write; `banned` when there is no end to it; `warning`:
        what they are to acknowledge first, else null. `questions`: those they voted for, and answers to them alone.
        `poll`: their answer to the one that the room shows. `own`: messages of theirs that
        are in no history.
        """
        rooms = self._chat.rooms
        muted = await rooms.sanction_of(show, person.id)
        is_warned = await rooms.sanction_of(show, warned(person.id)) is not None
        return {
            "timeout_ms": None if muted is None else muted.remaining_ms,
            "banned": bool(muted and muted.remaining_ms is None),
            "warning": await next_warning(self._chat.pg, show, person.id) if is_warned else None,
            "questions": await self._mine.submit((person.id, show)),
            "own": await self._believed.submit((person.id, show)),
            "poll": await self._answered.submit((person.id, show)),
        }

    async def is_banned(self, show: str, person: Person) -> bool:
        """Whether the person may not be in the show, by the room's copy."""
        return await self._chat.rooms.sanction_of(show, person.id) == Muted(None)
