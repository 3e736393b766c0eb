"""Places in line in Postgres: the truth of who comes when. Owns the SQL; never talks to Valkey.

Places of one line are given under its lock, so that they are consecutive and in the order of arrival.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.flash_sales.line_rules import TRIES_MAX, EntryEvent, EntryState, states_before
from app.flash_sales.moment import from_ms, to_ms

_LINES: Final = 0x6C696E65  # advisory locks: of a line's places, and of serving it
_SERVING: Final = 0x73657276
LINES_MAX: Final = 1000
UNPAID_S: Final = 60
UNPAID_MAX: Final = 1000
"""So many holds that came to nothing are looked at in one round, those of the first places first."""
FRESH_S: Final = 10
"""A line that nobody is in any more is spoken of for so long."""


class Entry(msgspec.Struct, frozen=True):
    """One person's place. `place` None: the draw will tell."""

    id: str
    pool: str
    person: str
    show: str
    place: int | None
    state: EntryState
    hold: str | None
    admission: str | None
    until_ms: int | None
    tries: int = 0


class LineFacts(msgspec.Struct, frozen=True):
    """What decides about a line. Without a sale it is that of ordinary stock."""

    pool: str
    sale: str | None
    show: str | None
    sale_state: str | None
    waiting_room: bool
    seed: bytes | None
    drawn_at_ms: int | None
    closed: bool


class LineCounts(msgspec.Struct, frozen=True):
    """How a line stands. `first` is the place of the first who waits."""

    waiting: int
    first: int | None
    admitted: int
    served: int
    first_served_ms: int | None
    now_ms: int


class NewEntry(msgspec.Struct, frozen=True):
    """A place to be. `place` None: the draw will tell."""

    id: str
    pool: str
    person: str
    show: str
    place: int | None


_FACTS: Final = """
    SELECT p.id, p.closed_at, s.id AS sale, s.show_id, s.state, coalesce(s.waiting_room, false) AS waiting_room,
           s.draw_seed, s.drawn_at
      FROM pools p LEFT JOIN flash_sales s ON s.id = p.flash_sale_id WHERE p.id = ANY($1::text[])"""

_ENDS: Final = """
    SELECT p.pool_id, (SELECT count(*) FROM line_entries e WHERE e.pool_id = p.pool_id AND e.state IN ('waiting',
                        'offered', 'admitted')) AS live,
           (SELECT max(place) FROM line_entries e WHERE e.pool_id = p.pool_id) AS last
      FROM unnest($1::text[]) AS p (pool_id)"""

_LIVE_OF: Final = """
    SELECT e.id, e.pool_id, e.account_id, e.show_id, e.place, e.state, e.hold_id, e.admission, e.until, e.tries
      FROM unnest($1::text[], $2::text[]) AS t (pool_id, account_id)
      JOIN line_entries e ON e.pool_id = t.pool_id AND e.account_id = t.account_id
                         AND e.state IN ('waiting', 'offered', 'admitted')"""

_INSERT: Final = """
    INSERT INTO line_entries (id, pool_id, account_id, show_id, place, state)
    SELECT t.id, t.pool_id, t.account_id, t.show_id, t.place, 'waiting'
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
           AS t (id, pool_id, account_id, show_id, place)
    ON CONFLICT DO NOTHING"""

_OF_PEOPLE: Final = """
    SELECT e.id, e.pool_id, e.account_id, e.show_id, e.place, e.state, e.hold_id, e.admission, e.until, e.tries
      FROM line_entries e WHERE e.account_id = ANY($1::text[]) AND e.state IN ('waiting', 'offered', 'admitted')"""

_LINES_THERE: Final = """
    SELECT DISTINCT pool_id FROM line_entries WHERE state IN ('waiting', 'offered', 'admitted')
    UNION SELECT DISTINCT pool_id FROM line_entries WHERE ended_at > now() - make_interval(secs => $1)
    ORDER BY 1 LIMIT $2"""

_LINES_OF_SHOW: Final = """
    SELECT DISTINCT pool_id FROM line_entries
     WHERE show_id = $1 AND state IN ('waiting', 'offered', 'admitted') ORDER BY 1 LIMIT $2"""

_COUNTS: Final = """
    SELECT (SELECT count(*) FROM line_entries WHERE pool_id = $1 AND state = 'waiting') AS waiting,
           (SELECT min(place) FROM line_entries WHERE pool_id = $1 AND state = 'waiting') AS first,
           (SELECT count(*) FROM line_entries WHERE pool_id = $1 AND state = 'admitted') AS admitted,
           r.served, r.first_served, now() AS at
      FROM (SELECT count(*) AS served, min(served_at) AS first_served FROM line_entries
             WHERE pool_id = $1 AND served_at > now() - interval '1 minute') r"""

