"""Posting and deleting messages: one action per thing that a person can do. Owns no SQL and no script."""

from typing import Final

import msgspec

from app import clock
from app.chat import store
from app.chat.events import Act, Author, Chat, ChatDeleted, ChatGone, Who, who
from app.chat.message_rules import message_ids
from app.chat.moderation_rules import may_delete
from app.chat.parts import Chat as ChatParts
from app.chat.text_rules import clean_message
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import Backlogged, Muted, Spoken, TooFast, staff_room

BACKLOG_RETRY_MS: Final = 2000


class Post(msgspec.Struct, frozen=True):
    """chat.post"""  # noqa: D400, D415 - the command's name

    text: str


class Posted(msgspec.Struct, frozen=True):
    """The message's id and its offset in the room."""

    message: str
    o: int


class Delete(msgspec.Struct, frozen=True):
    """chat.delete"""  # noqa: D400, D415 - the command's name

    message: str


async def post(
    chat: ChatParts, show: str, person: Person, standing: Standing, *, text: str, key: str, now_ms: int
) -> Posted | Refusal:
    """Says `text` in the show's room. `key` is the person's own for this message: a retry has no second effect."""
    clean = clean_message(text)
    if isinstance(clean, Refusal):
        return clean
    message, former = message_ids(show, person.id, key, now_ms)
    event = Chat(message, Author(person.id, person.name, standing), clean, now_ms)
    answer = await chat.rooms.speak(show, person.id, event, event_id=message, former_id=former, pace=chat.pace)
    match answer:
        case Spoken():
            return Posted(answer.id, answer.o)
        case Muted(remaining_ms=None):
            return Refusal("banned", "You may not write in this show.")
        case Muted():
            return Refusal("timed_out", "You may not write for a while.", answer.remaining_ms)
        case TooFast():
            return Refusal("too_fast", "You are writing too fast.", answer.retry_after_ms)
        case Backlogged():
            return Refusal("overloaded", "The room takes no more messages just now.", BACKLOG_RETRY_MS)


async def delete(chat: ChatParts, show: str, actor: Person, standing: Standing, message: str) -> Refusal | None:
    """Takes a message away everywhere: from Postgres first, so that no copy or rebuilt room brings it back."""
    found = await _find(chat, show, message)
    if found is None:
        return Refusal("not_found", "There is no such message.")
    if not may_delete(standing, found.chat.by.standing):
        return Refusal("forbidden", "A moderator cannot delete the host's messages.")
    fresh = await store.delete_message(chat.pg, found, actor.id)
    # The room may have been lost and rebuilt since: only now it is certain that no later one has the text.
    in_room = await _find_in_room(chat, show, message)
    if not fresh and in_room is None:
        return None
    now_ms = clock.now_ms()
    last = in_room or found
    at = Spoken(last.epoch, last.offset, message)
    await chat.rooms.replace(show, at, ChatGone(message), ChatDeleted(message, who(actor), now_ms))
    author = Who(found.chat.by.id, found.chat.by.name)
    await chat.rooms.append(staff_room(show), Act(who(actor), "message.delete", author, now_ms))
    return None


async def _find(chat: ChatParts, show: str, message: str) -> store.Copy | None:
    return await _find_in_room(chat, show, message) or await store.find_message(chat.pg, show, message)


async def _find_in_room(chat: ChatParts, show: str, message: str) -> store.Copy | None:
    """The message in the room's history, which has it before Postgres does. None when it is a tombstone."""
    story = await chat.rooms.story(show)
    for said in reversed(story.said):
        if message.encode() in said.event and b'"t":"chat"' in said.event:
            event = msgspec.json.decode(said.event, type=Chat)
            if event.id == message:
                return store.Copy(show, story.e, said.o, event)
    return None
