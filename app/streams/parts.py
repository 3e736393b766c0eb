"""What the actions on shows need, put together once, and what they ask of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg
from redis.asyncio import Redis

from app.rooms.bus import Rooms
from app.settings import Settings
from app.streams.media_control import MediaControl


class ShowSales(Protocol):
    """Implemented by flash_sales, which is above."""

    async def show_ended(self, show: str) -> None:
        """The show is over in Postgres: end its sales. Called again until it returns."""

    async def products_joined(self, show: str, products: Sequence[str]) -> None:
        """These products are in the show's line-up from now on: say in its room what is left of them."""


@dataclass(frozen=True)
class Streams:
    """The parts of streams. A listener that is not there (a role without it) is None."""

    pg: asyncpg.Pool
    valkey: Redis
    rooms: Rooms
    settings: Settings
    sales: ShowSales | None = None
    media: MediaControl | None = None
