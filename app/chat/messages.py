"""Posting and deleting messages: one action per thing that a person can do. Owns no SQL and no script."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from app import clock
from app.accounts.follows import follows_for_s
from app.chat import held_store, store
from app.chat.acts import Deed, tell_act
from app.chat.delayed import DELAY, HIDDEN, take_away
from app.chat.events import Author, Chat, ChatDeleted, ChatGone, Who, who
from app.chat.flood_rules import likeness
from app.chat.fold_rules import fold
from app.chat.held import keep
from app.chat.message_rules import message_ids
from app.chat.mode_rules import Hold, Modes, Rulebook, decide, decide_in_chat, pace_of, stricter, unique_ms
from app.chat.moderation_rules import may_delete
from app.chat.notices import unpin_gone
from app.chat.parts import Chat as ChatParts
from app.chat.reviewing import Gate, review
from app.chat.targets import MessageId
from app.chat.text_rules import clean_message
from app.chat.watch_rules import Level, watched_message, watched_words
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import (
    Answer,
    Backlogged,
    Crowded,
    Judged,
    Kept,
    Muted,
    Pace,
    Repeated,
    Shared,
    Spoken,
    Stale,
    Taken,
    TooFast,
    Warned,
)

BACKLOG_RETRY_MS: Final = 2000
RULES_TRIES_MAX: Final = 4
CHANGING: Final = Refusal("overloaded", "The rules are changing; try again.", BACKLOG_RETRY_MS)
BANNED: Final = Refusal("banned", "You may not write in this show.")
_NOT_YET: Final[Mapping[type, tuple[str, str]]] = {
    TooFast: ("too_fast", "You are writing too fast."),
    Crowded: ("crowded", "Too many are writing at once; try again in a moment."),
    Repeated: ("repeated", "You have just said that."),
    Taken: ("not_unique", "Somebody has just said that."),
}
DELETED_MAX: Final = 50
"""So many messages are deleted by one command."""


class Post(msgspec.Struct, frozen=True):
    """chat.post. `re`: the message that it answers."""

    text: str
    re: MessageId | None = None


class Posted(msgspec.Struct, frozen=True):
    """The message's id and its offset in the room; no offset: it waits for a moderator, or (with `delay_ms`) for
    that long. `wait_ms`: how long the person now waits for their next.
    """

    message: str
    o: int | None
    wait_ms: int | None = None
    delay_ms: int | None = None


class Unseen(Posted, frozen=True):
    """To its author it looks like any other: a message that the staff and the author alone see."""


class Delete(msgspec.Struct, frozen=True):
    """chat.delete"""  # noqa: D400, D415 - the command's name

    message: MessageId


class DeleteMany(msgspec.Struct, frozen=True):
    """chat.delete_many"""  # noqa: D400, D415 - the command's name

    messages: Annotated[list[MessageId], Meta(min_length=1, max_length=DELETED_MAX)]


async def post(
    chat: ChatParts,
    show: str,
    person: Person,
    standing: Standing,
    *,
    text: str,
    key: str,
    now_ms: int,
    re: str | None = None,
    address: str = "",
) -> Posted | Refusal:
    """Says `text` in the show's room, or has it wait. `key` is the person's own: a retry has no second effect.
    `address`: where from.
    """
    clean = clean_message(text)
    if isinstance(clean, Refusal):
        return clean
    message, former = message_ids(show, person.id, key, now_ms)
    event = Chat(message, Author(person.id, person.name, standing), clean, now_ms, re)
    folded = fold(clean)
    same = "" if standing is not Standing.VIEWER else likeness(folded)
    shared = chat.shared(address, standing)
    for _ in range(RULES_TRIES_MAX):
        rules = await chat.rulebooks.of(show)
        pace = pace_of(rules.modes, chat.pace, staff=standing is not Standing.VIEWER)
        speak = partial(_speak, chat, show, event, former=former, rules=rules, same=same, pace=pace, shared=shared)
        gate = Gate(partial(speak, "ask"), pace)
        verdict = await _judge_message(chat, show, event, folded, rules=rules, gate=gate)
        if isinstance(verdict, Refusal):
            # A retry of what was said is no new message, and the rules may have changed since this process read them.
            answer: Answer = gate.against or await chat.rooms.look(show, (message, former))
            if isinstance(answer, Stale) and answer.room == rules.version:
                return verdict
        else:
            answer = await speak("" if verdict is None else "wait", verdict)
            if isinstance(answer, Kept):
                # Kept by an earlier try: its row may be missing, and the rules may have changed since.
                await keep(chat, show, msgspec.structs.replace(event, id=answer.id), verdict or Hold(DELAY))
        if not isinstance(answer, Stale):
            delayed = isinstance(verdict, Hold) and DELAY in {verdict.why, verdict.instead}
            told = _told(answer, pace)
            if isinstance(answer, Kept) and verdict == Hold(HIDDEN):
                return await _show_author(chat, show, msgspec.structs.replace(event, id=answer.id), answer.top, told)
            return _later(told, rules.modes.delay_s * 1000) if delayed else told
        await chat.rulebooks.renew(show, answer.room)
    return CHANGING


async def judge(
    chat: ChatParts, show: str, event: Chat, folded: str, *, rules: Rulebook, gate: Gate
) -> Hold | Refusal | None:
    """What becomes of words under these rules: free (None), held, or refused. `folded`: their text as folded."""
    verdict, level = await _judge_words(chat, show, event, folded, rules), _level(event, rules)
    if level is not Level.RESTRICTED:  # whose words a moderator sees anyway: nobody outside is asked
        verdict = await review(chat, show, event, verdict, gate)
    return watched_words(verdict, level)


async def _judge_message(
    chat: ChatParts, show: str, event: Chat, folded: str, *, rules: Rulebook, gate: Gate
) -> Hold | Refusal | None:
    """The same of a message in the chat, which has rules of its own."""
    verdict = await _judge_words(chat, show, event, folded, rules)
    if not isinstance(verdict, Refusal):
        verdict = stricter(verdict, await _judge_in_chat(chat, show, event, rules.modes))
    level = _level(event, rules)
    if level is not Level.RESTRICTED:  # as with all words of theirs
        verdict = await review(chat, show, event, verdict, gate)
    return watched_message(verdict, level)


async def _judge_words(chat: ChatParts, show: str, event: Chat, folded: str, rules: Rulebook) -> Hold | Refusal | None:
    staff = event.by.standing is not Standing.VIEWER
    asked = rules.modes.newcomers or rules.modes.shield
    newcomer = asked and not staff and await held_store.is_newcomer(chat.pg, show, event.by.id)
    return decide(event.text, folded, rules, staff=staff, newcomer=newcomer)


def _level(event: Chat, rules: Rulebook) -> Level:
    """How closely the staff keep an eye on the author; never on one of them."""
    known = rules.watched.get(event.by.id)
    return Level.NONE if known is None or event.by.standing is not Standing.VIEWER else Level(known)


async def _show_author(chat: ChatParts, show: str, event: Chat, top: int, told: Posted | Refusal) -> Posted | Refusal:
    """Has the author alone see the message, as if it had been said."""
    assert isinstance(told, Posted), told
    await chat.rooms.tell(show, event.by.id, event)
    return Unseen(told.message, top + 1, told.wait_ms)


async def _judge_in_chat(chat: ChatParts, show: str, event: Chat, modes: Modes) -> Hold | Refusal | None:
    staff = event.by.standing is not Standing.VIEWER
    buyer = modes.buyers and not staff and await chat.has_bought(show, event.by.id)
    asked = modes.followers_min is not None and not staff
    follows_s = await follows_for_s(chat.pg, show, event.by.id) if asked else None
    return decide_in_chat(event.text, modes, staff=staff, buyer=buyer, follows_s=follows_s)


async def _speak(
    chat: ChatParts,
    show: str,
    event: Chat,
    then: str,
    verdict: Hold | None = None,
    *,
    former: str,
    rules: Rulebook,
    same: str,
    pace: Pace,
    shared: Shared | None,
) -> Answer:
    judged = Judged(rules.version, same, then, unique_ms(rules.modes, verdict))
    return await chat.rooms.speak(
        show, event.by.id, event, event_id=event.id, former_id=former, pace=pace, judged=judged, shared=shared
    )


def _told(answer: Answer, pace: Pace) -> Posted | Refusal:
    """What the writer is told."""
    wait_ms = pace.every_ms if pace.burst == 1 else None
    match answer:
        case Spoken():
            return Posted(answer.id, answer.o, wait_ms)
        case Kept():
            return Posted(answer.id, None, wait_ms)
    return refused(answer)


def _later(told: Posted | Refusal, delay_ms: int) -> Posted | Refusal:
    """The answer about a message that is said by itself after so long."""
    waits = isinstance(told, Posted) and told.o is None
    return msgspec.structs.replace(told, delay_ms=delay_ms) if waits else told


def refused(answer: Answer) -> Refusal:
    """Why the room would not have the words."""
    match answer:
        case Muted(remaining_ms=left_ms):
            return BANNED if left_ms is None else Refusal("timed_out", "You may not write for a while.", left_ms)
        case Warned():
            return Refusal("warned", "Read the moderator's warning first.")
        case TooFast() | Crowded() | Repeated() | Taken():
            code, why = _NOT_YET[type(answer)]
            return Refusal(code, why, answer.retry_after_ms)
    assert isinstance(answer, Backlogged), answer
    return Refusal("overloaded", "The room takes no more messages just now.", BACKLOG_RETRY_MS)


async def delete(chat: ChatParts, show: str, actor: Person, standing: Standing, message: str) -> Refusal | None:
    """Takes a message away everywhere: from Postgres first, so that no copy or rebuilt room brings it back."""
    unseen = await take_away(chat, show, actor, message)
    found = await _find(chat, show, message)
    if found is None:
        return None if unseen else Refusal("not_found", "There is no such message.")
    if not may_delete(standing, found.chat.by.standing):
        return Refusal("forbidden", "A moderator cannot delete the host's messages.")
    deed = Deed(show, who(actor), "message.delete", Who(found.chat.by.id, found.chat.by.name), message)
    number = await store.delete_message(chat.pg, found, deed)
    # The room may have been lost and rebuilt since: only now it is certain that no later one has the text.
    in_room = await _find_in_room(chat, show, message)
    if number is None and in_room is None:
        return None
    now_ms = clock.now_ms()
    last = in_room or found
    at = Spoken(last.epoch, last.offset, message)
    await chat.rooms.replace(show, at, ChatGone(message), ChatDeleted(message, who(actor), now_ms))
    await unpin_gone(chat, show, message=message)
    for listener in chat.words_listeners:
        await listener.gone(show, message=message, person=None)
    await tell_act(chat, deed, number or 0, now_ms)
    return None


async def delete_many(
    chat: ChatParts, show: str, actor: Person, standing: Standing, messages: list[str]
) -> Refusal | None:
    """Deletes each; says afterwards whether any of them could not be. Those that are gone already do not count."""
    refusals = [await delete(chat, show, actor, standing, message) for message in dict.fromkeys(messages)]
    return next((refusal for refusal in refusals if refusal and refusal.code != "not_found"), None)


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


async def find_said(chat: ChatParts, show: str, message: str) -> Chat | None:
    """The message as it was said, unless it was deleted."""
    in_room = await _find_in_room(chat, show, message)
    if in_room is not None:
        return in_room.chat
    copied = await store.find_message(chat.pg, show, message)
    return copied.chat if copied is not None and copied.chat.text else None
