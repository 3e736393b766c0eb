"""What becomes of a banned person's holds: they are given back. Implements chat's BanListener; owns nothing."""

from collections.abc import Sequence

from app.flash_sales.holds import holds_of, release_hold
from app.flash_sales.parts import FlashSales


class BannedHolds:
    """Releases holds; one whose payment is under way is the payment's."""

    def __init__(self, sales: FlashSales) -> None:
        self._sales = sales

    async def person_banned(self, person: str, shows: Sequence[str]) -> None:
        """Gives back what the person holds in these shows."""
        for show in shows:
            for hold in await holds_of(self._sales, person, show):
                await release_hold(self._sales, person=person, hold=hold.id)
