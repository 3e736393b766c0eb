"""What the catalog tells the features above it, which implement these. Called after the commit.

The commit is the truth: an implementation that cannot reach Valkey raises, the edit stands all the same, and the
implementation's own loop must find the difference later.
"""

from collections.abc import Sequence
from typing import Protocol


class StockListener(Protocol):
    """Implemented by flash_sales, which keeps the gate."""

    async def stock_changed(self, pools: Sequence[str]) -> None:
        """Allotment or price of these ordinary pools changed in Postgres, or they are new: read them again."""


class ProductListener(Protocol):
    """Implemented by streams, which shows the pinned product."""

    async def product_changed(self, product: str) -> None:
        """Something that people see of the product changed in Postgres: say it again where it is pinned."""
