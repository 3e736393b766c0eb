"""Chat in Postgres: messages, sanctions and acts. Owns the SQL; decides nothing and publishes nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.events import Author, Chat
from app.person import Standing
from app.rooms.bus import Spoken

# Rows of the room's copies. A message whose show or author is gone has no place; one that was deleted meanwhile has
# its row already, without its text, and keeps it.
_INSERT_MESSAGES: Final = """
INSERT INTO messages (id, show_id, epoch, off, account_id, name, standing, body, sent_at)
SELECT m.id, m.show_id, m.epoch, m.off, m.account_id, m.name, m.standing, m.body, m.sent_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[]) AS m (id, show_id, epoch, off, account_id, name, standing, body, sent_at)
JOIN shows s ON s.id = m.show_id
JOIN accounts a ON a.id = m.account_id
ON CONFLICT (id) DO NOTHING
"""

# The deletion of a message that is, or is not yet, copied. Answers only when it was not deleted before.
_DELETE_MESSAGE: Final = """
INSERT INTO messages AS m (id, show_id, epoch, off, account_id, name, standing, body, sent_at, deleted_at, deleted_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8, now(), $9)
ON CONFLICT (id) DO UPDATE SET body = '', deleted_at = now(), deleted_by = excluded.deleted_by
WHERE m.deleted_at IS NULL AND m.show_id = excluded.show_id
RETURNING m.id
"""

# One message of a show, with where it was spoken.
_MESSAGE: Final = """
SELECT id, epoch, off, account_id, name, standing, body, sent_at FROM messages WHERE id = $1 AND show_id = $2
"""

# Which of these ids are taken, by messages of any show.
_WRITTEN: Final = """
SELECT id FROM messages WHERE id = ANY($1)
"""

# Where a message with one of these ids was said.
_SAID_BEFORE: Final = """
SELECT id, epoch, off FROM messages WHERE id = ANY($1) AND show_id = $2 LIMIT 1
"""

# The show's last messages that still have their text, newest first.
_LAST_MESSAGES: Final = """
SELECT id, account_id, name, standing, body, sent_at FROM messages
WHERE show_id = $1 AND deleted_at IS NULL ORDER BY sent_at DESC, off DESC LIMIT $2
"""

# Who is silenced in the show now, in it alone or in its whole shop: of each person the newest sanction not lifted.
_SANCTIONS: Final = """
SELECT account_id, until FROM (
    SELECT DISTINCT ON (x.account_id) x.account_id, x.until
    FROM sanctions x JOIN shows s ON s.id = $1
    WHERE x.lifted_at IS NULL AND (x.show_id = s.id OR x.shop_id = s.shop_id)
    ORDER BY x.account_id, x.created_at DESC, x.until DESC NULLS FIRST
) newest
WHERE until IS NULL OR until > now()
"""

# The same of many shows.
_SANCTIONS_IN: Final = """
SELECT show_id, account_id, until FROM (
    SELECT DISTINCT ON (s.id, x.account_id) s.id AS show_id, x.account_id, x.until
    FROM shows s JOIN sanctions x ON x.show_id = s.id OR x.shop_id = s.shop_id
    WHERE s.id = ANY($1) AND x.lifted_at IS NULL
    ORDER BY s.id, x.account_id, x.created_at DESC, x.until DESC NULLS FIRST
) newest
WHERE until IS NULL OR until > now()
"""

_INSERT_SANCTION: Final = """
INSERT INTO sanctions (id, show_id, account_id, kind, until, reason, by_account_id)
VALUES ($1, $2, $3, 'timeout', $4, $5, $6)
"""

# Lifts what silences the person in this show alone, at once or later.
_LIFT_SANCTIONS: Final = """
UPDATE sanctions SET lifted_at = now(), lifted_by = $3
WHERE show_id = $1 AND account_id = $2 AND lifted_at IS NULL AND (until IS NULL OR until > now())
"""

_INSERT_ACT: Final = """
INSERT INTO moderation_acts (show_id, actor_id, act, target_account_id, target_message_id, detail)
VALUES ($1, $2, $3, $4, $5, $6)
"""

_ACTS: Final = """
SELECT m.n, m.act, m.actor_id, a.name AS actor_name, m.target_account_id, t.name AS target_name, m.target_message_id,
       m.detail, m.at
FROM moderation_acts m JOIN accounts a ON a.id = m.actor_id LEFT JOIN accounts t ON t.id = m.target_account_id
WHERE m.show_id = $1 ORDER BY m.n DESC LIMIT $2
"""


class Copy(msgspec.Struct, frozen=True):
    """A message on its way to Postgres, and where it was spoken."""

    show: str
    epoch: str
    offset: int
    chat: Chat


def at_time(unix_ms: int) -> datetime:
    """Unix ms as Postgres takes it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def unix_ms(moment: datetime) -> int:
    """The other way round."""
    return round(moment.timestamp() * 1000)


