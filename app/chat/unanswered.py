"""Questions that nobody has answered yet, as the staff see them, during the show and after it; and closing one without
an answer, which can be taken back.
"""

from typing import Any, Final

import asyncpg
import msgspec

from app import clock
from app.chat import question_store
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import QuestionSeenTo, Who, who
from app.chat.parts import Chat
from app.chat.question_clock_rules import Late, clocks
from app.chat.question_store import Row
from app.chat.questions import NO_QUESTION, TakeUp, as_held, keys_of_questions
from app.chat.store import unix_ms
from app.chat.talk_edge import signed_in
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right
from app.refusal import Refusal
from app.rooms.bus import staff_room
from app.rooms.command import Command, Order

LISTED_MAX: Final = 200

_OPEN: Final = """
SELECT q.id, q.account_id, q.name, q.body, q.state, q.votes, q.asked_at, s.ended_at
FROM questions q JOIN shows s ON s.id = q.show_id
WHERE q.show_id = $1 AND q.state IN ('held', 'open', 'answering') ORDER BY q.asked_at, q.id LIMIT $2
"""
_STATE: Final = "SELECT state FROM questions WHERE id = $1 AND show_id = $2 FOR UPDATE"
_NOTE: Final = "UPDATE questions SET closed_at = CASE WHEN $2 THEN now() END WHERE id = $1"
_IS_CLOSED: Final = "SELECT closed_at IS NOT NULL FROM questions WHERE id = $1 AND show_id = $2 AND state = 'past'"


class Unanswered(msgspec.Struct, frozen=True):
    """A question that waits. `at`, `answer_by`, `close_by`: Unix ms, the latter two None until the show has ended."""

    id: str
    by: Who
    text: str
    state: str
    votes: int
    at: int
    answer_by: int | None
    close_by: int | None
    late: Late


class AllUnanswered(msgspec.Struct, frozen=True):
    """Those of a show, the one that waits longest first."""

    questions: list[Unanswered]


async def unanswered(pg: asyncpg.Pool, show: str, now_ms: int) -> list[Unanswered]:
    """What waits for an answer in the show, held questions too."""
    return [_unanswered(row, now_ms) for row in await pg.fetch(_OPEN, show, LISTED_MAX)]


def _unanswered(row: Any, now_ms: int) -> Unanswered:
    asked_ms = unix_ms(row["asked_at"])
    ended_ms = None if row["ended_at"] is None else unix_ms(row["ended_at"])
    is_answering = row["state"] == "answering"
    found = clocks(asked_ms=asked_ms, ended_ms=ended_ms, is_answering=is_answering, now_ms=now_ms)
    by = Who(row["account_id"], row["name"])
    values = (row["id"], by, row["body"], row["state"], row["votes"], asked_ms)
    return Unanswered(*values, found.answer_by, found.close_by, found.late)


async def close(chat: Chat, show: str, actor: Person, question: str) -> Refusal | None:
    """Closes a question without an answer: it leaves the room."""
    async with chat.pg.acquire() as connection, connection.transaction():
        was = await connection.fetchval(_STATE, question, show)
        row = await question_store.set_state(connection, show, question, "past", before=["held", "open", "answering"])
        if row is None:
            return NO_QUESTION
        await connection.execute(_NOTE, question, True)
        detail = {"question": question, "was": "held" if was == "held" else "open"}
        deed = Deed(show, who(actor), "question.close", row.question.by, detail=detail)
        number = await write_act(connection, deed)
    await _tell(chat, row, deed, number)
    return None


async def reopen(chat: Chat, show: str, actor: Person, question: str, *, was: str, undoes: int) -> bool:
    """Takes a closing back; False when the question is not closed any more. `was`: held or open, as it is again."""
    async with chat.pg.acquire() as connection, connection.transaction():
        if not await connection.fetchval(_IS_CLOSED, question, show):
            return False
        row = await question_store.set_state(connection, show, question, was, before=["past"])
        if row is None:
            return False
        await connection.execute(_NOTE, question, False)
        detail = {"question": question}
        deed = Deed(show, who(actor), "question.reopen", row.question.by, detail=detail, undoes=undoes)
        number = await write_act(connection, deed)
    await _tell(chat, row, deed, number)
    return True


async def _tell(chat: Chat, row: Row, deed: Deed, number: int) -> None:
    for key, version, value in keys_of_questions([row]):
        await chat.rooms.set_state(row.show, key, version, value)
    held = row.question.state == "held"
    await chat.rooms.append(staff_room(row.show), as_held(row) if held else QuestionSeenTo(row.question.id))
    await tell_act(chat, deed, number, clock.now_ms())


def commands(parts: Chat) -> list[Command]:
    """What the staff can do about one."""

    async def question_close(order: Order) -> Any:
        return await close(parts, order.show, signed_in(order), order.body.question)

    return [Command(op="question.close", right=Right.SHOW_STAFF, body=TakeUp, action=question_close)]


def endpoints(parts: Chat) -> list[Endpoint]:
    """The list."""

    async def read(call: Call) -> Reply:
        return Reply(AllUnanswered(await unanswered(parts.pg, call.path["show"], call.now_ms)))

    return [
        Endpoint(
            method="GET",
            path="/api/shows/{show}/questions/unanswered",
            right=Right.SHOW_STAFF,
            action=read,
            summary="The questions that nobody has answered yet, with their clocks",
            answer=AllUnanswered,
        )
    ]
