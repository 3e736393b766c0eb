"""What a process remembers of pools and lines: what never changes for good, how a line stands for a moment."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import msgspec

from app import clock

POOLS_KNOWN_MAX: Final = 10_000
LINES_KNOWN_S: Final = 0.2

_ENTRANCE: Final = """
    SELECT coalesce(s.waiting_room, false) AS waiting_room, coalesce(s.per_address_limit, 0) AS per_address_limit,
           d.shop_id, coalesce(s.show_id, '') AS show_id
      FROM pools p JOIN variants v ON v.id = p.variant_id JOIN products d ON d.id = v.product_id
      LEFT JOIN flash_sales s ON s.id = p.flash_sale_id WHERE p.id = $1"""


class Entrance(msgspec.Struct, frozen=True):
    """What a pool's door asks for, and whose it is. Never changes once the pool is there. `per_address_limit` 0: none;
    `show` is that of a sale, else "".
    """

    waiting_room: bool
    per_address_limit: int
    shop: str
    show: str


class EntranceOf:
    """What a pool's door asks for; None when there is no such pool."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._known: dict[str, Entrance] = {}

    def known(self, pool: str) -> Entrance | None:
        """What was read once."""
        return self._known.get(pool)

    async def __call__(self, pool: str) -> Entrance | None:
        """What was read once, else what Postgres says."""
        known = self._known.get(pool)
        if known is not None:
            return known
        row = await self._pg.fetchrow(_ENTRANCE, pool)
        if row is None:
            return None
        if len(self._known) >= POOLS_KNOWN_MAX:
            self._known.clear()
        known = self._known[pool] = Entrance(*row)
        return known


class KnownBriefly:
    """Line states of LINES_KNOWN_S ago at most: thousands who join at once ask for the same one."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Any]] = {}

    async def read(self, pool: str, read: Callable[[], Awaitable[Any]]) -> Any:
        """What is known of the pool's line, else what `read` finds."""
        known = self._known.get(pool)
        if known is not None and clock.monotonic_s() - known[0] < LINES_KNOWN_S:
            return known[1]
        found = await read()
        if len(self._known) >= POOLS_KNOWN_MAX:
            self._known.clear()
        self._known[pool] = (clock.monotonic_s(), found)
        return found
