"""What becomes of a banned person's holds and places in line: they are given back. Implements chat's BanListener."""

from collections.abc import Sequence

from app.flash_sales.holds import Hold, holds_of, release_hold
from app.flash_sales.lines import leave_lines_of
from app.flash_sales.parts import FlashSales


class BannedHolds:
    """Releases holds and leaves lines; a hold whose payment is under way is the payment's."""

    def __init__(self, sales: FlashSales) -> None:
        self._sales = sales

    async def person_banned(self, person: str, shows: Sequence[str], shop: str | None) -> None:
        """Gives back what the person has there."""
        await leave_lines_of(self._sales, person, shows)
        for hold in await holds_of(self._sales, person):
            if hold.show in shows or await self._is_of(shop, hold):
                await release_hold(self._sales, person=person, hold=hold.id)

    async def _is_of(self, shop: str | None, hold: Hold) -> bool:
        entrance = await self._sales.entrance_of(hold.pool)
        return shop is not None and entrance is not None and entrance.shop == shop
