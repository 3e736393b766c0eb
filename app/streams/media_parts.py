"""What the WHIP and WHEP actions need. Only holds it."""

from typing import Protocol

import asyncpg
import msgspec

from app.http.endpoint import Gatekeeper
from app.settings import Settings
from app.streams.media_control import MediaControl
from app.streams.media_rate_rules import MediaRate


class Bans(Protocol):
    """Implemented by chat: who may not be in a show."""

    async def bars(self, person: str, show: str) -> bool:
        """Whether the person is banned from the show, as of now."""


class Media(msgspec.Struct, frozen=True):
    """`gatekeeper` proves a host who publishes from the studio page by cookie."""

    pg: asyncpg.Pool
    control: MediaControl
    gatekeeper: Gatekeeper
    bans: Bans
    settings: Settings
    rate: MediaRate = msgspec.field(default_factory=MediaRate)
