"""Messages that wait for a moderator, in Postgres. Owns their SQL; decides nothing and publishes nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.events import Chat, Held, Who
from app.chat.mode_rules import Hold
from app.chat.store import at_time, unix_ms

WAITING_MAX: Final = 500
"""So many are shown to the staff, the oldest first."""

_INSERT: Final = """
INSERT INTO held_messages (id, show_id, account_id, name, body, reply_to, why, found, sent_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING RETURNING id
"""
_WAITING: Final = """
SELECT id, account_id, name, body, why, found, sent_at FROM held_messages
WHERE show_id = $1 AND state = 'waiting' ORDER BY sent_at, id LIMIT $2
"""
_LOCK: Final = """
SELECT id, account_id, name, body, reply_to, why, found, sent_at, state FROM held_messages
WHERE id = $1 AND show_id = $2 FOR UPDATE
"""
_APPROVE: Final = """
UPDATE held_messages SET state = 'approved', decided_at = now(), decided_by = $2 WHERE id = $1
"""
_DENY: Final = """
UPDATE held_messages SET state = 'denied', body = '', found = '', decided_at = now(), decided_by = $2 WHERE id = $1
"""
# Nobody has yet read a message of theirs in any show of the shop.
_IS_NEWCOMER: Final = """
SELECT NOT EXISTS (
    SELECT 1 FROM messages m JOIN shows s ON s.id = m.show_id
    WHERE m.account_id = $2 AND m.deleted_at IS NULL AND s.shop_id = (SELECT shop_id FROM shows WHERE id = $1)
)
"""


async def insert_held(pg: asyncpg.Pool, show: str, event: Chat, hold: Hold) -> bool:
    """Writes a message that waits. False when it was written before."""
    by = event.by
    values = (event.id, show, by.id, by.name, event.text, event.re, hold.why, hold.found, at_time(event.at))
    return await pg.fetchval(_INSERT, *values) is not None


async def waiting_in(pg: asyncpg.Pool, show: str) -> list[Held]:
    """What waits in the show."""
    return [as_held(row) for row in await pg.fetch(_WAITING, show, WAITING_MAX)]


def as_held(row: Any) -> Held:
    """A row as the staff see it."""
    author = Who(row["account_id"], row["name"])
    return Held(row["id"], author, row["body"], row["why"], row["found"], unix_ms(row["sent_at"]))


class Deciding(msgspec.Struct, frozen=True):
    """A message that is being decided on, locked, and the transaction's connection."""

    connection: Any
    held: Held
    re: str | None
    state: str


@asynccontextmanager
async def deciding(pg: asyncpg.Pool, show: str, message: str) -> AsyncIterator[Deciding | None]:
    """The message under a lock, in a transaction; None when there is none."""
    async with pg.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, message, show)
        yield None if row is None else Deciding(connection, as_held(row), row["reply_to"], row["state"])


async def set_decided(deciding_on: Deciding, actor: str, *, approved: bool) -> None:
    """Writes the decision; a denied text goes."""
    await deciding_on.connection.execute(_APPROVE if approved else _DENY, deciding_on.held.id, actor)


async def is_newcomer(pg: asyncpg.Pool, show: str, account: str) -> bool:
    """Whether nobody has read this person in any show of the shop so far."""
    return bool(await pg.fetchval(_IS_NEWCOMER, show, account))
