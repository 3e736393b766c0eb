"""Messages in Postgres. Owns their SQL; decides nothing and publishes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.acts import Deed, write_act
from app.chat.events import Author, Chat, Who
from app.person import Standing
from app.rooms.bus import Spoken

# Rows of the room's copies. A message whose show or author is gone has no place; one that was deleted meanwhile has
# its row already, without its text, and keeps it; one that a purge was for gets a row without its text.
_INSERT_MESSAGES: Final = """
INSERT INTO messages
    (id, show_id, epoch, off, account_id, name, standing, body, sent_at, reply_to, deleted_at, deleted_by)
SELECT m.id, m.show_id, m.epoch, m.off, m.account_id, m.name, m.standing,
       CASE WHEN p.at IS NULL THEN m.body ELSE '' END, m.sent_at, m.reply_to, p.at, p.by_account_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::text[])
     AS m (id, show_id, epoch, off, account_id, name, standing, body, sent_at, reply_to)
JOIN shows s ON s.id = m.show_id
JOIN accounts a ON a.id = m.account_id
LEFT JOIN LATERAL (
    SELECT p.at, p.by_account_id FROM purges p
    WHERE p.show_id = m.show_id AND (p.account_id IS NULL OR p.account_id = m.account_id) AND p.at >= m.sent_at
    ORDER BY p.at LIMIT 1
) p ON true
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
SELECT id, epoch, off, account_id, name, standing, body, sent_at, reply_to, deleted_at FROM messages
WHERE id = $1 AND show_id = $2
"""

# Which of these ids are taken, by messages of any show.
_WRITTEN: Final = """
SELECT id, deleted_at IS NOT NULL AS deleted FROM messages WHERE id = ANY($1)
"""

# Where a message with one of these ids was said.
_SAID_BEFORE: Final = """
SELECT id, epoch, off FROM messages WHERE id = ANY($1) AND show_id = $2 LIMIT 1
"""

# What was purged of a show: whose (NULL: everybody's) and until when.
_PURGES: Final = "SELECT account_id, at FROM purges WHERE show_id = $1"

# The show's last messages that still have their text, newest first.
_LAST_MESSAGES: Final = """
SELECT id, account_id, name, standing, body, sent_at, reply_to FROM messages
WHERE show_id = $1 AND deleted_at IS NULL ORDER BY sent_at DESC, off DESC LIMIT $2
"""

# Everything that somebody ($2; NULL: everybody) said in a show, without its text from now on. The lock waits for copies
# that are being written, and makes those that come later see the purge.
_LOCK_MESSAGES: Final = "LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE"
_PURGE: Final = """
INSERT INTO purges (show_id, account_id, by_account_id, at) VALUES ($1, $2, $3, now()) RETURNING at
"""
_EMPTY: Final = """
UPDATE messages SET body = '', deleted_at = now(), deleted_by = $3
WHERE show_id = $1 AND ($2::text IS NULL OR account_id = $2) AND deleted_at IS NULL
"""
_DENY_ALL: Final = """
UPDATE held_messages SET state = 'denied', body = '', found = '', decided_at = now(), decided_by = $3
WHERE show_id = $1 AND ($2::text IS NULL OR account_id = $2) AND state = 'waiting' RETURNING id
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
        [copy.chat.re for copy in copies],
    )


async def find_message(pg: asyncpg.Pool, show: str, message: str) -> Copy | None:
    """The message as far as it was copied."""
    row = await pg.fetchrow(_MESSAGE, message, show)
    return None if row is None else Copy(show, row["epoch"], row["off"], _chat(row))


async def exists(pg: asyncpg.Pool, show: str, message: str) -> bool:
    """Whether the message was copied, and not deleted since."""
    row = await pg.fetchrow(_MESSAGE, message, show)
    return row is not None and row["deleted_at"] is None


async def written(pg: asyncpg.Pool, ids: Sequence[str]) -> dict[str, bool]:
    """Those of the ids that have a row, and whether that was deleted."""
    return {row["id"]: row["deleted"] for row in await pg.fetch(_WRITTEN, list(ids))}


async def said_before(pg: asyncpg.Pool, show: str, ids: Sequence[str]) -> Spoken | None:
    """Where the message with one of these ids was said."""
    row = await pg.fetchrow(_SAID_BEFORE, list(ids), show)
    return None if row is None else Spoken(row["epoch"], row["off"], row["id"])


async def purged(pg: asyncpg.Pool, show: str) -> list[tuple[str | None, int]]:
    """Whose words (None: everybody's) were deleted together, and until which Unix ms."""
    return [(row["account_id"], unix_ms(row["at"])) for row in await pg.fetch(_PURGES, show)]


async def last_messages(pg: asyncpg.Pool, show: str, count: int) -> list[Chat]:
    """The show's last messages, oldest first."""
    return [_chat(row) for row in reversed(await pg.fetch(_LAST_MESSAGES, show, count))]


def _chat(row: Any) -> Chat:
    author = Author(row["account_id"], row["name"], Standing(row["standing"]))
    return Chat(row["id"], author, row["body"], unix_ms(row["sent_at"]), row["reply_to"])


async def delete_message(pg: asyncpg.Pool, copy: Copy, deed: Deed) -> int | None:
    """Empties the message's row, made now if it was not copied yet, and logs the deed; its number. None when the
    message was deleted before.
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
            deed.actor.id,
        )
        return None if deleted is None else await write_act(connection, deed)


async def purge(pg: asyncpg.Pool, show: str, person: Who | None, deed: Deed) -> tuple[int, list[str]]:
    """Empties all that the person (None: everybody) said and that waits, and logs the deed; its number, and the ids of
    what had waited.
    """
    account = None if person is None else person.id
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK_MESSAGES)
        await connection.fetchval(_PURGE, show, account, deed.actor.id)
        await connection.execute(_EMPTY, show, account, deed.actor.id)
        waited = await connection.fetch(_DENY_ALL, show, account, deed.actor.id)
        return await write_act(connection, deed), [row["id"] for row in waited]
