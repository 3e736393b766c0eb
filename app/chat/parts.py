"""What chat's actions need, put together once."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from app.chat.reactions import Reactions
from app.rooms.bus import Pace, Rooms
from app.rooms.copies import Copies
from app.settings import Settings

MODERATING_MAX: Final = 4
"""Sanctions at work at once: each holds a connection while the room, to be opened, may need another."""


@dataclass(frozen=True)
class Chat:
    """The parts of chat."""

    pg: asyncpg.Pool
    rooms: Rooms
    copies: Copies
    pace: Pace
    reactions: Reactions = field(default_factory=Reactions)
    moderating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MODERATING_MAX))


def build_chat(pg: asyncpg.Pool, rooms: Rooms, copies: Copies, settings: Settings) -> Chat:
    """Chat over the given stores."""
    return Chat(pg=pg, rooms=rooms, copies=copies, pace=Pace(10_000 // settings.chat_per_10_s, settings.chat_per_10_s))
