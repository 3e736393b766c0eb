"""What a person can do with a line: join, leave, look. And what they are told of their place in it.

Who is served, and when, is app/flash_sales/line_rounds.py's.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from app.flash_sales import line_store
from app.flash_sales.holds import BANNED, NOT_SOLD_HERE, Hold, release_hold
from app.flash_sales.line_joins import Joining
from app.flash_sales.line_rules import EntryEvent, EntryState, expected_wait_ms, pace_ms
from app.flash_sales.line_store import Entry, LineCounts, LineFacts
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal
from app.storage.away import unless_away

_NOT_IN_LINE: Final = Refusal("not_found", "You are not in this line.")


class Place(msgspec.Struct, frozen=True):
    """One's own place in line.

    `place` and `ahead` are None until the draw of a waiting room; `ahead` counts those before, at most. `state` is
    waiting, offered (`hold` is yours to pay until `until_ms`), admitted (take a hold with `admission` until then), or
    how it ended: lapsed, over.
    """

    entry: str
    pool: str
    sale: str | None
    state: str
    place: int | None
    ahead: int | None
    expected_wait_ms: int | None
    hold: str | None
    admission: str | None
    until_ms: int | None


class PlaceChanged(msgspec.Struct, frozen=True, tag="line", tag_field="t"):
    """A hint to one person: their place is now this; with the hold of an offer."""

    place: Place
    hold: Hold | None = None


class LineState(msgspec.Struct, frozen=True):
    """The value of the room's key `line:<pool>`. A place is behind `place - first` others at most, each of whom takes
    `each_ms`; None while nobody can tell.
    """

    pool: str
    sale: str | None
    waiting: int
    first: int | None
    each_ms: int | None


def line_state(facts: LineFacts, counts: LineCounts) -> LineState:
    """What everybody in the room may know of the line."""
    since_ms = counts.now_ms - (counts.first_served_ms or counts.now_ms)
    each_ms = pace_ms(served=counts.served, window_ms=since_ms)
    return LineState(facts.pool, facts.sale, counts.waiting, counts.first, each_ms)


def view_place(entry: Entry, state: LineState) -> Place:
    """A person's place as they see it."""
    waits = entry.state is EntryState.WAITING
    known = waits and entry.place is not None and state.first is not None
    ahead = max(0, entry.place - state.first) if known and entry.place and state.first else None
    return Place(
        entry=entry.id,
        pool=entry.pool,
        sale=state.sale,
        state=entry.state,
        place=entry.place,
        ahead=ahead,
        expected_wait_ms=expected_wait_ms(ahead, state.each_ms),
        hold=entry.hold if entry.state is EntryState.OFFERED else None,
        admission=entry.admission if entry.state is EntryState.ADMITTED else None,
        until_ms=None if waits else entry.until_ms,
    )


async def join_line(sales: FlashSales, *, person: str, pool: str, show: str) -> Place | Refusal:
    """Takes a place at the end of the pool's line, or in the draw to come. Idempotent."""
    if not await sales.sells(show, pool):
        return NOT_SOLD_HERE
    entrance = await sales.entrance_of(pool)
    if entrance is None or (await sales.bans.of(person)).bar(entrance.shop, entrance.show, show):
        return BANNED if entrance else NOT_SOLD_HERE
    joined = await sales.joins.submit(Joining(person, pool, show))
    if isinstance(joined, Refusal):
        return joined
    return view_place(joined, await read_line(sales, pool))


async def leave_line(sales: FlashSales, *, person: str, pool: str) -> Refusal | None:
    """Gives the place up, and with it an offer or an admission."""
    entries = await line_store.live_entries(sales.pg, [pool], [person])
    if not entries:
        return _NOT_IN_LINE
    await _leave(sales, entries)
    return None


async def leave_all_lines(sales: FlashSales, person: str) -> None:
    """The person goes: nobody waits behind them any more."""
    await _leave(sales, await line_store.entries_of(sales.pg, [person]))


async def leave_lines_of(sales: FlashSales, person: str, shows: Sequence[str]) -> None:
    """The same of these shows alone."""
    entries = await line_store.entries_of(sales.pg, [person])
    await _leave(sales, [one for one in entries if one.show in shows])


async def _leave(sales: FlashSales, entries: Sequence[Entry]) -> None:
    await line_store.end_entries(sales.pg, [one.id for one in entries], EntryEvent.LEAVE, EntryState.LEFT)
    for one in entries:
        if one.hold is not None and one.state is EntryState.OFFERED:
            await unless_away("offer", release_hold(sales, person=one.person, hold=one.hold))
        if one.admission is not None:
            await unless_away("admission", sales.door.expel(one.pool, one.person))


async def places_of(sales: FlashSales, person: str, show: str | None = None) -> list[Place]:
    """The person's live places, in all shows or one."""
    entries = await sales.places.submit(person)
    wanted = [one for one in entries if show is None or one.show == show]
    return [view_place(one, await read_line(sales, one.pool)) for one in wanted]


async def read_line(sales: FlashSales, pool: str) -> LineState:
    """How the pool's line stands, as of a moment ago."""
    return await sales.line_states.read(pool, partial(count_line, sales, pool))


async def count_line(sales: FlashSales, pool: str) -> LineState:
    """How the pool's line stands now."""
    facts = (await line_store.read_facts(sales.pg, [pool]))[pool]
    return line_state(facts, await line_store.count_line(sales.pg, pool))


async def version_line(sales: FlashSales, pool: str) -> tuple[int, LineState]:
    """The line for a room. The version first: whatever is counted after a higher one is younger."""
    version = await line_store.next_version(sales.pg)
    return version, await count_line(sales, pool)
