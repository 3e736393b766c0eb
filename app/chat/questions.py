"""Questions to the host: asking, voting, taking up, answering, removing. One action per thing that a person can do.

A question passes the same gate as a message (sanctions, rules, pace), and stands in the room as a state key of its own,
so it is there for who joins late and comes back from Postgres with a lost room. Votes are counted in Postgres at once
and said by the worker, all of a moment together.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from app import clock
from app.accounts.standing import standing as standing_of
from app.chat import question_store
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Author, Chat, QuestionAnswered, QuestionHeld, QuestionSeenTo, who
from app.chat.fold_rules import fold
from app.chat.message_rules import message_ids
from app.chat.messages import CHANGING, RULES_TRIES_MAX, judge, refused
from app.chat.mode_rules import Hold, Rulebook
from app.chat.moderation_rules import may_delete
from app.chat.parts import Chat as ChatParts
from app.chat.question_store import Question, Row
from app.chat.reviewing import Gate
from app.chat.targets import MessageId
from app.chat.text_rules import clean_message
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import Answer as RoomAnswer
from app.rooms.bus import Judged, Kept, Pace, Stale, staff_room
from app.storage.loops import Loop

ASK_PACE: Final = Pace(30_000, 2, ":ask")
VOTE_PACE: Final = Pace(2_000, 20, ":vote")
"""Whoever comes late reads them all and votes for many; each vote is a row and an event for everybody."""
WAITING_MAX: Final = 100
"""So many questions wait in a show, and so many of one person."""
OWN_MAX: Final = 3
SAY_PERIOD_S: Final = 0.5
LOOK_BACK_S: Final = 3.0
FIRST_LOOK_BACK_S: Final = 600.0
"""What was changed while no worker was there is said by the next one."""

NO_QUESTION: Final = Refusal("not_found", "There is no such question.")


class Ask(msgspec.Struct, frozen=True):
    """question.ask"""  # noqa: D400, D415 - the command's name

    text: str


class Asked(msgspec.Struct, frozen=True):
    """The question's id; `held`: it waits for a moderator."""

    question: str
    held: bool


class Vote(msgspec.Struct, frozen=True):
    """question.vote; `on` false takes the vote back."""

    question: MessageId
    on: bool = True


class TakeUp(msgspec.Struct, frozen=True):
    """question.take, question.let and question.remove"""  # noqa: D400, D415 - the commands' names

    question: MessageId


class Answer(msgspec.Struct, frozen=True):
    """question.answer: in words, or (empty) aloud in the show. `private`: for the asker alone."""

    question: MessageId
    text: Annotated[str, Meta(max_length=4000)] = ""
    private: bool = False


async def ask(
    chat: ChatParts,
    show: str,
    person: Person,
    standing: Standing,
    *,
    text: str,
    key: str,
    now_ms: int,
    address: str = "",
) -> Asked | Refusal:
    """Asks. `key` is the person's own: a retry has no second effect. `address`: where from."""
    clean = clean_message(text)
    if isinstance(clean, Refusal):
        return clean
    question, former = message_ids(show, f"ask {person.id}", key, now_ms)
    for one in (question, former):
        known = await question_store.read_question(chat.pg, show, one)
        if known is not None:
            return Asked(one, known.question.state == "held")
    full = await _refuse_more(chat, show, person)
    if full is not None:
        return full
    event = Chat(question, Author(person.id, person.name, standing), clean, now_ms)
    passed = await _pass(chat, show, event, former, address)
    if isinstance(passed, Refusal):
        return passed
    state, why = ("held", passed.why) if passed is not None else ("open", "")
    made = await question_store.insert_question(
        chat.pg, question=question, show=show, by=who(person), text=clean, state=state, why=why, waiting_max=WAITING_MAX
    )
    row = await question_store.read_question(chat.pg, show, question)
    if row is None:  # full or silenced in this very moment
        return await _refuse_more(chat, show, person) or Refusal("timed_out", "You may not write for a while.")
    if made:
        await _say(chat, [row])
    return Asked(question, row.question.state == "held")


async def _refuse_more(chat: ChatParts, show: str, person: Person) -> Refusal | None:
    waiting, own = await question_store.count_waiting(chat.pg, show, person.id)
    if own >= OWN_MAX:
        return Refusal("too_many", f"{OWN_MAX} questions of yours wait for an answer; ask again when one has it.")
    if waiting >= WAITING_MAX:
        return Refusal("too_many", "More questions wait than can be answered; vote for one.")
    return None


async def _pass(chat: ChatParts, show: str, event: Chat, former: str, address: str) -> Hold | Refusal | None:
    """Through the gate that messages pass, without being said there: held (Hold), refused, or free (None)."""
    staff = event.by.standing is not Standing.VIEWER
    pace = Pace(1, 1000, ":ask") if staff else ASK_PACE
    for _ in range(RULES_TRIES_MAX):
        rules = await chat.rulebooks.of(show)
        speak = partial(_speak, chat, show, event, former=former, rules=rules, pace=pace, address=address)
        gate = Gate(partial(speak, "ask"), pace)
        verdict = await judge(chat, show, event, fold(event.text), rules=rules, gate=gate)
        if isinstance(verdict, Refusal) and gate.against is None:
            answer: RoomAnswer = await chat.rooms.look(show, (event.id, former))
            if not isinstance(answer, Stale) or answer.room == rules.version:
                return verdict
        else:
            answer = gate.against or await speak("wait")
            if isinstance(answer, Kept):
                return verdict
            if not isinstance(answer, Stale):
                return refused(answer)
        await chat.rulebooks.renew(show, answer.room)
    return CHANGING


