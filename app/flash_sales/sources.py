"""What flash_sales does for those below: tells rooms lost state and a person's holds, hears the catalog's changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.flash_sales import sale_store
from app.flash_sales.holds import holds_of
from app.flash_sales.parts import FlashSales
from app.flash_sales.pool_store import live_pools_of
from app.flash_sales.voice import pool_state
from app.person import Person


class SaleSource:
    """Implements rooms' StateSource and MeSource and the catalog's StockListener."""

    def __init__(self, sales: FlashSales) -> None:
        self._sales = sales

    async def state_of(self, show: str) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
        """The keys `sale:*` and `pool:*` of the show."""
        entries: list[tuple[str, int, msgspec.Struct | None]] = [
            (f"sale:{row.view.id}", row.view.version, row.view)
            for row in await sale_store.shown_sales(self._sales.pg, show)
        ]
        for pool in await live_pools_of(self._sales.pg, show):
            looked = await self._sales.gate.look(pool)
            if looked.result is not None:
                entries.append((f"pool:{pool}", looked.result.version, pool_state(pool, looked.result)))
        return entries

    async def me_of(self, show: str, person: Person) -> Mapping[str, Any]:
        """The person's live holds in this show."""
        return {"holds": await holds_of(self._sales, person.id, show)}

    async def stock_changed(self, pools: Sequence[str]) -> None:
        """Tells the gates what Postgres says now. What fails here is mended by the worker's round."""
        for pool in pools:
            await self._sales.gate.sync(pool)
