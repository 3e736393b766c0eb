"""The outbox: what must happen outside the database once a transaction is durable, at least once.

Owns claiming, pace, retries, and what becomes of a note that cannot be done. What a topic does is an effect, given
from outside, and safe to repeat. A claim is a lease, renewed while the work lasts: a process that dies leaves its notes
to the next within LEASE_S.

An outage is waited out however long it takes. A note whose effect is broken fails alone: after FAILURES_MAX tries it
is set aside for people to look at, and the others go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec
import structlog

from app import clock
from app.outage import EXTERNAL, is_outage
from app.storage.away import unless_away

CLAIM_MAX: Final = 64
LEASE_S: Final = 5.0
FAILURES_MAX: Final = 5
RETRY_S: Final = 1.0
RETRY_GROWTH: Final = 1.5
KEEP_DONE_H: Final = 24
FORGOTTEN_AT_ONCE: Final = 1000
ERROR_LENGTH_MAX: Final = 500
CLOSE_WAIT_S: Final = 5.0
KICK_EVERY_S: Final = 0.25
KICKS_OF_A_CROWD: Final = 8
KICK_LOOKS_S: Final = 0.1
"""After a kick it is looked whether a crowd follows: its first come alone, and would bring the others' notes here."""

log = structlog.get_logger()

# $3 names the lane's topics, or with $4 those
# of all others, so that a topic nobody knows has a lane too.
_CLAIM: Final = """
    UPDATE outbox SET tries = tries + 1, next_try_at = now() + make_interval(secs => $2)
     WHERE n IN (SELECT n FROM outbox WHERE done_at IS NULL AND next_try_at <= now() AND (topic = ANY($3)) <> $4
                  ORDER BY n LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING n, topic, subject, tries"""

_RENEW: Final = """
    UPDATE outbox SET next_try_at = now() + make_interval(secs => $2)
     WHERE n = ANY($1) AND done_at IS NULL AND set_aside_at IS NULL"""

_DONE: Final = "UPDATE outbox SET done_at = now() WHERE n = ANY($1) AND done_at IS NULL"

_LATER: Final = "UPDATE outbox SET next_try_at = now() + make_interval(secs => $2) WHERE n = $1 AND done_at IS NULL"

_FAILED: Final = """
    UPDATE outbox SET failures = failures + 1, last_error = $2,
           set_aside_at = CASE WHEN failures + 1 >= $3 THEN now() END,
           next_try_at = CASE WHEN failures + 1 >= $3 THEN 'infinity' ELSE now() + make_interval(secs => $4) END
     WHERE n = $1 AND done_at IS NULL RETURNING set_aside_at IS NOT NULL"""

_FORGET: Final = """
    DELETE FROM outbox
     WHERE n IN (SELECT n FROM outbox WHERE done_at < now() - make_interval(hours => $1) LIMIT $2)"""

_COUNT: Final = """
    SELECT count(*) FILTER (WHERE set_aside_at IS NULL) AS waiting,
           count(*) FILTER (WHERE set_aside_at IS NOT NULL) AS set_aside,
           coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE set_aside_at IS NULL)), 0)::float8
               AS oldest_s
      FROM outbox WHERE done_at IS NULL"""


class Note(msgspec.Struct, frozen=True):
    """One row: do `topic` to the thing whose id is `subject`."""

    n: int
    topic: str
    subject: str
    tries: int


Effect: TypeAlias = Callable[[str], Awaitable[bool]]
"""Gets the subject; True when it is done, False to be asked again later."""


class Lane(msgspec.Struct, frozen=True):
    """Topics that wait for the same others, so that nobody waits for somebody else's.

    `kicked`: done at once where it was noted, else at the worker's next turn. A note's tries are `pause_max_s` apart at
    most.
    """

    name: str
    effects: Mapping[str, Effect]
    side_by_side_max: int
    pause_max_s: float
    kicked: bool = True


class Counts(msgspec.Struct, frozen=True):
    """How the outbox stands."""

    waiting: int
    set_aside: int
    oldest_s: float


def pause_s(tries: int, pause_max_s: float) -> float:
    """Seconds until the next try, growing: whoever comes back is asked within half the time that they were away."""
    return min(pause_max_s, RETRY_S * RETRY_GROWTH ** min(tries - 1, 100))