async def _speak(
    chat: ChatParts, show: str, event: Chat, then: str, *, former: str, rules: Rulebook, pace: Pace, address: str
) -> RoomAnswer:
    return await chat.rooms.speak(
        show,
        event.by.id,
        event,
        event_id=event.id,
        former_id=former,
        pace=pace,
        judged=Judged(rules.version, "", then),
        shared=chat.shared(address, event.by.standing),
    )


async def vote(chat: ChatParts, show: str, person: Person, wanted: Vote) -> Refusal | None:
    """Counts the person for a question, once however often; nobody for their own."""
    too_fast = await chat.rooms.pace(show, person.id, VOTE_PACE)
    if too_fast is not None:
        return Refusal("too_fast", "You are voting too fast.", too_fast.retry_after_ms)
    await question_store.vote(chat.pg, show, wanted.question, person.id, on=wanted.on)
    return None


async def take(chat: ChatParts, show: str, question: str) -> Refusal | None:
    """The host answers it now; what was being answered before has its answer."""
    async with chat.pg.acquire() as connection, connection.transaction():
        row = await question_store.set_state(
            connection, show, question, "answering", before=["open", "answering", "answered"]
        )
        if row is None:
            return NO_QUESTION
        put_down = await question_store.put_down(connection, show, question)
        retired = await question_store.retire(connection, show)
    await _say(chat, [*put_down, row, *retired])
    return None


async def answer(chat: ChatParts, show: str, actor: Person, wanted: Answer) -> Refusal | None:
    """Answered: aloud, in words for all, or in words for the asker alone."""
    text = clean_message(wanted.text) if wanted.text else ""
    if isinstance(text, Refusal):
        return text
    async with chat.pg.acquire() as connection, connection.transaction():
        row = await question_store.set_state(
            connection,
            show,
            wanted.question,
            "answered",
            before=["open", "answering", "answered"],
            answer=text,
            private=wanted.private and bool(text),
        )
        if row is None:
            return NO_QUESTION
        deed = Deed(show, who(actor), "question.answer", row.question.by, detail={"question": wanted.question})
        number = await write_act(connection, deed)
        retired = await question_store.retire(connection, show)
    await _say(chat, [row, *retired])
    await chat.rooms.tell(show, row.question.by.id, QuestionAnswered(wanted.question, text, row.question.private))
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def let_through(chat: ChatParts, show: str, actor: Person, question: str) -> Refusal | None:
    """A question that a filter held is asked after all."""
    return await _decide(chat, show, actor, question, "open")


async def remove(chat: ChatParts, show: str, actor: Person, standing: Standing, question: str) -> Refusal | None:
    """Takes a question away, its words for good; not that of who stands higher."""
    asked = await question_store.read_question(chat.pg, show, question)
    if asked is None:
        return NO_QUESTION
    author = await standing_of(chat.pg, show, Person(asked.question.by.id, asked.question.by.name))
    if not may_delete(standing, author or Standing.VIEWER):
        return Refusal("forbidden", "A moderator cannot remove the host's questions.")
    return await _decide(chat, show, actor, question, "removed")


async def _decide(chat: ChatParts, show: str, actor: Person, question: str, state: str) -> Refusal | None:
    before = ["held"] if state == "open" else ["held", "open", "answering", "answered"]
    async with chat.pg.acquire() as connection, connection.transaction():
        row = await question_store.set_state(connection, show, question, state, before=before)
        if row is None:
            return NO_QUESTION
        act = "question.let" if state == "open" else "question.remove"
        deed = Deed(show, who(actor), act, row.question.by, detail={"question": question})
        number = await write_act(connection, deed)
    await _say(chat, [row])
    await chat.rooms.append(staff_room(show), QuestionSeenTo(question))
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def remove_of(chat: ChatParts, show: str, account: str | None) -> None:
    """Takes away all that a person (None: everybody) asked, with the rest of their words."""
    stood, held = await question_store.remove_of(chat.pg, show, account)
    await _say(chat, stood)
    for question in held:
        await chat.rooms.append(staff_room(show), QuestionSeenTo(question))


def keys_of_questions(rows: Iterable[Row]) -> Sequence[tuple[str, int, Question | None]]:
    """The room's keys, with their version; None for what is no longer there."""
    return [
        (f"q:{row.question.id}", row.version, None if row.question.state in {"removed", "past"} else row.question)
        for row in rows
        if row.question.state != "held"
    ]


async def _say(chat: ChatParts, rows: Sequence[Row]) -> None:
    for row in rows:
        for key, version, value in keys_of_questions([row]):
            await chat.rooms.set_state(row.show, key, version, value)
        if row.question.state == "held":
            await chat.rooms.append(staff_room(row.show), as_held(row))


def as_held(row: Row) -> QuestionHeld:
    """A held question as the staff see it."""
    return QuestionHeld(row.question.id, row.question.by, row.question.text, row.why, row.question.at)


def questions_loop(chat: ChatParts) -> Loop:
    """The worker role's part: says what changed lately, votes above all, and what could not be said at once."""
    said: dict[str, int] = {}
    done_s = clock.monotonic_s() - FIRST_LOOK_BACK_S

    async def run() -> None:
        nonlocal done_s
        now_s = clock.monotonic_s()
        changed = await question_store.changed_lately(chat.pg, now_s - done_s + LOOK_BACK_S)
        await _say(chat, [row for row in changed if said.get(row.question.id) != row.version])
        done_s = now_s
        said.clear()
        said.update((row.question.id, row.version) for row in changed)

    return Loop("questions", SAY_PERIOD_S, run)
