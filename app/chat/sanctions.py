"""Who may not write, in Postgres: the truth behind the rooms' copies. Owns the SQL of sanctions and what goes first.

A ban goes before a timeout, and of timeouts the newest counts.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg

from app.chat.store import at_time, unix_ms
from app.rooms.bus import warned

Executor: TypeAlias = Any
"""A pool or one of its connections."""

# Who is silenced in the show now, in it alone or in its whole shop.
_SANCTIONS: Final = """
SELECT account_id, until FROM (
    SELECT DISTINCT ON (x.account_id) x.account_id, x.until
    FROM sanctions x JOIN shows s ON s.id = $1
    WHERE x.lifted_at IS NULL AND (x.show_id = s.id OR x.shop_id = s.shop_id)
    ORDER BY x.account_id, x.until IS NULL DESC, x.created_at DESC
) newest
WHERE until IS NULL OR until > now()
"""

# The same of many shows.
_SANCTIONS_IN: Final = """
SELECT show_id, account_id, until FROM (
    SELECT DISTINCT ON (s.id, x.account_id) s.id AS show_id, x.account_id, x.until
    FROM shows s JOIN sanctions x ON x.show_id = s.id OR x.shop_id = s.shop_id
    WHERE s.id = ANY($1) AND x.lifted_at IS NULL
    ORDER BY s.id, x.account_id, x.until IS NULL DESC, x.created_at DESC
) newest
WHERE until IS NULL OR until > now()
"""
_WARNED_IN: Final = """
SELECT DISTINCT show_id, account_id FROM warnings WHERE show_id = ANY($1) AND acknowledged_at IS NULL
"""
_WARNED: Final = "SELECT DISTINCT account_id FROM warnings WHERE show_id = $1 AND acknowledged_at IS NULL"

_INSERT_TIMEOUT: Final = """
INSERT INTO sanctions (id, show_id, account_id, kind, until, reason, by_account_id)
VALUES ($1, $2, $3, 'timeout', $4, $5, $6)
"""

# Lifts the timeouts of this show, those that are over too: an older, longer one is not to come back.
_LIFT_TIMEOUTS: Final = """
WITH lifted AS (
    UPDATE sanctions SET lifted_at = now(), lifted_by = $3
    WHERE show_id = $1 AND account_id = $2 AND kind = 'timeout' AND lifted_at IS NULL AND until > now()
    RETURNING until, created_at
)
SELECT until FROM lifted ORDER BY created_at DESC LIMIT 1
"""


async def sanctions_of(pg: Any, show: str) -> dict[str, int | None]:
    """Each silenced person with the Unix ms when it ends, None for never; also, as `warned(person)`, who has a warning
    to acknowledge. `pg` is a pool or a connection.
    """
    in_force = {
        row["account_id"]: None if row["until"] is None else unix_ms(row["until"])
        for row in await pg.fetch(_SANCTIONS, show)
    }
    return in_force | {warned(row["account_id"]): None for row in await pg.fetch(_WARNED, show)}


async def sanctions_in(pg: asyncpg.Pool, shows: Sequence[str]) -> dict[str, dict[str, int | None]]:
    """`sanctions_of` by show; shows without any are left out."""
    found: dict[str, dict[str, int | None]] = {}
    for row in await pg.fetch(_SANCTIONS_IN, list(shows)):
        found.setdefault(row["show_id"], {})[row["account_id"]] = row["until"] and unix_ms(row["until"])
    for row in await pg.fetch(_WARNED_IN, list(shows)):
        found.setdefault(row["show_id"], {})[warned(row["account_id"])] = None
    return found


@asynccontextmanager
async def one_at_a_time(pg: asyncpg.Pool, account: str) -> AsyncIterator[Any]:
    """A connection under a lock on the person: what is done to them in Postgres and then in rooms is done in the same
    order in both.
    """
    async with pg.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", f"sanction {account}")
        try:
            yield connection
        finally:
            # A broken connection has lost the lock with its session.
            if not connection.is_closed():
                await connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", f"sanction {account}")


async def insert_timeout(
    connection: Any, sanction: str, show: str, account: str, *, until_ms: int, reason: str, actor: str
) -> None:
    """Writes a timeout."""
    await connection.execute(_INSERT_TIMEOUT, sanction, show, account, at_time(until_ms), reason, actor)


async def lift_timeouts(connection: Any, show: str, account: str, actor: str) -> int | None:
    """Lifts the person's timeouts in this show: until when (Unix ms) they would have lasted; None: there was none."""
    until = await connection.fetchval(_LIFT_TIMEOUTS, show, account, actor)
    return None if until is None else unix_ms(until)


async def name_of(pg: asyncpg.Pool, account: str) -> str | None:
    """The account's name; None when there is no such account."""
    name: str | None = await pg.fetchval("SELECT name FROM accounts WHERE id = $1", account)
    return name
