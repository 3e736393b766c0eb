"""Questions in Postgres: owns their SQL and the values that are read of them; decides nothing and publishes nothing."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.events import Who
from app.chat.store import unix_ms

SHOWN_MAX: Final = 100
"""So many of a show stand in its room, those that wait for an answer first."""
ANSWERED_MAX: Final = 20
"""So many that were answered stay there."""
MINE_MAX: Final = 50

# Only of a person whom nothing silences by now, and only while there is room; once, however often it is tried.
_INSERT: Final = """
INSERT INTO questions (id, show_id, account_id, name, body, state, why, asked_ms)
SELECT $1, s.id, $3, $4, $5, $6, $7, (extract(epoch FROM now() - s.started_at) * 1000)::bigint
FROM shows s WHERE s.id = $2 AND NOT EXISTS (
    SELECT FROM (
        SELECT x.until FROM sanctions x
        WHERE x.account_id = $3 AND x.lifted_at IS NULL AND (x.show_id = s.id OR x.shop_id = s.shop_id)
        ORDER BY x.until IS NULL DESC, x.created_at DESC LIMIT 1
    ) newest WHERE newest.until IS NULL OR newest.until > now()
) AND (SELECT count(*) FROM questions w WHERE w.show_id = s.id AND w.state IN ('held', 'open')) < $8
ON CONFLICT (id) DO NOTHING RETURNING id
"""
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtextextended('questions ' || $1, 0))"
_COUNTS: Final = """
SELECT count(*) AS waiting, count(*) FILTER (WHERE account_id = $2) AS own FROM questions
WHERE show_id = $1 AND state IN ('held', 'open')
"""
_COLUMNS: Final = """
q.id, q.account_id, q.name, q.body, q.state, q.why, q.votes, q.version, q.answer, q.private, q.asked_at, q.asked_ms,
q.taken_ms, q.show_id
"""
_READ: Final = f"SELECT {_COLUMNS} FROM questions q WHERE q.id = $1 AND q.show_id = $2"  # noqa: S608 constants
_SHOWN: Final = f"""
SELECT {_COLUMNS} FROM questions q WHERE show_id = $1 AND state IN ('open', 'answering', 'answered')
ORDER BY state = 'answered', CASE state WHEN 'answered' THEN -extract(epoch FROM changed_at) ELSE -votes END, asked_at
LIMIT $2
"""  # noqa: S608
_HELD: Final = f"""
SELECT {_COLUMNS} FROM questions q WHERE show_id = $1 AND state = 'held' ORDER BY asked_at LIMIT $2
"""  # noqa: S608
_CHANGED: Final = f"""
SELECT {_COLUMNS} FROM questions q WHERE changed_at > now() - make_interval(secs => $1) AND state <> 'held'
"""  # noqa: S608
_VOTE: Final = """
WITH vote AS (
    INSERT INTO question_votes (question_id, account_id, show_id)
    SELECT id, $3, show_id FROM questions
    WHERE id = $1 AND show_id = $2 AND account_id <> $3 AND state IN ('open', 'answering')
    ON CONFLICT DO NOTHING RETURNING question_id
)
UPDATE questions SET votes = votes + 1, version = version + 1, changed_at = now()
WHERE id IN (SELECT question_id FROM vote)
"""
_UNVOTE: Final = """
WITH vote AS (
    DELETE FROM question_votes WHERE question_id = $1 AND show_id = $2 AND account_id = $3
        AND question_id IN (SELECT id FROM questions WHERE id = $1 AND state IN ('open', 'answering'))
    RETURNING question_id
)
UPDATE questions SET votes = votes - 1, version = version + 1, changed_at = now()
WHERE id IN (SELECT question_id FROM vote)
"""
_SET: Final = f"""
UPDATE questions q SET state = $3, body = CASE WHEN $3 = 'removed' THEN '' ELSE body END,
       answer = CASE WHEN $3 = 'removed' THEN '' ELSE coalesce($4, answer) END, private = coalesce($5, private),
       taken_ms = CASE WHEN $3 IN ('answering', 'answered')
                       THEN coalesce(taken_ms, (SELECT (extract(epoch FROM now() - s.started_at) * 1000)::bigint
                                                FROM shows s WHERE s.id = $2))
                       ELSE taken_ms END,
       version = version + 1, changed_at = now()
WHERE id = $1 AND show_id = $2 AND state = ANY($6) RETURNING {_COLUMNS}
"""  # noqa: S608
# Whoever is taken up next ends the one before.
_PUT_DOWN: Final = f"""
UPDATE questions q SET state = 'answered', version = version + 1, changed_at = now()
WHERE show_id = $1 AND state = 'answering' AND id <> $2 RETURNING {_COLUMNS}
"""  # noqa: S608
# Of those that were answered only the last stay in the room.
_RETIRE: Final = f"""
UPDATE questions q SET state = 'past', version = version + 1, changed_at = now()
WHERE id IN (SELECT id FROM questions WHERE show_id = $1 AND state = 'answered' ORDER BY changed_at DESC OFFSET $2)
RETURNING {_COLUMNS}
"""  # noqa: S608
# All lose their words; what left the room long ago has nothing more to be said of it.
_REMOVE_OF: Final = f"""
WITH former AS (
    SELECT id, state AS was FROM questions
    WHERE show_id = $1 AND ($2::text IS NULL OR account_id = $2) AND state <> 'removed' FOR UPDATE
)
UPDATE questions q SET state = 'removed', body = '', answer = '', version = version + 1,
       changed_at = CASE WHEN former.was = 'past' THEN q.changed_at ELSE now() END
