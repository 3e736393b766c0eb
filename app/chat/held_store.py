"""Messages that wait for a moderator, in Postgres. Owns their SQL; decides nothing and publishes nothing."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.events import Author, Chat, Held, Who
from app.chat.mode_rules import Hold
from app.chat.store import at_time, unix_ms
from app.person import Standing

WAITING_MAX: Final = 500
"""So many are shown to the staff, the oldest first."""
HIDDEN_MAX: Final = 50
DUE_MAX: Final = 100
"""So many are let out together whose delay is over."""

_INSERT: Final = """
INSERT INTO held_messages (id, show_id, account_id, name, body, reply_to, why, found, sent_at, instead)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING RETURNING id
"""
_WAITING: Final = """
SELECT id, account_id, name, body, why, found, sent_at FROM held_messages
WHERE show_id = $1 AND state = 'waiting' ORDER BY why IN ('delay', 'hidden'), sent_at, id LIMIT $2
"""
_LOCK: Final = """
SELECT id, account_id, name, body, reply_to, why, found, sent_at, state, instead FROM held_messages
WHERE id = $1 AND show_id = $2 FOR UPDATE
"""
# Those whose delay is over, by the delay that the room has now: none when it is switched off; not in these rooms ($2).
# `spoilt`: a sanction that stands, or a purge, came since they were written, though the sanction may be over by now,
# and the purge may have run before there was this row.
_DUE: Final = """
SELECT h.id, h.show_id, h.account_id, h.name, h.body, h.reply_to, h.why, h.found, h.sent_at, h.state, h.instead,
       EXISTS (
           SELECT FROM sanctions x JOIN shows s ON s.id = h.show_id WHERE x.account_id = h.account_id
               AND (x.show_id = s.id OR x.shop_id = s.shop_id) AND x.lifted_at IS NULL AND x.created_at >= h.kept_at
       ) OR EXISTS (
           SELECT FROM purges p WHERE p.show_id = h.show_id AND p.at >= h.sent_at
               AND (p.account_id IS NULL OR p.account_id = h.account_id)
       ) AS spoilt
FROM held_messages h LEFT JOIN chat_rooms r ON r.show_id = h.show_id
WHERE h.state = 'waiting' AND (h.why = 'delay' OR h.instead = 'delay') AND h.show_id <> ALL($2)
    AND h.kept_at <= now() - make_interval(secs => coalesce((r.modes ->> 'delay_s')::int, 0))
ORDER BY h.kept_at, h.id LIMIT $1 FOR UPDATE OF h
"""
# Of those who are hidden now: the rules that a process remembers may be older.
_HIDDEN: Final = """
SELECT g.place, h.* FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (account_id, show_id, place)
JOIN watched w ON w.show_id = g.show_id AND w.account_id = g.account_id AND w.level = 'hidden'
JOIN LATERAL (
    SELECT id, account_id, name, body, reply_to, sent_at FROM held_messages
    WHERE show_id = g.show_id AND account_id = g.account_id AND state = 'waiting' AND why = 'hidden' AND instead = ''
    ORDER BY sent_at DESC LIMIT $3
) h ON true ORDER BY g.place, h.sent_at
"""
_COMES: Final = """
SELECT EXISTS (
    SELECT FROM held_messages WHERE id = $1 AND show_id = $2 AND state = 'waiting' AND why IN ('delay', 'hidden')
)
"""
_SHOWN: Final = "UPDATE held_messages SET instead = '' WHERE id = $1"
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
    values: tuple[Any, ...] = (
        event.id,
        show,
        by.id,
        by.name,
        event.text,
        event.re,
        hold.why,
        hold.found,
        at_time(event.at),
        hold.instead,
    )
    return await pg.fetchval(_INSERT, *values) is not None


async def waiting_in(pg: asyncpg.Pool, show: str) -> list[Held]:
    """What waits in the show."""
    return [as_held(row) for row in await pg.fetch(_WAITING, show, WAITING_MAX)]


def as_held(row: Any) -> Held:
    """A row as the staff see it."""
    author = Who(row["account_id"], row["name"])
    return Held(row["id"], author, row["body"], row["why"], row["found"], unix_ms(row["sent_at"]))


class Deciding(msgspec.Struct, frozen=True):
    """A message that is being decided on, locked, and the transaction's connection. `spoilt`: it is not to be said.
    `instead`: as of a Hold.
    """

    connection: Any
    held: Held
    re: str | None
    state: str
    instead: str = ""
    spoilt: bool = False

    @property
    def message(self) -> Chat:
        """As it will be said, or its author shown."""
        author = Author(self.held.by.id, self.held.by.name, Standing.VIEWER)
        return Chat(self.held.id, author, self.held.text, self.held.at, self.re)


@asynccontextmanager
async def deciding(pg: asyncpg.Pool, show: str, message: str) -> AsyncIterator[Deciding | None]:
    """The message under a lock, in a transaction; None when there is none."""
    async with pg.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(_LOCK, message, show)
        yield None if row is None else _deciding(connection, row)


@asynccontextmanager
async def due(pg: asyncpg.Pool, full: Collection[str]) -> AsyncIterator[list[tuple[str, Deciding]]]:
    """Messages whose delay is over, with their shows (none of `full`), locked, in a transaction; who waited longest
    first; DUE_MAX of them while there may be more.
    """
    async with pg.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_DUE, DUE_MAX, list(full))
        yield [(row["show_id"], _deciding(connection, row, spoilt=row["spoilt"])) for row in rows]


def _deciding(connection: Any, row: Any, *, spoilt: bool = False) -> Deciding:
    return Deciding(connection, as_held(row), row["reply_to"], row["state"], row["instead"], spoilt)


async def read_hidden(pg: asyncpg.Pool, asked: list[tuple[str, str]]) -> list[list[Chat]]:
    """Of each (person, show) what the person believes to have said lately, the oldest first. Reads a batch."""
    found: list[list[Chat]] = [[] for _ in asked]
    people, shows = [person for person, _ in asked], [show for _, show in asked]
    for row in await pg.fetch(_HIDDEN, people, shows, HIDDEN_MAX):
        found[row["place"] - 1].append(_believed(row))
    return found


def _believed(row: Any) -> Chat:
    author = Author(row["account_id"], row["name"], Standing.VIEWER)
    return Chat(row["id"], author, row["body"], unix_ms(row["sent_at"]), row["reply_to"])


async def comes(pg: asyncpg.Pool, show: str, message: str) -> bool:
    """Whether the message counts as said: viewers will see it by itself, or its author believes that they do."""
    return bool(await pg.fetchval(_COMES, message, show))


async def set_decided(deciding_on: Deciding, actor: str | None, *, approved: bool) -> None:
    """Writes the decision of the actor (None: nobody's); a denied text goes."""
    await deciding_on.connection.execute(_APPROVE if approved else _DENY, deciding_on.held.id, actor)


async def set_shown(deciding_on: Deciding) -> None:
    """Its author is shown it from now on."""
    await deciding_on.connection.execute(_SHOWN, deciding_on.held.id)


async def is_newcomer(pg: asyncpg.Pool, show: str, account: str) -> bool:
    """Whether nobody has read this person in any show of the shop so far."""
    return bool(await pg.fetchval(_IS_NEWCOMER, show, account))
