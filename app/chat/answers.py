"""Answers that a show gives by itself when a message has a keyword. Owns the tables answer_rules and answer_turns.

The answer is an event of the room and nobody's message. Whose turn it is, all processes ask Postgres, under a lock of
the show, and only for messages that have a keyword.
"""

from typing import Annotated, Final

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.answer_rules import RULES_MAX, Rule, cleaned, find_rule, may_answer
from app.chat.events import Answer, who
from app.chat.parts import Chat
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right
from app.refusal import Refusal
from app.storage.away import unless_away

_READ: Final = "SELECT rules FROM answer_rules WHERE show_id = $1"
_WRITE: Final = """
INSERT INTO answer_rules (show_id, rules) VALUES ($1, $2) ON CONFLICT (show_id) DO UPDATE SET rules = excluded.rules
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('answers ' || $1, 0))"
_TURNS: Final = """
SELECT rule, extract(epoch FROM clock_timestamp() - said_at)::float8 AS ago_s FROM answer_turns
WHERE show_id = $1 AND rule = ANY($2)
"""
_TURN: Final = """
INSERT INTO answer_turns (show_id, rule, said_at) SELECT $1, rule, clock_timestamp() FROM unnest($2::text[]) AS rule
ON CONFLICT (show_id, rule) DO UPDATE SET said_at = excluded.said_at
"""
_ANY: Final = ""


class AnswerRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a show's; the first that fits answers."""

    rules: Annotated[list[Rule], Meta(max_length=RULES_MAX * 2)]


async def read_rules(pg: asyncpg.Pool, show: str) -> list[Rule]:
    """The show's, as Postgres has them."""
    return msgspec.convert(await pg.fetchval(_READ, show) or [], list[Rule])


async def set_rules(
    chat: Chat, show: str, actor: Person, wanted: AnswerRules, *, undoes: int = 0
) -> AnswerRules | Refusal:
    """Replaces them; what is already so is no change."""
    rules = cleaned(wanted.rules)
    if isinstance(rules, Refusal):
        return rules
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, show)
        before, after = await connection.fetchval(_READ, show) or [], msgspec.to_builtins(rules)
        if before == after:
            return AnswerRules(rules)
        deed = Deed(show, who(actor), "answers.set", detail={"before": before, "after": after}, undoes=undoes)
        await connection.execute(_WRITE, show, after)
        number = await write_act(connection, deed)
    chat.answers.forget(show)
    await tell_act(chat, deed, number, clock.now_ms())
    return AnswerRules(rules)


async def answer(chat: Chat, show: str, message: str, text: str, now_ms: int) -> None:
    """Says what the show has to say to a message of a viewer, if it has and it is time. While something is away it says
    nothing: the message was said all the same.
    """
    await unless_away("answer by rule", _answer(chat, show, message, text, now_ms))


async def _answer(chat: Chat, show: str, message: str, text: str, now_ms: int) -> None:
    rule = find_rule(text, await chat.answers.of(show, lambda: read_rules(chat.pg, show)))
    if rule is not None and await _take_turn(chat.pg, show, rule):
        await chat.rooms.append(show, Answer(message, rule.answer, now_ms))


async def _take_turn(pg: asyncpg.Pool, show: str, rule: Rule) -> bool:
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, show)
        ago_s = {row["rule"]: row["ago_s"] for row in await connection.fetch(_TURNS, show, [rule.name, _ANY])}
        if not may_answer(rule, ago_s.get(rule.name), ago_s.get(_ANY)):
            return False
        await connection.execute(_TURN, show, [rule.name, _ANY])
        return True


def endpoints(parts: Chat) -> list[Endpoint]:
    """Reading and writing the rules, for the host."""

    async def read(call: Call) -> Reply:
        return Reply(AnswerRules(await read_rules(parts.pg, call.path["show"])))

    async def write(call: Call) -> Reply | Refusal:
        answer = await set_rules(parts, call.path["show"], call.signed_in, call.body)
        return answer if isinstance(answer, Refusal) else Reply(answer)

    path = "/api/shows/{show}/answers"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SHOW_HOST,
            action=read,
            summary="The answers that the show gives by itself",
            answer=AnswerRules,
        ),
        Endpoint(
            method="PUT",
            path=path,
            right=Right.SHOW_HOST,
            action=write,
            summary="Write the answers that the show gives by itself",
            body=AnswerRules,
            answer=AnswerRules,
        ),
    ]