FROM former WHERE q.id = former.id RETURNING {_COLUMNS}, former.was
"""  # noqa: S608
# Of those that stand in the room, the newest last.
_VOTED: Final = """
SELECT v.account_id, v.show_id, v.question_id FROM unnest($1::text[], $2::text[]) AS t (account_id, show_id)
JOIN question_votes v ON v.account_id = t.account_id AND v.show_id = t.show_id
JOIN questions q ON q.id = v.question_id
WHERE q.state IN ('open', 'answering', 'answered') ORDER BY q.asked_at, q.id
"""
_ANSWERED_ALONE: Final = """
SELECT q.account_id, q.show_id, q.id, q.answer FROM unnest($1::text[], $2::text[]) AS t (account_id, show_id)
JOIN questions q ON q.account_id = t.account_id AND q.show_id = t.show_id
WHERE q.state IN ('answered', 'past') AND q.private ORDER BY q.changed_at, q.id
"""


class Question(msgspec.Struct, frozen=True):
    """The value of a room's key `q:<id>`. `asked_ms` and `taken_ms`: how far the show was, None before it began.
    `private`: the asker alone was answered.
    """

    id: str
    by: Who
    text: str
    state: str
    votes: int
    at: int
    asked_ms: int | None
    taken_ms: int | None
    answer: str
    private: bool


class Row(msgspec.Struct, frozen=True):
    """A question as Postgres has it. `why`: what held it."""

    show: str
    version: int
    question: Question
    why: str
    answer: str


class Mine(msgspec.Struct, frozen=True):
    """What one person has to do with the questions of a show: those they voted for, and answers to them alone by id."""

    voted: list[str]
    answers: dict[str, str]


def _row(row: Any) -> Row:
    question = Question(
        id=row["id"],
        by=Who(row["account_id"], row["name"]),
        text=row["body"],
        state=row["state"],
        votes=row["votes"],
        at=unix_ms(row["asked_at"]),
        asked_ms=row["asked_ms"],
        taken_ms=row["taken_ms"],
        answer="" if row["private"] else row["answer"],
        private=row["private"],
    )
    return Row(row["show_id"], row["version"], question, row["why"], row["answer"])


async def insert_question(
    pg: asyncpg.Pool, *, question: str, show: str, by: Who, text: str, state: str, why: str, waiting_max: int
) -> bool:
    """Writes it; False when it was written before, its author is silenced by now, or `waiting_max` wait already."""
    values = (question, show, by.id, by.name, text, state, why, waiting_max)
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_ONE_AT_A_TIME, show)
        return await connection.fetchval(_INSERT, *values) is not None


async def count_waiting(pg: asyncpg.Pool, show: str, account: str) -> tuple[int, int]:
    """How many wait in the show, and how many of them are the person's."""
    row = await pg.fetchrow(_COUNTS, show, account)
    return row["waiting"], row["own"]


async def read_question(pg: asyncpg.Pool, show: str, question: str) -> Row | None:
    """One question, also one that was removed."""
    row = await pg.fetchrow(_READ, question, show)
    return None if row is None else _row(row)


async def shown(pg: asyncpg.Pool, show: str) -> list[Row]:
    """Those that stand in the room."""
    return [_row(row) for row in await pg.fetch(_SHOWN, show, SHOWN_MAX)]


async def held(pg: asyncpg.Pool, show: str) -> list[Row]:
    """Those that wait for a moderator."""
    return [_row(row) for row in await pg.fetch(_HELD, show, SHOWN_MAX)]


async def changed_lately(pg: asyncpg.Pool, seconds: float) -> list[Row]:
    """Those of all shows that changed in the last seconds."""
    return [_row(row) for row in await pg.fetch(_CHANGED, seconds)]


async def vote(pg: asyncpg.Pool, show: str, question: str, account: str, *, on: bool) -> None:
    """Counts a person once, or no more."""
    await pg.execute(_VOTE if on else _UNVOTE, question, show, account)


async def set_state(
    connection: Any,
    show: str,
    question: str,
    state: str,
    *,
    before: Sequence[str],
    answer: str | None = None,
    private: bool | None = None,
) -> Row | None:
    """Moves a question on; None when it is in none of the states `before`."""
    row = await connection.fetchrow(_SET, question, show, state, answer, private, list(before))
    return None if row is None else _row(row)


async def put_down(connection: Any, show: str, but: str) -> list[Row]:
    """Ends what was being answered, save this one."""
    return [_row(row) for row in await connection.fetch(_PUT_DOWN, show, but)]


async def retire(connection: Any, show: str) -> list[Row]:
    """Takes out of the room what was answered long ago."""
    return [_row(row) for row in await connection.fetch(_RETIRE, show, ANSWERED_MAX)]


async def remove_of(pg: asyncpg.Pool, show: str, account: str | None) -> tuple[list[Row], list[str]]:
    """Removes all that a person (None: everybody) asked: what of it stood in the room, and the ids of what was held."""
    removed = await pg.fetch(_REMOVE_OF, show, account)
    stood = [_row(row) for row in removed if row["was"] not in {"held", "past"}]
    return stood, [row["id"] for row in removed if row["was"] == "held"]


async def read_mine(pg: asyncpg.Pool, asked: list[tuple[str, str]]) -> list[Mine]:
    """Of each (person, show) what is theirs. Reads a batch."""
    people, shows = [person for person, _ in asked], [show for _, show in asked]
    voted: dict[tuple[str, str], list[str]] = defaultdict(list)
    answers: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in await pg.fetch(_VOTED, people, shows):
        voted[row["account_id"], row["show_id"]].append(row["question_id"])
    for row in await pg.fetch(_ANSWERED_ALONE, people, shows):
        answers[row["account_id"], row["show_id"]][row["id"]] = row["answer"]
    return [Mine(voted[one][-SHOWN_MAX:], dict(list(answers[one].items())[-MINE_MAX:])) for one in asked]
