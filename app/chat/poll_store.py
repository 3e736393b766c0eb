"""Polls in Postgres: owns their SQL and the values that are read of them; decides nothing and publishes nothing.

Answers are written elsewhere (ballots.py) under a shared lock of their poll, its end under the lock alone: what was
acknowledged is in the result, and nothing is written after it.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.poll_rules import Wording
from app.chat.store import unix_ms

RESULTS_MAX: Final = 200
ONE_OPEN: Final = "polls_open"
"""The index that has one open poll a show."""

_COLUMNS: Final = """
p.id, p.show_id, p.question, p.options, p.counts, p.state, p.version, p.started_at, p.ends_at,
(SELECT a.name FROM accounts a WHERE a.id = p.by_account_id) AS by
"""
_COUNTED: Final = """
ARRAY(SELECT count(v.choice)::int FROM generate_series(0, cardinality(p.options) - 1) AS c
      LEFT JOIN poll_answers v ON v.poll_id = p.id AND v.choice = c GROUP BY c ORDER BY c)
"""
# None where the show is over.
_INSERT: Final = f"""
INSERT INTO polls AS p (id, show_id, question, options, counts, by_account_id, ends_at)
SELECT $1, s.id, $3, $4::text[], array_fill(0, ARRAY[cardinality($4::text[])]), $5, now() + make_interval(secs => $6)
FROM shows s WHERE s.id = $2 AND s.state <> 'ended' RETURNING {_COLUMNS}
"""  # noqa: S608 constants
_COUNT: Final = "SELECT count(*) FROM polls WHERE show_id = $1"
_READ: Final = f"SELECT {_COLUMNS} FROM polls p WHERE p.show_id = $1 AND p.id = ANY($2)"  # noqa: S608
# What the room shows: the poll that changed last.
_NEWEST: Final = f"SELECT {_COLUMNS} FROM polls p WHERE show_id = $1 ORDER BY version DESC LIMIT 1"  # noqa: S608
_RESULTS: Final = f"""
SELECT {_COLUMNS} FROM polls p WHERE show_id = $1 AND state <> 'withdrawn' ORDER BY started_at DESC LIMIT $2
"""  # noqa: S608
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('poll ' || $1, 0))"
# The open polls that have other counts than were said.
_RECOUNT: Final = f"""
UPDATE polls p SET counts = c.counts, version = nextval('poll_versions')
FROM (SELECT p.id, {_COUNTED} AS counts FROM polls p WHERE p.state = 'open') c
WHERE p.id = c.id AND p.state = 'open' AND p.counts <> c.counts
"""  # noqa: S608
_END: Final = f"""
UPDATE polls p SET state = 'ended', ended_at = now(), counts = {_COUNTED}, version = nextval('poll_versions')
WHERE id = $1 AND show_id = $2 AND state = 'open' RETURNING {_COLUMNS}
"""  # noqa: S608
_DUE: Final = """
SELECT p.id, p.show_id FROM polls p JOIN shows s ON s.id = p.show_id
WHERE p.state = 'open' AND (p.ends_at <= now() OR s.state = 'ended')
"""
# What a room may not have been told: the open ones, and those that ended in the last seconds.
_CHANGED: Final = f"""
SELECT {_COLUMNS} FROM polls p WHERE state = 'open' OR ended_at > now() - make_interval(secs => $1)
"""  # noqa: S608
_WITHDRAW: Final = f"""
UPDATE polls p SET state = 'withdrawn', ended_at = now(), version = nextval('poll_versions')
WHERE id = $1 AND show_id = $2 AND state = 'open' RETURNING {_COLUMNS}
"""  # noqa: S608
# Only while nothing newer was asked.
_REOPEN: Final = f"""
UPDATE polls p SET state = 'open', ended_at = NULL, ends_at = NULL, version = nextval('poll_versions')
FROM shows s WHERE p.id = $1 AND p.show_id = $2 AND p.state = 'ended' AND s.id = p.show_id AND s.state <> 'ended'
    AND NOT EXISTS (SELECT FROM polls n WHERE n.show_id = p.show_id AND n.started_at > p.started_at)
