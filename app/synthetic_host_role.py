"""The demo's synthetic host as a role: a publisher like any other, in a process of its own."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from app.settings import Settings
from app.streams.synthetic_host import run_synthetic_host


async def work(
    settings: Settings,
    stop: asyncio.Event,
    say_ready: Callable[[], Awaitable[None]],
    listener: socket.socket | None,
) -> None:
    """Publishes until `stop`."""
    assert listener is None
    publishing = asyncio.create_task(run_synthetic_host(settings), name="synthetic host")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await say_ready()
    await asyncio.wait({publishing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not stop.is_set():
        await publishing  # a defect: it rises
    publishing.cancel()
    await asyncio.gather(publishing, stopping, return_exceptions=True)
