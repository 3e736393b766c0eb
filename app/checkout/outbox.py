"""The outbox: what must happen outside the database once a transaction is durable, at least once.

Owns claiming, pace and retries. What a topic does is an effect, given from outside, and safe to repeat. A claim is a
lease: a process that dies leaves its notes to the next, LEASE_S later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
import structlog

from app.outage import EXTERNAL, is_outage

CLAIM_MAX: Final = 64
SIDE_BY_SIDE_MAX: Final = 8
TRIES_MAX: Final = 200
LEASE_S: Final = 15.0
RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
KEEP_DONE_H: Final = 24
FORGOTTEN_AT_ONCE: Final = 1000

log = structlog.get_logger()

# Also the oldest first: its lease is over, so whoever had it is gone.
_CLAIM: Final = """
    UPDATE outbox SET tries = tries + 1, next_try_at = now() + make_interval(secs => $2)
     WHERE n IN (SELECT n FROM outbox WHERE done_at IS NULL AND next_try_at <= now() AND tries < $3
                  ORDER BY next_try_at, n LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING n, topic, subject, tries"""

_DONE: Final = "UPDATE outbox SET done_at = now() WHERE n = ANY($1)"

_LATER: Final = "UPDATE outbox SET next_try_at = now() + make_interval(secs => $2) WHERE n = $1"

_FORGET: Final = """
    DELETE FROM outbox
     WHERE n IN (SELECT n FROM outbox WHERE done_at < now() - make_interval(hours => $1) LIMIT $2)"""


class Note(msgspec.Struct, frozen=True):
    """One row: do `topic` to the thing whose id is `subject`."""

    n: int
    topic: str
    subject: str
    tries: int


Effect: TypeAlias = Callable[[str], Awaitable[bool]]
"""Gets the subject; True when it is done, False to be asked again later."""


def pause_s(tries: int) -> float:
    """Seconds until the next try: doubling, from RETRY_S to RETRY_MAX_S."""
    return min(RETRY_MAX_S, RETRY_S * 2.0 ** min(tries - 1, 10))


class Outbox:
    """`effects` by topic. A topic without an effect is a defect."""

    def __init__(self, pg: asyncpg.Pool, effects: Mapping[str, Effect]) -> None:
        self._pg = pg
        self._effects = effects
        self._kicked = False
        self._draining: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Does everything that is due. The worker's loop."""
        while await self._run_once() == CLAIM_MAX:
            pass

    async def forget_done(self) -> None:
        """Deletes notes that were done long ago."""
        while await self._pg.execute(_FORGET, KEEP_DONE_H, FORGOTTEN_AT_ONCE) == f"DELETE {FORGOTTEN_AT_ONCE}":
            pass

    def kick(self) -> None:
        """Something was just committed here: do it now instead of at the worker's next turn."""
        self._kicked = True
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="outbox kick")

    async def close(self) -> None:
        """Waits for what kick began."""
        if self._draining is not None:
            await asyncio.wait([self._draining])

    async def _drain(self) -> None:
        try:
            while self._kicked:
                self._kicked = False
                await self.run()
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            log.warning("outbox.left_to_worker", error=repr(error))
        finally:
            self._draining = None

    async def _run_once(self) -> int:
        rows = await self._pg.fetch(_CLAIM, CLAIM_MAX, LEASE_S, TRIES_MAX)
        notes = [Note(row["n"], row["topic"], row["subject"], row["tries"]) for row in sorted(rows, key=_number)]
        side_by_side = asyncio.Semaphore(SIDE_BY_SIDE_MAX)
        done: list[int] = []

        async def act(note: Note) -> None:
            async with side_by_side:
                if await self._act(note):
                    done.append(note.n)

        async with asyncio.TaskGroup() as group:
            for note in notes:
                group.create_task(act(note), name=f"outbox {note.topic}")
        if done:
            await self._pg.execute(_DONE, done)
        return len(notes)

    async def _act(self, note: Note) -> bool:
        """True when the note is done. With the infrastructure away its lease brings it back."""
        try:
            done = await self._effects[note.topic](note.subject)
            if not done:
                await self._pg.execute(_LATER, note.n, pause_s(note.tries))
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            log.warning("outbox.waits", topic=note.topic, subject=note.subject, tries=note.tries, error=repr(error))
            done = False
        if not done and note.tries >= TRIES_MAX:
            log.error("outbox.given_up", topic=note.topic, subject=note.subject, tries=note.tries)
        return done


def _number(row: Any) -> int:
    return int(row["n"])
