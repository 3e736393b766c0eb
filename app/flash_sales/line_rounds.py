"""The worker's round over lines: draws, lets lapse, serves in order as many as units are free, tells what changed.

It may run in several workers at once, one of which serves a line, and may die anywhere: the next round does the rest.
An offer's hold has a key of its own, so that an offer is made once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app import clock
from app.flash_sales import draw_store, line_store, sale_store
from app.flash_sales.draw_rules import crowd_of, draw_order
from app.flash_sales.gate import Decided
from app.flash_sales.hold_index import HoldNote
from app.flash_sales.holds import OFFER_KEY, Hold, view_hold
from app.flash_sales.line_rules import EntryEvent, EntryState, change_entry, to_serve
from app.flash_sales.line_store import Entry, LineFacts
from app.flash_sales.lines import LineState, PlaceChanged, line_state, version_line, view_place
from app.flash_sales.moment import from_ms, valkey_now_ms
from app.flash_sales.parts import FlashSales
from app.flash_sales.sale_rules import BEGUN_STATES, OPEN_STATES
from app.flash_sales.sales import say_sale
from app.storage.away import unless_away

TOLD_AT_ONCE: Final = 100


class SaleDrawn(msgspec.Struct, frozen=True, tag="draw", tag_field="t"):
    """A room's event: the order of those who came before the start was drawn, with this seed. `crowd` is the hash of
    their entries: from now on nobody can be put among them or left out.
    """

    sale: str
    title: str
    entries: int
    commitment: str
    seed: str
    crowd: str
    at: int


class _Told(msgspec.Struct, frozen=True):
    """Somebody whose place changed, with the hold of an offer."""

    entry: Entry
    hold: Hold | None = None


async def serve_lines(sales: FlashSales) -> None:
    """One round over all lines."""
    for pool in await line_store.pools_with_lines(sales.pg):
        await serve_line(sales, pool)


async def serve_line(sales: FlashSales, pool: str) -> None:
    """One round over one line."""
    facts = (await line_store.read_facts(sales.pg, [pool]))[pool]
    drawn: list[Entry] = []
    if facts.waiting_room and facts.drawn_at_ms is None and facts.sale_state in BEGUN_STATES:
        drawn = await draw(sales, facts)
        facts = (await line_store.read_facts(sales.pg, [pool]))[pool]
    epoch = sales.line_epochs.pop(pool, None)  # known again once this has been written
    async with sales.pg.acquire() as connection, connection.transaction():
        if not await line_store.may_serve(connection, pool):
            return
        told = await _end_what_is_over(sales, connection, facts)
        if facts.sale is None or facts.sale_state in BEGUN_STATES:
            more, epoch = await _serve(sales, connection, facts, epoch)
            told += more
    _remember(sales, pool, epoch)
    state = line_state(facts, await line_store.count_line(sales.pg, pool))
    await sales.door.say_waiting(pool, 0 if facts.waiting_room else state.waiting)
    served = {one.entry.id for one in told}
    told += [_Told(entry) for entry in drawn if entry.id not in served]
    await _tell(sales, told, state)
    await _say(sales, state)


async def draw(sales: FlashSales, facts: LineFacts) -> list[Entry]:
    """Gives those who came before the start their places, once; answers with them. Publishes the seed."""
    assert facts.sale is not None
    assert facts.show is not None
    async with sales.pg.acquire() as connection, connection.transaction():
        await line_store.lock_places(connection, [facts.pool])
        seed = await draw_store.note_draw(connection, facts.sale)
        if seed is None:
            return []
        order = draw_order(seed, await draw_store.undrawn(connection, facts.pool))
        crowd = crowd_of(order)
        await draw_store.place_drawn(connection, facts.sale, order, crowd)
        entries = await line_store.head_of(connection, facts.pool, len(order))
    await unless_away("draw", _say_draw(sales, facts.show, facts.sale, len(order), crowd))
    return entries


async def _say_draw(sales: FlashSales, show: str, sale: str, entries: int, crowd: bytes) -> None:
    row = await sale_store.read_sale(sales.pg, show, sale)
    assert row is not None
    view = row.view
    await say_sale(sales, row)
    said = (view.commitment or "", view.seed or "", crowd.hex(), clock.now_ms())
    await sales.rooms.append(show, SaleDrawn(sale, view.product.title, entries, *said))


async def _end_what_is_over(sales: FlashSales, connection: Any, facts: LineFacts) -> list[_Told]:
    await _note_paying(sales, connection, facts.pool)
    whole = facts.closed or (facts.sale_state is not None and facts.sale_state not in OPEN_STATES)
    ended = await line_store.end_line(connection, facts.pool, whole=whole)
    ended += await line_store.lapse_overdue(connection, facts.pool, from_ms(await valkey_now_ms(sales.valkey)))
    await _expel(sales, ended)
    return [_Told(one) for one in ended]


async def _note_paying(sales: FlashSales, connection: Any, pool: str) -> None:
    await _expel(sales, await line_store.note_paying(connection, pool))


async def _expel(sales: FlashSales, ended: Sequence[Entry]) -> None:
    """What the door knows of their admissions ends with them: for an unused one it would keep a unit."""
    for one in ended:
        if one.admission is not None:
            await sales.door.expel(one.pool, one.person)


def _remember(sales: FlashSales, pool: str, epoch: int | None) -> None:
    if len(sales.line_epochs) >= line_store.LINES_MAX:
        sales.line_epochs.clear()
    if epoch is not None:
        sales.line_epochs[pool] = epoch


async def _serve(
    sales: FlashSales, connection: Any, facts: LineFacts, known: int | None
) -> tuple[list[_Told], int | None]:
    """Answers also with the gate's epoch; `known` is the one in which this process has last looked for lost holds."""
    looked = (await sales.gate.look(facts.pool)).result
    if looked is None:
        return [], known
    await _bring_back(sales, connection, facts.pool, lost=looked.epoch != known)
    admitted: list[Entry] = []
    if facts.waiting_room:
        # After the look: on a hold of an earlier epoch than that no payment begins any more (checkout/attempts.py).
        await _note_paying(sales, connection, facts.pool)
        admitted = await line_store.admitted_in(connection, facts.pool)
    # Said again each round: a Valkey that was lost knows of no admission.
    await _say_admissions(sales, admitted, looked.epoch)
    free = to_serve(left=looked.left, admitted=len(admitted))
    head = await line_store.head_of(connection, facts.pool, free) if free else []
    if not head:
        return [], looked.epoch
    if facts.waiting_room:
        return await _admit(sales, connection, head, looked.epoch), looked.epoch
    return await _offer(sales, connection, head), looked.epoch


