"""Polls: the staff ask, everybody answers once, all see the bars grow. One action per thing that a person can do.

Answers are written in groups and counted by the worker, so the room hears of them once in a while, however many come.
"""

from typing import Annotated, Final

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.chat import poll_store
from app.chat.acts import Deed, tell_act, write_act
from app.chat.ballots import Ballot
from app.chat.events import who
from app.chat.message_rules import message_ids
from app.chat.parts import Chat
from app.chat.poll_rules import OPTIONS_MAX, POLL_S_MAX, POLL_S_MIN, POLLS_MAX, worded
from app.chat.poll_store import Row
from app.chat.targets import MessageId
from app.person import Person
from app.refusal import Refusal
from app.storage.loops import Loop

SAY_PERIOD_S: Final = 0.5
LOOK_BACK_S: Final = 3.0
FIRST_LOOK_BACK_S: Final = 600.0
"""What was changed while no worker was there is said by the next one."""
KEY: Final = "poll"
NO_POLL: Final = Refusal("not_found", "There is no such poll.")
POLL_OPEN: Final = Refusal("poll_open", "One poll is open already; end it first.")
POLL_OVER: Final = Refusal("poll_over", "This poll takes no answers any more.")

_Text = Annotated[str, Meta(max_length=2000)]


class StartPoll(msgspec.Struct, frozen=True):
    """poll.start. `for_s`: it ends by itself after so long; else when somebody ends it."""

    question: _Text
    options: Annotated[list[_Text], Meta(max_length=OPTIONS_MAX * 2)]
    for_s: Annotated[int, Meta(ge=POLL_S_MIN, le=POLL_S_MAX)] | None = None


class Started(msgspec.Struct, frozen=True):
    """The poll's id."""

    poll: str


class EndPoll(msgspec.Struct, frozen=True):
    """poll.end"""  # noqa: D400, D415 - the command's name

    poll: MessageId


class AnswerPoll(msgspec.Struct, frozen=True):
    """poll.answer: the place of the answer in the options, from 0."""

    poll: MessageId
    choice: Annotated[int, Meta(ge=0, lt=OPTIONS_MAX)]


class Answered(msgspec.Struct, frozen=True):
    """What counts as the person's answer."""

    choice: int


async def start(chat: Chat, show: str, actor: Person, wanted: StartPoll, *, key: str, now_ms: int) -> Started | Refusal:
    """Asks everybody. `key` is the person's own: a retry has no second effect."""
    wording = worded(wanted.question, wanted.options)
    if isinstance(wording, Refusal):
        return wording
    ids = message_ids(show, f"poll {actor.id}", key, now_ms)
    known = await poll_store.find_poll(chat.pg, show, ids)
    if known is not None:
        return Started(known.id)
    if await poll_store.count_polls(chat.pg, show) >= POLLS_MAX:
        return Refusal("too_many", f"A show has at most {POLLS_MAX} polls.")
    deed = Deed(show, who(actor), "poll.start", reason=wording.question, detail={"poll": ids[0]})
    try:
        async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
            row = await poll_store.insert_poll(
                connection, poll=ids[0], show=show, wording=wording, by=actor.id, for_s=wanted.for_s
            )
            if row is None:
                return Refusal("show_ended", "This show has ended.")
            number = await write_act(connection, deed)
    except asyncpg.UniqueViolationError:
        return Started(ids[0]) if await poll_store.find_poll(chat.pg, show, ids) else POLL_OPEN
    await _say(chat, row)
    await tell_act(chat, deed, number, now_ms)
    return Started(row.id)


async def end(chat: Chat, show: str, actor: Person, poll: str) -> Refusal | None:
    """Ends a poll. Ended once more, nothing changes."""
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        row = await poll_store.end(connection, show, poll)
        if row is not None:
            question = "" if row.poll is None else row.poll.question
            deed = Deed(show, who(actor), "poll.end", reason=question, detail={"poll": poll})
            number = await write_act(connection, deed)
    if row is None:
        return None if await poll_store.find_poll(chat.pg, show, [poll]) else NO_POLL
    await _say(chat, row)
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def withdraw(chat: Chat, show: str, actor: Person, poll: str, *, undoes: int) -> bool:
    """Takes back that an open poll was asked; False when it is not open any more."""
    deed = Deed(show, who(actor), "poll.withdraw", detail={"poll": poll}, undoes=undoes)
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        row = await poll_store.withdraw(connection, show, poll)
        number = 0 if row is None else await write_act(connection, deed)
    return await _took(chat, row, deed, number)


async def reopen(chat: Chat, show: str, actor: Person, poll: str, *, undoes: int) -> bool:
    """Takes back that a poll was ended: it goes on until somebody ends it. False when something newer was asked."""
    deed = Deed(show, who(actor), "poll.reopen", detail={"poll": poll}, undoes=undoes)
    try:
        async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
            row = await poll_store.reopen(connection, show, poll)
            number = 0 if row is None else await write_act(connection, deed)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != poll_store.ONE_OPEN:
            raise
        return False  # something newer was asked in this very moment
    return await _took(chat, row, deed, number)


async def _took(chat: Chat, row: Row | None, deed: Deed, number: int) -> bool:
    if row is None:
        return False
    await _say(chat, row)
    await tell_act(chat, deed, number, clock.now_ms())
    return True


async def answer(chat: Chat, show: str, person: Person, wanted: AnswerPoll) -> Answered | Refusal:
    """Counts the person once; the same answer again is no news, another one is refused."""
    counted = await chat.ballots.submit(Ballot(show, wanted.poll, person.id, wanted.choice))
    if counted is None:
        return POLL_OVER
    if counted != wanted.choice:
        return Refusal("answered", "You have answered this poll already.", details={"choice": counted})
    return Answered(counted)


def key_of(row: Row) -> tuple[str, int, poll_store.Poll | None]:
    """The room's key, with its version."""
    return KEY, row.version, row.poll


async def _say(chat: Chat, row: Row) -> None:
    await chat.rooms.set_state(row.show, *key_of(row))


def polls_loop(chat: Chat) -> Loop:
    """The worker role's part: counts what is open, and ends what is due, which is nobody's act. Says what changed by
    it, and what could not be said at once: a room may show a poll as open that takes no answers any more.
    """
    said: dict[str, int] = {}
    done_s = clock.monotonic_s() - FIRST_LOOK_BACK_S

    async def run() -> None:
        nonlocal done_s
        now_s = clock.monotonic_s()
        for show, poll in await poll_store.due(chat.pg):
            async with chat.pg.acquire() as connection, connection.transaction():
                await poll_store.end(connection, show, poll)
        await poll_store.recount(chat.pg)
        changed = await poll_store.changed_lately(chat.pg, now_s - done_s + LOOK_BACK_S)
        for row in changed:
            if said.get(row.id) != row.version:
                await _say(chat, row)
        done_s = now_s
        said.clear()
        said.update((row.id, row.version) for row in changed)

    return Loop("polls", SAY_PERIOD_S, run)