_HEAD: Final = """
    SELECT e.id, e.pool_id, e.account_id, e.show_id, e.place, e.state, e.hold_id, e.admission, e.until, e.tries
      FROM line_entries e
     WHERE e.pool_id = $1 AND e.state = 'waiting' AND e.place IS NOT NULL ORDER BY e.place LIMIT $2"""

_ADMITTED: Final = """
    SELECT e.id, e.pool_id, e.account_id, e.show_id, e.place, e.state, e.hold_id, e.admission, e.until, e.tries
      FROM line_entries e WHERE e.pool_id = $1 AND e.state = 'admitted' ORDER BY e.place"""

_SERVE: Final = """
    UPDATE line_entries e
       SET state = $2, admission = t.admission, hold_id = t.hold, until = t.until, served_at = now()
      FROM unnest($1::text[], $3::text[], $4::text[], $5::timestamptz[]) AS t (id, admission, hold, until)
     WHERE e.id = t.id AND e.state = ANY($6::text[])"""

_END: Final = """
    UPDATE line_entries SET state = $2, ended_at = now() WHERE id = ANY($1::text[]) AND state = ANY($3::text[])"""

_LEAVE_OFFER: Final = """
    UPDATE line_entries SET state = $2, ended_at = now() WHERE hold_id = $1 AND state = ANY($3::text[])"""

_LAPSE: Final = """
    UPDATE line_entries SET state = $3, ended_at = now()
     WHERE pool_id = $1 AND state = ANY($4::text[]) AND until < $2
    RETURNING id, pool_id, account_id, show_id, place, state, hold_id, admission, until, tries"""

_END_LINE: Final = """
    UPDATE line_entries e SET state = $2, ended_at = now()
     WHERE e.pool_id = $1 AND e.state IN ('waiting', 'offered', 'admitted')
       AND ($3 OR EXISTS (SELECT FROM shows w WHERE w.id = e.show_id AND w.state = 'ended'))
    RETURNING e.id, e.pool_id, e.account_id, e.show_id, e.place, e.state, e.hold_id, e.admission, e.until, e.tries"""

# A repeated request is answered with a hold that has been noted, maybe as that of an earlier admission.
_SERVED: Final = """
    UPDATE line_entries e SET state = $5, hold_id = t.hold_id, ended_at = now()
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (pool_id, account_id, admission, hold_id)
     WHERE e.pool_id = t.pool_id AND e.account_id = t.account_id AND e.admission = t.admission
       AND e.state = ANY($6::text[]) AND NOT EXISTS (SELECT FROM line_entries o WHERE o.hold_id = t.hold_id)"""

# Who pays by now for what was offered; and who was admitted and pays, where the note of the hold got lost on the way,
# unless the hold is another turn's. A person's payments are found by the key that the first line of each has.
_PAYING: Final = """
    UPDATE line_entries e SET state = $2, hold_id = a.hold_id, ended_at = now()
      FROM payment_attempts k JOIN payment_attempts a ON a.id = k.id
     WHERE e.pool_id = $1 AND e.state = ANY($3::text[]) AND k.account_id = e.account_id
       AND k.idempotency_key IS NOT NULL AND a.pool_id = e.pool_id AND NOT a.failed AND a.created_at >= e.served_at
       AND (e.hold_id IN (a.hold_id, a.replaced_hold_id)
            OR (e.state = $4 AND NOT EXISTS (SELECT FROM line_entries o WHERE o.id <> e.id
                                                AND o.hold_id IN (a.hold_id, a.replaced_hold_id))))
    RETURNING e.id, e.pool_id, e.account_id, e.show_id, e.place, e.state, e.hold_id, e.admission, e.until, e.tries"""

# Whose payment failed a moment ago; a glance at the gate tells whether their unit is free by now.
_UNPAID: Final = """
    SELECT e.hold_id FROM line_entries e
     WHERE e.pool_id = $1 AND e.state = ANY($2::text[]) AND e.tries < $3 AND e.hold_id IS NOT NULL
       AND (e.ended_at IS NULL OR e.ended_at > now() - make_interval(secs => $4))
       AND EXISTS (SELECT FROM payment_attempts k JOIN payment_attempts a ON a.id = k.id
                    WHERE k.account_id = e.account_id AND k.idempotency_key IS NOT NULL AND a.hold_id = e.hold_id
                      AND a.failed AND a.updated_at > now() - make_interval(secs => $4))
     ORDER BY e.place, e.id LIMIT $5"""