RETURNING {_COLUMNS}
"""  # noqa: S608
_MINE: Final = """
SELECT v.poll_id, v.choice FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (account_id, show_id, place)
LEFT JOIN LATERAL (SELECT id FROM polls WHERE show_id = g.show_id ORDER BY version DESC LIMIT 1) p ON true
LEFT JOIN poll_answers v ON v.poll_id = p.id AND v.account_id = g.account_id ORDER BY g.place
"""


class Poll(msgspec.Struct, frozen=True):
    """The value of a room's key `poll`. `counts`: the answers to each of the options; times in Unix ms, `ends_at` None
    when somebody ends it.
    """

    id: str
    question: str
    options: list[str]
    counts: list[int]
    state: str
    by: str
    at: int
    ends_at: int | None


class Row(msgspec.Struct, frozen=True):
    """A poll as Postgres has it. `poll` None: it was withdrawn."""

    id: str
    show: str
    version: int
    poll: Poll | None


class Mine(msgspec.Struct, frozen=True):
    """What a person answered to the poll that their room shows."""

    id: str
    choice: int


def _row(row: Any) -> Row:
    poll = Poll(
        id=row["id"],
        question=row["question"],
        options=row["options"],
        counts=row["counts"],
        state=row["state"],
        by=row["by"],
        at=unix_ms(row["started_at"]),
        ends_at=None if row["ends_at"] is None else unix_ms(row["ends_at"]),
    )
    return Row(row["id"], row["show_id"], row["version"], None if row["state"] == "withdrawn" else poll)


def _maybe(row: Any) -> Row | None:
    return None if row is None else _row(row)


async def insert_poll(
    connection: Any, *, poll: str, show: str, wording: Wording, by: str, for_s: int | None
) -> Row | None:
    """Writes an open poll; None when the show is over. Raises asyncpg.UniqueViolationError when one is open, or this
    one is written.
    """
    values = (poll, show, wording.question, list(wording.options), by, for_s)
    return _maybe(await connection.fetchrow(_INSERT, *values))


async def count_polls(pg: asyncpg.Pool, show: str) -> int:
    """How many the show has had."""
    return int(await pg.fetchval(_COUNT, show))


async def find_poll(pg: asyncpg.Pool, show: str, ids: Sequence[str]) -> Row | None:
    """The show's poll with one of these ids."""
    return _maybe(await pg.fetchrow(_READ, show, list(ids)))


async def newest(pg: asyncpg.Pool, show: str) -> Row | None:
    """What the room shows."""
    return _maybe(await pg.fetchrow(_NEWEST, show))


async def results(pg: asyncpg.Pool, show: str) -> list[Poll]:
    """All polls of the show, the last one first."""
    rows = [_row(row) for row in await pg.fetch(_RESULTS, show, RESULTS_MAX)]
    return [row.poll for row in rows if row.poll is not None]


async def recount(pg: asyncpg.Pool) -> None:
    """Counts the open polls; those that have more answers than before get another version."""
    await pg.execute(_RECOUNT)


async def changed_lately(pg: asyncpg.Pool, seconds: float) -> list[Row]:
    """All open polls, and those of all shows that ended in the last seconds."""
    return [_row(row) for row in await pg.fetch(_CHANGED, seconds)]


async def due(pg: asyncpg.Pool) -> list[tuple[str, str]]:
    """Open polls (show, id) whose time, or whose show, is over."""
    return [(row["show_id"], row["id"]) for row in await pg.fetch(_DUE)]


async def end(connection: Any, show: str, poll: str) -> Row | None:
    """Ends an open poll with its result; None when it is not open. In a transaction."""
    await connection.execute(_LOCK, poll)  # a statement of its own: the next one sees all that was answered before
    return _maybe(await connection.fetchrow(_END, poll, show))


async def withdraw(connection: Any, show: str, poll: str) -> Row | None:
    """Takes an open poll away, without a result; None when it is not open."""
    return _maybe(await connection.fetchrow(_WITHDRAW, poll, show))


async def reopen(connection: Any, show: str, poll: str) -> Row | None:
    """Has an ended poll go on; None when something newer was asked, or the show is over."""
    return _maybe(await connection.fetchrow(_REOPEN, poll, show))


async def read_mine(pg: asyncpg.Pool, asked: list[tuple[str, str]]) -> list[Mine | None]:
    """Of each (person, show) what they answered to the room's poll. Reads a batch."""
    rows = await pg.fetch(_MINE, [person for person, _ in asked], [show for _, show in asked])
    return [None if row["poll_id"] is None else Mine(row["poll_id"], row["choice"]) for row in rows]
