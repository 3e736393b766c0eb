"""The media role: the relay, in a process of its own so that video never waits for chat."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from app.settings import Settings
from app.streams.relay.role import run_media
from app.wiring import build_media


async def work(
    settings: Settings,
    stop: asyncio.Event,
    say_ready: Callable[[], Awaitable[None]],
    listener: socket.socket | None,
) -> None:
    """Relays until `stop`."""
    assert listener is None
    async with build_media(settings) as rooms:
        relaying = asyncio.create_task(run_media(settings, rooms, say_ready), name="relay")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({relaying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not stop.is_set():
            await relaying  # a defect: it rises
        relaying.cancel()
        await asyncio.gather(relaying, stopping, return_exceptions=True)