# That lived a moment ago, and whose payment no rebuild of the gate has brought over.
_UNPAID_YET: Final = """
    SELECT e.hold_id FROM line_entries e
     WHERE e.pool_id = $1 AND e.state = ANY($2::text[]) AND e.hold_id IS NOT NULL
       AND (e.ended_at IS NULL OR e.ended_at > now() - make_interval(secs => $3))
       AND NOT EXISTS (SELECT FROM payment_attempts k JOIN payment_attempts a ON a.id = k.id
                        WHERE k.account_id = e.account_id AND k.idempotency_key IS NOT NULL
                          AND e.hold_id IN (a.hold_id, a.replaced_hold_id) AND NOT a.failed)
     ORDER BY e.place, e.id LIMIT $4"""

# The same place as before: who was first is first again. Of a person's several the first: nobody is in a line twice.
_BRING_BACK: Final = """
    UPDATE line_entries e SET state = $2, tries = tries + 1, until = NULL, admission = NULL, ended_at = NULL
     WHERE e.state = ANY($3::text[]) AND e.id IN (
           SELECT DISTINCT ON (b.pool_id, b.account_id) b.id FROM line_entries b
            WHERE b.hold_id = ANY($1::text[]) AND b.state = ANY($3::text[]) AND b.tries < $4
              AND NOT EXISTS (SELECT FROM line_entries o WHERE o.pool_id = b.pool_id AND o.account_id = b.account_id
                                 AND o.id <> b.id AND o.state IN ('waiting', 'offered', 'admitted'))
            ORDER BY b.pool_id, b.account_id, b.place, b.id)"""


async def read_facts(pg: Any, pools: Sequence[str]) -> dict[str, LineFacts]:
    """What decides about these pools' lines, by pool."""
    return {
        row["id"]: LineFacts(
            pool=row["id"],
            sale=row["sale"],
            show=row["show_id"],
            sale_state=row["state"],
            waiting_room=row["waiting_room"],
            seed=row["draw_seed"],
            drawn_at_ms=None if row["drawn_at"] is None else to_ms(row["drawn_at"]),
            closed=row["closed_at"] is not None,
        )
        for row in await pg.fetch(_FACTS, list(pools))
    }


async def lock_places(connection: Any, pools: Sequence[str]) -> None:
    """Nobody else gives places in these lines until the transaction ends."""
    for pool in sorted(set(pools)):
        await connection.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LINES, pool)


