"""Places in line given and looked up in batches: all that arrived together, in the order of their arrival.

Owns how a place comes about. Who may look, and what they are told, is app/flash_sales/lines.py's.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg
import msgspec

from app import clock
from app.flash_sales import line_store
from app.flash_sales.line_rules import LINE_MAX
from app.flash_sales.line_store import Entry, LineFacts, NewEntry
from app.flash_sales.sale_rules import BEGUN_STATES, OPEN_STATES
from app.refusal import Refusal
from app.storage.rolled_back import until_it_stays

_ENDED: Final = Refusal("ended", "The sale has ended.")
_NOT_STARTED: Final = Refusal("not_started", "The sale has not begun, and it has no waiting room.")
_FULL: Final = Refusal("overloaded", "The line is as long as any may be; look again in a moment.", 5000)
_NO_POOL: Final = Refusal("not_found", "There is no such item.")


class Joining(msgspec.Struct, frozen=True):
    """Somebody who wants a place in a pool's line, watching this show."""

    person: str
    pool: str
    show: str


async def find_places(pg: asyncpg.Pool, people: list[str]) -> list[list[Entry]]:
    """The live entries of each of these people. Reads a batch."""
    by_person = defaultdict(list)
    for entry in await line_store.entries_of(pg, list(set(people))):
        by_person[entry.person].append(entry)
    return [by_person[person] for person in people]


async def write_joins(pg: asyncpg.Pool, wanted: list[Joining]) -> Sequence[Entry | Refusal]:
    """Writes a batch of joins in the order of their arrival; each gets its own answer."""
    return await until_it_stays(partial(_write_joins, pg, wanted))


async def _write_joins(pg: asyncpg.Pool, wanted: list[Joining]) -> Sequence[Entry | Refusal]:
    pools = [one.pool for one in wanted]
    async with pg.acquire() as connection, connection.transaction():
        await line_store.lock_places(connection, pools)
        # Each in a statement of its own: what was written before we had the lock is seen.
        facts = await line_store.read_facts(connection, pools)
        ends = await line_store.read_ends(connection, sorted(set(pools)))
        there = {(one.pool, one.person) for one in await line_store.live_entries(connection, pools, _people(wanted))}
        refused: dict[tuple[str, str], Refusal] = {}
        new: list[NewEntry] = []
        for one in wanted:
            key = (one.pool, one.person)
            refusal = _refuse(facts.get(one.pool), ends.get(one.pool, (0, 0))[0])
            if key in there or key in refused:
                continue
            if refusal is not None:
                refused[key] = refusal
                continue
            there.add(key)
            count, last = ends[one.pool]
            to_be_drawn = facts[one.pool].waiting_room and facts[one.pool].drawn_at_ms is None
            ends[one.pool] = (count + 1, last if to_be_drawn else last + 1)
            place = None if to_be_drawn else last + 1
            new.append(NewEntry(clock.new_id(), one.pool, one.person, facts[one.pool].show or one.show, place))
        await line_store.insert_entries(connection, new)
        entries = await line_store.live_entries(connection, pools, _people(wanted))
    found = {(one.pool, one.person): one for one in entries}
    return [found.get((one.pool, one.person)) or refused[one.pool, one.person] for one in wanted]


def _people(wanted: list[Joining]) -> list[str]:
    return [one.person for one in wanted]


def _refuse(facts: LineFacts | None, count: int) -> Refusal | None:
    if facts is None:
        return _NO_POOL
    if facts.closed or (facts.sale_state is not None and facts.sale_state not in OPEN_STATES):
        return _ENDED
    if facts.sale_state is not None and not facts.waiting_room and facts.sale_state not in BEGUN_STATES:
        return _NOT_STARTED
    return _FULL if count >= LINE_MAX else None
