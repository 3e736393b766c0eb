"""Sign-in sessions: a random secret in the browser, its SHA-256 in Postgres.

Owns opening, finding and ending them, and a cache of a moment so that a busy buyer costs no query a request; those
who are looked for at the same time are asked for in one, and with them those who are busy and will be looked for next.
It never asks for a password and knows no cookie.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from app import clock
from app.person import Person
from app.storage.group_commit import BATCH_MAX, GroupCommit

SESSION_S: Final = 30 * 24 * 3600
CACHE_S: Final = 0.5
CACHE_MAX: Final = 20_000

# Sessions that stand now, by the hashes of their secrets.
_FIND: Final = """
SELECT s.token_hash, a.id, a.name, s.id AS session
FROM sessions s JOIN accounts a ON a.id = s.account_id
WHERE s.token_hash = ANY ($1) AND s.ended_at IS NULL AND s.expires_at > now()
"""
# Whether a session stands, by its public id.
_STANDS = "SELECT 1 FROM sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > now()"
# A new session.
_OPEN = "INSERT INTO sessions (token_hash, id, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)"
# The end of a session; once ended it stays ended.
_END = "UPDATE sessions SET ended_at = now() WHERE token_hash = $1 AND ended_at IS NULL"


def hash_secret(secret: str) -> bytes:
    """What is kept of a session's secret. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


class Sessions:
    """The sessions in Postgres, with what this process found in the last CACHE_S. Ended elsewhere: seen within that."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._found: dict[bytes, tuple[Person, float]] = {}
        self._busy: dict[bytes, None] = {}  # who was found in the cache and is in it, since longest first
        self._lookups: GroupCommit[bytes, Person | None] = GroupCommit(self._look_up)

    async def open(self, account: str) -> str:
        """The secret of a new session of the account."""
        secret = clock.new_secret()
        now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
        expires = now + timedelta(seconds=SESSION_S)
        await self._pg.execute(_OPEN, hash_secret(secret), clock.new_id(), account, now, expires)
        return secret

    async def find(self, secret: str) -> Person | None:
        """The person whose session this secret opens, None when there is none (any more)."""
        return self.known(secret) or await self._lookups.submit(hash_secret(secret))

    def look_up(self, secret: str) -> asyncio.Future[Sequence[Person | None]]:
        """The same, alone in a list, of whom the cache does not know."""
        return self._lookups.enqueue((hash_secret(secret),))

    def known(self, secret: str) -> Person | None:
        """As `find`, of whom this process has found in the last CACHE_S."""
        token_hash = hash_secret(secret)
        known = self._known(token_hash)
        if known is not None:
            self._busy[token_hash] = None
        return known

    def _known(self, token_hash: bytes) -> Person | None:
        known = self._found.get(token_hash)
        return known[0] if known is not None and clock.monotonic_s() - known[1] < CACHE_S else None

    async def _look_up(self, hashes: list[bytes]) -> list[Person | None]:
        asked_at = clock.monotonic_s()  # before the query: a session that ends meanwhile is not kept for longer
        for one in hashes:
            self._busy.pop(one, None)
        along = self._due(asked_at, BATCH_MAX - len(hashes))
        found = {
            row["token_hash"]: Person(id=row["id"], name=row["name"], session=row["session"])
            for row in await self._pg.fetch(_FIND, [*hashes, *along])
        }
        for one in (*hashes, *(one for one in along if one in self._found)):  # else it was ended meanwhile
            if one in found:
                self._keep(one, found[one], asked_at)
            else:
                self._drop(one)
        return [found.get(one) for one in hashes]

    def _due(self, now_s: float, count_max: int) -> list[bytes]:
        """Busy ones whose time in the cache is half over. A crowd that came together is so looked for together again,
        where each by itself would be a query.
        """
        due: list[bytes] = []
        while self._busy and len(due) < count_max:
            one = next(iter(self._busy))
            known = self._found.get(one)
            if known is not None and now_s - known[1] < CACHE_S / 2:
                break
            del self._busy[one]
            if known is not None:
                due.append(one)
        return due

    def _keep(self, token_hash: bytes, person: Person, asked_at: float) -> None:
        self._found.pop(token_hash, None)
        while len(self._found) >= CACHE_MAX:
            self._drop(next(iter(self._found)))
        self._found[token_hash] = (person, asked_at)

    def _drop(self, token_hash: bytes) -> None:
        self._found.pop(token_hash, None)
        self._busy.pop(token_hash, None)

    async def stands(self, session: str) -> bool:
        """Whether the session with this public id is neither ended nor expired. Never from the cache."""
        return await self._pg.fetchval(_STANDS, session) is not None

    async def end(self, secret: str) -> None:
        """Ends the session for good; ending it twice changes nothing."""
        token_hash = hash_secret(secret)
        await self._pg.execute(_END, token_hash)
        self._drop(token_hash)