async def may_serve(connection: Any, pool: str) -> bool:
    """False while another worker serves this line. Holds until the transaction ends."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, hashtext($2))", _SERVING, pool))


async def read_ends(connection: Any, pools: Sequence[str]) -> dict[str, tuple[int, int]]:
    """How many are in each line, and its last place so far."""
    rows = await connection.fetch(_ENDS, list(pools))
    return {row["pool_id"]: (row["live"], row["last"] or 0) for row in rows}


async def live_entries(connection: Any, pools: Sequence[str], people: Sequence[str]) -> list[Entry]:
    """The live entries of these pairs of pool and person."""
    return [_entry(row) for row in await connection.fetch(_LIVE_OF, list(pools), list(people))]


async def entries_of(pg: Any, people: Sequence[str]) -> list[Entry]:
    """All live entries of these people."""
    return [_entry(row) for row in await pg.fetch(_OF_PEOPLE, list(people))]


async def insert_entries(connection: Any, new: Sequence[NewEntry]) -> None:
    """Writes them; who is in that line already keeps the place that they have."""
    columns = [[getattr(one, name) for one in new] for name in ("id", "pool", "person", "show", "place")]
    await connection.execute(_INSERT, *columns)


async def pools_with_lines(pg: Any) -> list[str]:
    """Pools in whose line somebody is, or was until a moment ago."""
    return [row["pool_id"] for row in await pg.fetch(_LINES_THERE, FRESH_S, LINES_MAX)]


async def lines_of_show(pg: Any, show: str) -> list[str]:
    """Pools in whose line somebody of this show is."""
    return [row["pool_id"] for row in await pg.fetch(_LINES_OF_SHOW, show, LINES_MAX)]


async def count_line(pg: Any, pool: str) -> LineCounts:
    """How the line stands now, by the clock of Postgres."""
    row = await pg.fetchrow(_COUNTS, pool)
    first_served = row["first_served"]
    return LineCounts(
        waiting=row["waiting"],
        first=row["first"],
        admitted=row["admitted"],
        served=row["served"],
        first_served_ms=None if first_served is None else to_ms(first_served),
        now_ms=to_ms(row["at"]),
    )


async def head_of(connection: Any, pool: str, count_max: int) -> list[Entry]:
    """The first who wait, in their order."""
    return [_entry(row) for row in await connection.fetch(_HEAD, pool, count_max)]


async def admitted_in(connection: Any, pool: str) -> list[Entry]:
    """Those who are admitted and have taken nothing yet."""
    return [_entry(row) for row in await connection.fetch(_ADMITTED, pool)]


async def serve(connection: Any, event: EntryEvent, served: Sequence[Entry]) -> None:
    """Offers or admits; the entries say what is new of them: admission or hold, and until when."""
    ids = [one.id for one in served]
    admissions, holds = [one.admission for one in served], [one.hold for one in served]
    untils = [from_ms(one.until_ms or 0) for one in served]
    after = EntryState.OFFERED if event is EntryEvent.OFFER else EntryState.ADMITTED
    await connection.execute(_SERVE, ids, after, admissions, holds, untils, states_before(event))


async def end_entries(pg: Any, ids: Sequence[str], event: EntryEvent, after: EntryState) -> None:
    """Ends entries that are still live."""
    await pg.execute(_END, list(ids), after, states_before(event))


async def leave_offer(pg: Any, hold: str) -> None:
    """The person let the hold of an offer go."""
    await pg.execute(_LEAVE_OFFER, hold, EntryState.LEFT, [EntryState.OFFERED])


async def lapse_overdue(connection: Any, pool: str, now: datetime) -> list[Entry]:
    """Ends offers and admissions whose countdown has passed; answers with them."""
    rows = await connection.fetch(_LAPSE, pool, now, EntryState.LAPSED, states_before(EntryEvent.LAPSE))
    return [_entry(row) for row in rows]


async def end_line(connection: Any, pool: str, *, whole: bool) -> list[Entry]:
    """Ends the whole line, or just the places of those whose show has ended; answers with them."""
    return [_entry(row) for row in await connection.fetch(_END_LINE, pool, EntryState.OVER, whole)]


async def note_served(pg: asyncpg.Pool, taken: list[tuple[str, str, str, str]]) -> list[None]:
    """These took a hold with their admission; each is (pool, person, admission, hold). Writes a batch."""
    columns = [[one[at] for one in taken] for at in range(4)]
    await pg.execute(_SERVED, *columns, EntryState.SERVED, states_before(EntryEvent.SERVE))
    return [None] * len(taken)


async def note_paying(connection: Any, pool: str) -> list[Entry]:
    """Who pays has had their turn, be it an offer, or an admission whose use nobody noted; answers with them."""
    args = (pool, EntryState.SERVED, states_before(EntryEvent.SERVE), EntryState.ADMITTED)
    return [_entry(row) for row in await connection.fetch(_PAYING, *args)]


async def unpaid_holds(connection: Any, pool: str) -> list[str]:
    """Holds of people who were served from this line, and whose payments failed a moment ago."""
    args = (pool, states_before(EntryEvent.BRING_BACK), TRIES_MAX, UNPAID_S, UNPAID_MAX)
    return [row["hold_id"] for row in await connection.fetch(_UNPAID, *args)]


async def unpaid_yet(connection: Any, pool: str, hold_ttl_s: int) -> list[str]:
    """Holds of people who were served from this line, that may still live and have no payment."""
    args = (pool, states_before(EntryEvent.BRING_BACK), hold_ttl_s, UNPAID_MAX)
    return [row["hold_id"] for row in await connection.fetch(_UNPAID_YET, *args)]


async def bring_back(connection: Any, holds: Sequence[str]) -> None:
    """These holds came to nothing: whose place led to one waits there again, TRIES_MAX times at most."""
    states = states_before(EntryEvent.BRING_BACK)
    try:
        async with connection.transaction():
            await connection.execute(_BRING_BACK, list(holds), EntryState.WAITING, states, TRIES_MAX)
    except asyncpg.UniqueViolationError:  # one of them came into the line at this moment, and keeps that place
        for hold in holds if len(holds) > 1 else ():
            await bring_back(connection, [hold])


async def next_version(pg: Any) -> int:
    """A version for what a room is told of a line."""
    return int(await pg.fetchval("SELECT nextval('line_versions')"))


def _entry(row: Any) -> Entry:
    until = row["until"]
    return Entry(
        id=row["id"],
        pool=row["pool_id"],
        person=row["account_id"],
        show=row["show_id"],
        place=row["place"],
        state=EntryState(row["state"]),
        hold=row["hold_id"],
        admission=row["admission"],
        until_ms=None if until is None else to_ms(until),
        tries=row["tries"],
    )