async def _bring_back(sales: FlashSales, connection: Any, pool: str, *, lost: bool) -> None:
    """Before anybody is served with it: the unit of a payment that failed, or of a hold that was lost with its epoch,
    is first of all its buyer's.
    """
    failed = await line_store.unpaid_holds(connection, pool)
    free = [
        hold for hold, seen in await _read(sales, failed) if seen.hold is not None and seen.hold.state == "released"
    ]
    if lost:
        unpaid = await line_store.unpaid_yet(connection, pool, sales.settings.hold_ttl_s)
        free += [hold for hold, seen in await _read(sales, unpaid) if seen.code == "not_found"]
    if free:
        await line_store.bring_back(connection, free)


async def _read(sales: FlashSales, holds: Sequence[str]) -> list[tuple[str, Decided]]:
    return list(zip(holds, await asyncio.gather(*(sales.gate.read(one) for one in holds)), strict=True))


async def _say_admissions(sales: FlashSales, admitted: Sequence[Entry], epoch: int) -> None:
    await asyncio.gather(*(sales.door.admit(one.pool, one.person, one.admission or "", epoch) for one in admitted))


async def _admit(sales: FlashSales, connection: Any, head: Sequence[Entry], epoch: int) -> list[_Told]:
    until_ms = await valkey_now_ms(sales.valkey) + sales.settings.offer_ttl_s * 1000
    admitted = [
        msgspec.structs.replace(
            one, state=change_entry(one.state, EntryEvent.ADMIT), admission=clock.new_secret(), until_ms=until_ms
        )
        for one in head
    ]
    await line_store.serve(connection, EntryEvent.ADMIT, admitted)
    await _say_admissions(sales, admitted, epoch)
    return [_Told(one) for one in admitted]


async def _offer(sales: FlashSales, connection: Any, head: Sequence[Entry]) -> list[_Told]:
    made = await asyncio.gather(*(_hold_for(sales, one) for one in head))
    offers = [one for one in made if one is not None and one.entry.state is EntryState.OFFERED]
    refused = [one for one in made if one is not None and one.entry.state is EntryState.OVER]
    await line_store.serve(connection, EntryEvent.OFFER, [one.entry for one in offers])
    await line_store.end_entries(connection, [one.entry.id for one in refused], EntryEvent.END, EntryState.OVER)
    return [*offers, *refused]


async def _hold_for(sales: FlashSales, entry: Entry) -> _Told | None:
    """Takes one unit for the person; None when none was free after all."""
    key = f"{OFFER_KEY}{entry.id}:{entry.tries}"
    decided = await sales.gate.take(
        entry.pool,
        person=entry.person,
        key=key,
        body=f"1:{entry.show}",
        quantity=1,
        show=entry.show,
        ttl_ms=sales.settings.offer_ttl_s * 1000,
    )
    if decided.code == "over_limit":
        return _Told(msgspec.structs.replace(entry, state=change_entry(entry.state, EntryEvent.END)))
    if decided.hold is None or decided.label is None or decided.code not in {"granted", "same"}:
        return None
    record = decided.hold
    note = HoldNote(entry.person, key, entry.pool, decided.id, record.granted_at_ms, record.expires_at_ms)
    await unless_away("offer", sales.notes.submit(note))
    offered = msgspec.structs.replace(
        entry,
        state=change_entry(entry.state, EntryEvent.OFFER),
        hold=decided.id,
        until_ms=record.expires_at_ms,
    )
    return _Told(offered, view_hold(decided.id, record, decided.label, decided.now_ms))


async def _tell(sales: FlashSales, told: Sequence[_Told], state: LineState) -> None:
    for at in range(0, len(told), TOLD_AT_ONCE):
        some = told[at : at + TOLD_AT_ONCE]
        hints = [
            (one.entry.show, one.entry.person, PlaceChanged(view_place(one.entry, state), one.hold)) for one in some
        ]
        await asyncio.gather(*(unless_away("place in line", sales.rooms.tell(*hint)) for hint in hints))


async def _say(sales: FlashSales, state: LineState) -> None:
    """Says how the line stands, if that is new since the last round of this process."""
    if sales.lines_said.get(state.pool) == state:
        return
    if len(sales.lines_said) >= line_store.LINES_MAX:
        sales.lines_said.clear()
    version, state = await version_line(sales, state.pool)
    sales.lines_said[state.pool] = state
    for show in await sales.voice.shows_of(state.pool):
        await unless_away("line", sales.rooms.set_state(show, f"line:{state.pool}", version, state))