async def insert_messages(pg: asyncpg.Pool, copies: Sequence[Copy]) -> None:
    """Writes the rows that are not there yet."""
    await pg.execute(
        _INSERT_MESSAGES,
        [copy.chat.id for copy in copies],
        [copy.show for copy in copies],
        [copy.epoch for copy in copies],
        [copy.offset for copy in copies],
        [copy.chat.by.id for copy in copies],
        [copy.chat.by.name for copy in copies],
        [copy.chat.by.standing.value for copy in copies],
        [copy.chat.text for copy in copies],
        [at_time(copy.chat.at) for copy in copies],
    )


async def find_message(pg: asyncpg.Pool, show: str, message: str) -> Copy | None:
    """The message as far as it was copied."""
    row = await pg.fetchrow(_MESSAGE, message, show)
    return None if row is None else Copy(show, row["epoch"], row["off"], _chat(row))


async def written(pg: asyncpg.Pool, ids: Sequence[str]) -> set[str]:
    """Those of the ids that have a row, deleted ones too."""
    return {row["id"] for row in await pg.fetch(_WRITTEN, list(ids))}


async def said_before(pg: asyncpg.Pool, show: str, ids: Sequence[str]) -> Spoken | None:
    """Where the message with one of these ids was said."""
    row = await pg.fetchrow(_SAID_BEFORE, list(ids), show)
    return None if row is None else Spoken(row["epoch"], row["off"], row["id"])


async def last_messages(pg: asyncpg.Pool, show: str, count: int) -> list[Chat]:
    """The show's last messages, oldest first."""
    return [_chat(row) for row in reversed(await pg.fetch(_LAST_MESSAGES, show, count))]


def _chat(row: Any) -> Chat:
    author = Author(row["account_id"], row["name"], Standing(row["standing"]))
    return Chat(row["id"], author, row["body"], unix_ms(row["sent_at"]))


async def delete_message(pg: asyncpg.Pool, copy: Copy, actor: str) -> bool:
    """Empties the message's row, made now if it was not copied yet, and logs the act. False when it was deleted
    before.
    """
    by = copy.chat.by
    async with pg.acquire() as connection, connection.transaction():
        deleted = await connection.fetchval(
            _DELETE_MESSAGE,
            copy.chat.id,
            copy.show,
            copy.epoch,
            copy.offset,
            by.id,
            by.name,
            by.standing.value,
            at_time(copy.chat.at),
            actor,
        )
        if deleted is None:
            return False
        await connection.execute(_INSERT_ACT, copy.show, actor, "message.delete", by.id, copy.chat.id, {})
        return True


async def sanctions_of(pg: Any, show: str) -> dict[str, int | None]:
    """Each silenced person with the Unix ms when it ends, None for never. `pg` is a pool or a connection."""
    return {
        row["account_id"]: None if row["until"] is None else unix_ms(row["until"])
        for row in await pg.fetch(_SANCTIONS, show)
    }


async def sanctions_in(pg: asyncpg.Pool, shows: Sequence[str]) -> dict[str, dict[str, int | None]]:
    """`sanctions_of` by show; shows without any are left out."""
    found: dict[str, dict[str, int | None]] = {}
    for row in await pg.fetch(_SANCTIONS_IN, list(shows)):
        found.setdefault(row["show_id"], {})[row["account_id"]] = row["until"] and unix_ms(row["until"])
    return found


@asynccontextmanager
async def one_at_a_time(pg: asyncpg.Pool, show: str, account: str) -> AsyncIterator[Any]:
    """A connection under a lock on the person in the show: what is done to them in Postgres and then in the room is
    done in the same order in both.
    """
    async with pg.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", f"sanction {show} {account}")
        try:
            yield connection
        finally:
            # A broken connection has lost the lock with its session.
            if not connection.is_closed():
                await connection.execute(
                    "SELECT pg_advisory_unlock(hashtextextended($1, 0))", f"sanction {show} {account}"
                )


async def insert_timeout(
    connection: Any, sanction: str, show: str, account: str, *, until_ms: int, reason: str, actor: str
) -> None:
    """Writes a timeout and its act."""
    async with connection.transaction():
        await connection.execute(_INSERT_SANCTION, sanction, show, account, at_time(until_ms), reason, actor)
        detail = {"until_ms": until_ms, "reason": reason}
        await connection.execute(_INSERT_ACT, show, actor, "timeout.set", account, None, detail)


async def lift_timeouts(connection: Any, show: str, account: str, actor: str) -> bool:
    """Lifts the person's sanctions of this show and logs the act. False when there was none."""
    async with connection.transaction():
        lifted = await connection.execute(_LIFT_SANCTIONS, show, account, actor)
        if lifted == "UPDATE 0":
            return False
        await connection.execute(_INSERT_ACT, show, actor, "timeout.end", account, None, {})
        return True


async def name_of(pg: asyncpg.Pool, account: str) -> str | None:
    """The account's name; None when there is no such account."""
    name: str | None = await pg.fetchval("SELECT name FROM accounts WHERE id = $1", account)
    return name


async def acts_of(pg: asyncpg.Pool, show: str, count: int) -> list[Any]:
    """The show's last acts, newest first."""
    return list(await pg.fetch(_ACTS, show, count))
