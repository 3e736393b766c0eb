"""The rules of each show's chat: from Postgres, which has the truth, into this process and into the room.

Owns the table chat_rooms, the state keys `chat`, `notice` and `ticker`, and this process's cache of rulebooks. A cached
rulebook may be old: the room's script refuses what was judged by another version than its own, and then it is read
again.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import msgspec

from app.chat.level_rules import matcher_of
from app.chat.mode_rules import Modes, Rulebook, in_force
from app.chat.term_rules import Matcher, Terms
from app.chat.watch_rules import Level
from app.rooms.bus import RULES, Rooms

RULEBOOKS_MAX: Final = 1000
NOTICE: Final = "notice"
TICKER: Final = "ticker"

_READ: Final = "SELECT version, modes, blocked, permitted, sites, notice, ticker FROM chat_rooms WHERE show_id = $1"
_WATCHED: Final = "SELECT account_id, level FROM watched WHERE show_id = $1"
_MAKE: Final = "INSERT INTO chat_rooms (show_id) VALUES ($1) ON CONFLICT DO NOTHING"
_WRITE: Final = """
UPDATE chat_rooms SET version = version + 1, modes = $2, blocked = $3, permitted = $4, notice = $5, ticker = $6,
    sites = $7
WHERE show_id = $1 RETURNING version
"""


class Notice(msgspec.Struct, frozen=True):
    """What is pinned to the chat: the staff's own words, or a message (`message` its id, `author` who wrote it)."""

    text: str
    by: str
    at: int
    message: str | None = None
    author: str | None = None
    author_id: str | None = None


class Ticker(msgspec.Struct, frozen=True):
    """What is announced, one after the other."""

    lines: tuple[str, ...]


class ChatRoom(msgspec.Struct, frozen=True):
    """A show's row of chat_rooms."""

    version: int = 0
    modes: Modes = Modes()
    terms: Terms = Terms()
    notice: Notice | None = None
    ticker: tuple[str, ...] = ()


def _room(row: Any) -> ChatRoom:
    if row is None:
        return ChatRoom()
    notice = None if row["notice"] is None else msgspec.convert(row["notice"], Notice)
    terms = Terms(tuple(row["blocked"]), tuple(row["permitted"]), tuple(row["sites"]))
    return ChatRoom(row["version"], msgspec.convert(row["modes"], Modes), terms, notice, tuple(row["ticker"]))


async def read_room(pg: asyncpg.Pool, show: str) -> ChatRoom:
    """The show's rules as Postgres has them."""
    return _room(await pg.fetchrow(_READ, show))


async def read_watched(pg: Any, show: str) -> dict[str, Level]:
    """On whom the staff keep an eye. `pg` is a pool or a connection."""
    return {row["account_id"]: Level(row["level"]) for row in await pg.fetch(_WATCHED, show)}


class Change:
    """The rules while they are being changed: `before` is locked; `write` them at most once."""

    def __init__(self, connection: Any, show: str, before: ChatRoom) -> None:
        self.connection = connection
        self.before = before
        self.after = before
        self._show = show

    async def write(self, **changes: Any) -> None:
        """Writes `before` with these changes, under the next version."""
        fresh = msgspec.structs.replace(self.before, **changes)
        notice = None if fresh.notice is None else msgspec.to_builtins(fresh.notice)
        version = await self.connection.fetchval(
            _WRITE,
            self._show,
            msgspec.to_builtins(fresh.modes),
            list(fresh.terms.blocked),
            list(fresh.terms.permitted),
            notice,
            list(fresh.ticker),
            list(fresh.terms.sites),
        )
        self.after = msgspec.structs.replace(fresh, version=version)


def keys_of_room(room: ChatRoom) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
    """The state keys of the room with their version."""
    ticker = Ticker(room.ticker) if room.ticker else None
    keys = (RULES, in_force(room.modes)), (NOTICE, room.notice), (TICKER, ticker)
    return [(key, room.version, value) for key, value in keys] if room.version else []


class Rulebooks:
    """What this process knows of the rules."""

    def __init__(self, pg: asyncpg.Pool, rooms: Rooms) -> None:
        self._pg = pg
        self._rooms = rooms
        self._known: dict[str, Rulebook] = {}
        self._making: dict[Any, asyncio.Task[Matcher]] = {}

    async def of(self, show: str) -> Rulebook:
        """The show's rulebook, as it was when this process last looked."""
        return self._known.get(show) or await self._read(show)

    async def renew(self, show: str, room_version: int) -> None:
        """Reads the rules again, since the room has others; says them there when it is the room that is behind."""
        self._known.pop(show, None)
        if (await self._read(show)).version > room_version:
            await self._say(show, await read_room(self._pg, show))

    async def _read(self, show: str) -> Rulebook:
        room = await read_room(self._pg, show)
        watched, modes = await read_watched(self._pg, show), in_force(room.modes)
        matcher = await self._make(Terms(room.terms.blocked, room.terms.permitted), modes.levels, modes.languages)
        read = Rulebook(room.version, room.modes, matcher, watched, room.terms.sites)
        while len(self._known) >= RULEBOOKS_MAX:
            del self._known[next(iter(self._known))]
        if show not in self._known or self._known[show].version <= read.version:
            self._known[show] = read
        return read

    async def _make(self, *lists: Any) -> Matcher:
        """The matcher of these lists. A long one takes a good part of a second: it is made beside the loop, which has
        others to serve, and once for all who wait for it.
        """
        making = self._making.get(lists)
        if making is None:
            making = asyncio.create_task(asyncio.to_thread(matcher_of, *lists), name="matcher")
            self._making[lists] = making
            making.add_done_callback(lambda _: self._making.pop(lists, None))
        return await asyncio.shield(making)

    @asynccontextmanager
    async def changing(self, show: str) -> AsyncIterator[Change]:
        """The rules, locked, inside a transaction; says in the room what was written, once it is durable."""
        async with self._pg.acquire() as connection, connection.transaction():
            await connection.execute(_MAKE, show)
            change = Change(connection, show, _room(await connection.fetchrow(_READ + " FOR UPDATE", show)))
            yield change
        if change.after is not change.before:
            self._known.pop(show, None)
            await self._say(show, change.after)

    async def _say(self, show: str, room: ChatRoom) -> None:
        for key, version, value in keys_of_room(room):
            await self._rooms.set_state(show, key, version, value)
