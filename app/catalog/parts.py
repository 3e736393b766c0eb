"""What the catalog's actions need, put together once."""

from dataclasses import dataclass, field

import asyncpg

from app.catalog.listeners import ProductListener, StockListener
from app.catalog.photos import Darkroom


@dataclass(frozen=True)
class Catalog:
    """The parts of the catalog. `close()` the darkroom when the process ends."""

    pg: asyncpg.Pool
    stock_listeners: tuple[StockListener, ...] = ()
    product_listeners: tuple[ProductListener, ...] = ()
    darkroom: Darkroom = field(default_factory=Darkroom)
