"""What flash_sales does for those below: tells lost state and a person's holds, hears of stock and ended shows."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from app.flash_sales import line_store, sale_store
from app.flash_sales.comments import buying_state
from app.flash_sales.holds import holds_of, release_hold
from app.flash_sales.line_rules import EntryState
from app.flash_sales.lines import PlaceChanged, leave_all_lines, places_of, version_line
from app.flash_sales.moment import valkey_now_ms
from app.flash_sales.parts import FlashSales
from app.flash_sales.pool_store import live_pools_of, pools_of_products
from app.flash_sales.sale_rules import BEGUN_STATES, OPEN_STATES, SaleEvent, SaleState
from app.flash_sales.sales import change
from app.flash_sales.voice import pool_state
from app.person import Person

_SERVED: Final = frozenset({EntryState.OFFERED, EntryState.ADMITTED})


class SaleSource:
    """Implements rooms' StateSource and MeSource, accounts' SignOutListener, the catalog's StockListener and streams'
    ShowSales.
    """

    def __init__(self, sales: FlashSales) -> None:
        self._sales = sales

    async def state_of(self, show: str) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
        """The keys `sale:*`, `pool:*`, `line:*` and `buying` of the show."""
        entries: list[tuple[str, int, msgspec.Struct | None]] = [
            (f"sale:{row.view.id}", row.view.version, row.view)
            for row in await sale_store.shown_sales(self._sales.pg, show)
        ]
        for pool in await live_pools_of(self._sales.pg, show):
            looked = await self._sales.gate.look(pool)
            if looked.result is not None:
                entries.append((f"pool:{pool}", looked.result.version, pool_state(pool, looked.result)))
        for pool in await line_store.lines_of_show(self._sales.pg, show):
            version, state = await version_line(self._sales, pool)
            entries.append((f"line:{pool}", version, state))
        return [*entries, *await buying_state(self._sales, show)]

    async def me_of(self, show: str, person: Person) -> Mapping[str, Any]:
        """The person's live holds and places in line in this show; those served from a line are in `offers` too."""
        holds = await holds_of(self._sales, person.id, show)
        held = {hold.id: hold for hold in holds}
        lines = [
            place
            for place in await places_of(self._sales, person.id, show)
            if place.state != EntryState.OFFERED or place.hold in held
        ]
        offers = [PlaceChanged(place, held.get(place.hold or "")) for place in lines if place.state in _SERVED]
        return {"holds": holds, "lines": lines, "offers": offers}

    async def stock_changed(self, pools: Sequence[str]) -> None:
        """Tells the gates what Postgres says now. What fails here is mended by the worker's round."""
        for pool in pools:
            await self._sales.gate.sync(pool)

    async def products_joined(self, show: str, products: Sequence[str]) -> None:
        """Says what is left of the products in the show's room: nothing else would before their stock changes."""
        for pool in await pools_of_products(self._sales.pg, products):
            looked = await self._sales.gate.look(pool)
            if looked.result is not None:
                state = pool_state(pool, looked.result)
                await self._sales.rooms.set_state(show, f"pool:{pool}", looked.result.version, state)

    async def signed_out(self, person: str) -> None:
        """Gives back what the person holds, save what is being paid: that ends with its payment. Leaves all lines."""
        await leave_all_lines(self._sales, person)
        held = await holds_of(self._sales, person)
        await asyncio.gather(*(release_hold(self._sales, person=person, hold=hold.id) for hold in held))

    async def show_ended(self, show: str) -> None:
        """Ends the show's sales that are on and cancels those to come. Harmless when repeated."""
        now_ms = await valkey_now_ms(self._sales.valkey)
        for row in await sale_store.sales_of(self._sales.pg, show):
            state = SaleState(row.view.state)
            if state in OPEN_STATES:
                event = SaleEvent.END if state in BEGUN_STATES else SaleEvent.CANCEL
                await change(self._sales, row, event, now_ms)