class Outbox:
    """The first lane also gets the topics that no lane knows: they fail there, and are set aside."""

    def __init__(self, pg: asyncpg.Pool, lanes: Sequence[Lane], lease_s: float = LEASE_S) -> None:
        self._pg = pg
        self.lanes = lanes
        self._lease_s = lease_s
        self._kicked_s = -KICK_EVERY_S
        self._kicks = 0
        self._draining: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Does everything that is due."""
        for lane in self.lanes:
            await self.run_lane(lane)

    async def run_lane(self, lane: Lane) -> None:
        """Does what is due in one lane. A loop of the worker's."""
        while await self._run_once(lane) == CLAIM_MAX:
            pass

    async def forget_done(self) -> None:
        """Deletes notes that were done long ago."""
        while await self._pg.execute(_FORGET, KEEP_DONE_H, FORGOTTEN_AT_ONCE) == f"DELETE {FORGOTTEN_AT_ONCE}":
            pass

    async def count(self) -> Counts:
        """What waits and what was set aside, over all processes."""
        row = await self._pg.fetchrow(_COUNT)
        return Counts(row["waiting"], row["set_aside"], row["oldest_s"])

    def kick(self, things: int = 1) -> None:
        """So many things were just committed here: do them now instead of at the worker's next turn. Not of a crowd:
        with many orders a second the worker has them all, and this process its requests.
        """
        self._kicks += things
        if clock.monotonic_s() - self._kicked_s < KICK_EVERY_S:
            return
        crowd, self._kicks = self._kicks > KICKS_OF_A_CROWD, 0
        self._kicked_s = clock.monotonic_s()
        if crowd:
            return
        for lane in self.lanes:
            if lane.kicked and lane.name not in self._draining:
                self._draining[lane.name] = asyncio.create_task(self._drain(lane), name=f"outbox {lane.name}")

    async def close(self) -> None:
        """Waits for what kick began, CLOSE_WAIT_S at most: the lease brings back what is cut off."""
        if self._draining:
            _, late = await asyncio.wait(self._draining.values(), timeout=CLOSE_WAIT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _drain(self, lane: Lane) -> None:
        try:
            await asyncio.sleep(KICK_LOOKS_S)
            if self._kicks <= KICKS_OF_A_CROWD:
                await self._run_once(lane)
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            log.warning("outbox.left_to_worker", error=repr(error))
        finally:
            del self._draining[lane.name]

    async def _run_once(self, lane: Lane) -> int:
        first = lane is self.lanes[0]
        topics = [topic for other in self.lanes[1:] for topic in other.effects] if first else list(lane.effects)
        rows = await self._pg.fetch(_CLAIM, CLAIM_MAX, self._lease_s, topics, first)
        notes = [Note(row["n"], row["topic"], row["subject"], row["tries"]) for row in sorted(rows, key=_number)]
        side_by_side = asyncio.Semaphore(lane.side_by_side_max)
        done: list[int] = []
        at_work = {note.n for note in notes}

        async def act(note: Note) -> None:
            async with side_by_side:
                if await self._act(lane, note):
                    done.append(note.n)
                else:
                    at_work.discard(note.n)

        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew(at_work), name=f"outbox lease {lane.name}")
            async with asyncio.TaskGroup() as acting:
                for note in notes:
                    acting.create_task(act(note), name=f"outbox {note.topic}")
            renewing.cancel()
        if done:
            await self._pg.execute(_DONE, done)
        return len(notes)

    async def _renew(self, at_work: set[int]) -> None:
        """Until cancelled. Where Postgres is away the leases end, and the notes come back: they may be repeated."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            await unless_away("outbox lease", self._pg.execute(_RENEW, list(at_work), self._lease_s))

    async def _act(self, lane: Lane, note: Note) -> bool:
        """True when the note is done. Else it has been told when to come back, or its lease brings it back."""
        try:
            done = await lane.effects[note.topic](note.subject)
        except Exception as error:  # noqa: BLE001 whatever is wrong with one note, it stops no other
            if not (isinstance(error, EXTERNAL) and is_outage(error)):
                await self._fail(lane, note, error)
                return False
            log.warning("outbox.waits", topic=note.topic, subject=note.subject, tries=note.tries, error=repr(error))
            done = False
        if not done:
            await self._pg.execute(_LATER, note.n, pause_s(note.tries, lane.pause_max_s))
        return done

    async def _fail(self, lane: Lane, note: Note, error: Exception) -> None:
        """The effect itself is broken: a defect of ours, or of this note."""
        told = repr(error)[:ERROR_LENGTH_MAX].replace("\x00", "")
        pause = pause_s(note.tries, lane.pause_max_s)
        set_aside = await self._pg.fetchval(_FAILED, note.n, told, FAILURES_MAX, pause)
        event = "outbox.set_aside" if set_aside else "outbox.failed"
        log.error(event, topic=note.topic, subject=note.subject, tries=note.tries, exc_info=error)


def _number(row: Any) -> int:
    return int(row["n"])
