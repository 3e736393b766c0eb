"""The worker role: the loops that are nobody's request (expiry, outbox, copies)."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from app.settings import Settings
from app.storage.loops import run_loops
from app.wiring import build_worker


async def work(
    settings: Settings,
    stop: asyncio.Event,
    say_ready: Callable[[], Awaitable[None]],
    listener: socket.socket | None,
) -> None:
    """Runs the loops until `stop`, then cancels them wherever they are: each of their steps stands by itself."""
    assert listener is None
    async with build_worker(settings) as loops:
        running = asyncio.create_task(run_loops(loops), name="loops")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await say_ready()
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not stop.is_set():
            await running  # a defect: it rises
        running.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
