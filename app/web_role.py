"""The web role: uvicorn around the application that wiring built. Owns the server's settings and its last minute."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from app.http.arrivals import Arrivals
from app.http.origin_rules import networks
from app.http.quick import short_way_of
from app.http.request_protocol import bounded_requests
from app.rooms.pauses import short_pauses
from app.rooms.uvicorn_protocol import SERVER_OPTIONS
from app.settings import Settings
from app.storage.loops import run_loops
from app.wiring import build_web

KEEP_ALIVE_S: Final = 65
LAST_REQUESTS_S: Final = 5
BACKLOG: Final = 2048


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to the role."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def work(
    settings: Settings,
    stop: asyncio.Event,
    say_ready: Callable[[], Awaitable[None]],
    listener: socket.socket | None,
) -> None:
    """Serves until `stop`. Then: no new connections, sockets told to come back (1012), last requests answered,
    loops ended, connections closed.
    """
    async with build_web(settings) as web:
        server = _Server(server_config(settings, web.app))
        loops = asyncio.create_task(run_loops(web.loops), name="loops")
        serving = asyncio.create_task(server.serve(sockets=[listener] if listener else None), name="server")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await _until_started(server, serving)
            await say_ready()
            with short_pauses():
                await asyncio.wait({loops, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.should_exit = True
            await serving
            stopping.cancel()
            loops.cancel()
            await asyncio.gather(loops, stopping, return_exceptions=True)


async def _until_started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)


def server_config(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="none",
        http=bounded_requests(Arrivals(networks(settings.trusted_proxies)), short_way_of(app)),
        **SERVER_OPTIONS,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the edge itself decides whom to believe (TRUSTED_PROXIES)
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_REQUESTS_S,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
    )
