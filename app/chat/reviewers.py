"""Whom shops ask outside about what is about to be said, as a process remembers it, and the way out. Owns the reading
of the table reviewers; decides nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

import asyncpg
import msgspec

from app import clock
from app.chat.events import Chat
from app.chat.review_rules import Outcome
from app.refusal import Refusal

KNOWN_S: Final = 1.0
SHOWS_MAX: Final = 1000
ASKED_AT_ONCE_MAX: Final = 16
"""Of one reviewer by one process: a slow one takes no more of the way out, which all shops share."""

_READ: Final = """
SELECT r.url, r.secret, r.limit_ms, r.otherwise FROM reviewers r JOIN shows s ON s.shop_id = r.shop_id WHERE s.id = $1
"""


class Reviewer(msgspec.Struct, frozen=True):
    """Whom a shop asks. `limit_ms`: how long for; `otherwise`: what becomes of words without an answer."""

    url: str
    secret: str
    limit_ms: int
    otherwise: Outcome


class WayOut(Protocol):
    """How a question leaves this machine: the webhooks' way, or (where nobody can be asked) none."""

    def refuse(self, url: str) -> Refusal | None:
        """Why nobody at this address can be asked."""

    def new_secret(self) -> str:
        """A fresh one to sign with."""

    async def ask(self, url: str, secret: str, question: Mapping[str, Any], limit_s: float) -> int | None:
        """The status of the answer, None when there was none in time. Raises nothing that the far side can cause."""


class NoWayOut:
    """Where nothing goes out."""

    def refuse(self, url: str) -> Refusal | None:  # noqa: ARG002  whatever it is
        """Always."""
        return Refusal("url_invalid", "Nobody outside can be asked here.")

    def new_secret(self) -> str:
        """None is used."""
        return ""

    async def ask(self, url: str, secret: str, question: Mapping[str, Any], limit_s: float) -> int | None:  # noqa: ARG002  whoever
        """Nobody answers."""
        return None


class Reviewers:
    """What this process knows of whom shops ask. A change made elsewhere is known KNOWN_S later."""

    def __init__(self, pg: asyncpg.Pool, way_out: WayOut) -> None:
        self.way_out = way_out
        self._pg = pg
        self._known: dict[str, tuple[float, Reviewer | None]] = {}
        self._reading: dict[str, asyncio.Task[Reviewer | None]] = {}
        self._asked: Counter[str] = Counter()
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def of(self, show: str) -> Reviewer | None:
        """Whom the show's shop asks, None: nobody. All who want to know at once share one reading."""
        known = self._known.get(show)
        if known is not None and clock.monotonic_s() - known[0] < KNOWN_S:
            return known[1]
        reading = self._reading.get(show)
        if reading is None:
            reading = self._reading[show] = asyncio.create_task(self._read(show), name="reviewer")
        return await asyncio.shield(reading)

    async def _read(self, show: str) -> Reviewer | None:
        myself = asyncio.current_task()
        try:
            found = await read_reviewer(self._pg, show)
        finally:
            is_latest = self._reading.get(show) is myself
            if is_latest:
                del self._reading[show]
        if is_latest:
            if len(self._known) >= SHOWS_MAX:
                self._known.clear()
            self._known[show] = (clock.monotonic_s(), found)
        return found

    def forget(self) -> None:
        """One has just changed, for all shows of a shop: what is being read just now may be from before."""
        self._known.clear()
        self._reading.clear()

    async def ask(self, show: str, message: Chat, reviewer: Reviewer) -> int | None:
        """What the reviewer answers about the message; None at once when too much is asked there already. About one
        author one question at a time: the next waits for as long as an answer may take, and has none after that.
        """
        turn = self._turns.setdefault((reviewer.url, message.by.id), asyncio.Lock())
        try:
            async with asyncio.timeout(reviewer.limit_ms / 1000):
                await turn.acquire()
        except TimeoutError:
            return None
        try:
            return await self._ask(show, message, reviewer)
        finally:
            turn.release()

    async def _ask(self, show: str, message: Chat, reviewer: Reviewer) -> int | None:
        if self._asked[reviewer.url] >= ASKED_AT_ONCE_MAX:
            return None
        question = {"show": show, "message": message.id, "account": message.by.id, "text": message.text}
        self._asked[reviewer.url] += 1
        try:
            return await self.way_out.ask(reviewer.url, reviewer.secret, question, reviewer.limit_ms / 1000)
        finally:
            self._asked[reviewer.url] -= 1
            self._asked += Counter()  # those of whom nothing is asked go


async def read_reviewer(pg: asyncpg.Pool, show: str) -> Reviewer | None:
    """Whom the show's shop asks, as Postgres has it."""
    row = await pg.fetchrow(_READ, show)
    return None if row is None else Reviewer(row["url"], row["secret"], row["limit_ms"], Outcome(row["otherwise"]))
