"""The media role: the relay in a process of its own, and the inner HTTP by which the web role asks it for sessions.

Owns the inner routes and the telling of who publishes (the room's state key `stream`). Whoever reaches the inner
HTTP is trusted: it listens on a socket in the data folder, or where media_control_url says, never in public.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import clock
from app.http.figures import TEXT_FORMAT, render
from app.refusal import Refusal
from app.rooms.bus import Rooms
from app.settings import Settings
from app.storage.away import unless_away
from app.streams.candidate_rules import speaks_ipv6
from app.streams.relay.figures import media_figures
from app.streams.relay.limits import SDP_BYTES_MAX
from app.streams.relay.relay import Relay
from app.streams.relay.wire import EndSessions, NewSession, SessionSeen, Trickled, control_socket, control_urls
from app.streams.stream_state import STREAM_KEY, StreamState

BODY_BYTES_MAX: Final = 2 * SDP_BYTES_MAX  # an offer with every character escaped is refused before it gets here
TELL_RETRY_S: Final = 0.5
BACKLOG: Final = 256
KEEP_ALIVE_S: Final = 60  # longer than the web role keeps a connection: neither closes what the other is about to use
_JSON: Final = "application/json"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_Body = TypeVar("_Body")
Ready: TypeAlias = Callable[[], Awaitable[None]]

log = structlog.get_logger("hawker.media")


class Announcer:
    """Tells each room who publishes: the newest truth per show, again until the room has it."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._news: dict[str, tuple[int, bool]] = {}
        self._there = asyncio.Event()
        self._version = 0

    def tell(self, show: str, publishing: bool) -> None:
        """Notes a change. Versions follow the clock, so they grow over a restart of this process too."""
        self._version = max(self._version + 1, clock.now_ms())
        self._news[show] = self._version, publishing
        self._there.set()

    async def run(self) -> None:
        """Sends what was noted; never returns."""
        while True:
            await self._there.wait()
            self._there.clear()
            while self._news:
                show, (version, publishing) = next(iter(self._news.items()))
                telling = self._rooms.set_state(show, STREAM_KEY, version, StreamState(publishing))
                if not await unless_away("stream", telling):
                    await asyncio.sleep(TELL_RETRY_S)
                elif self._news.get(show) == (version, publishing):
                    del self._news[show]


def _answer(value: Any, status: int = 200) -> Response:
    if isinstance(value, Refusal):
        return Response(msgspec.json.encode(value), 409, media_type=_JSON)
    return Response(msgspec.json.encode(value), status, media_type=_JSON)


def _with_body(
    body_type: type[_Body], action: Callable[[Request, _Body], Response]
) -> Callable[[Request], Awaitable[Response]]:
    decoder = msgspec.json.Decoder(body_type)

    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        if len(raw) > BODY_BYTES_MAX:
            return _answer(Refusal("too_large", "The offer is too large."))
        try:
            body = decoder.decode(raw)
        except msgspec.DecodeError as wrong:
            return _answer(Refusal("malformed", f"{wrong}."))
        return action(request, body)

    return endpoint


def inner_app(relay: Relay) -> Starlette:
    """The inner HTTP. A refusal is a 409 with the Refusal as its body; the web role gives it its public status."""

    def create(_: Request, body: NewSession) -> Response:
        return _answer(relay.create(body), 201)

    def trickle(request: Request, body: Trickled) -> Response:
        return _answer(relay.trickle(request.path_params["session"], body))

    async def see(request: Request) -> Response:
        seat = relay.see(request.path_params["session"])
        if seat is None:
            return _answer(Refusal("not_found", "There is no such session."))
        one = seat.session
        return _answer(SessionSeen(one.id, seat.show, seat.kind, seat.owner, one.credentials.etag, one.state))

    async def delete(request: Request) -> Response:
        relay.end(request.path_params["session"])
        return Response(status_code=204)

    def end_sessions(request: Request, body: EndSessions) -> Response:
        return _answer({"ended": relay.end_sessions(request.path_params["show"], body.person, body.owner)})

    async def show(request: Request) -> Response:
        return _answer(relay.show_figures(request.path_params["show"]))

    async def stats(_: Request) -> Response:
        return _answer(relay.figures())

    async def metrics(_: Request) -> Response:
        return Response(render(lambda: media_figures(relay.figures())), media_type=TEXT_FORMAT)

    one = "/sessions/{session}"
    return Starlette(
        routes=[
            Route("/sessions", _with_body(NewSession, create), methods=["POST"]),
            Route(one, _with_body(Trickled, trickle), methods=["PATCH"]),
            Route(one, see, methods=["GET"]),
            Route(one, delete, methods=["DELETE"]),
            Route("/shows/{show}/end", _with_body(EndSessions, end_sessions), methods=["POST"]),
            Route("/shows/{show}", show, methods=["GET"]),
            Route("/stats", stats, methods=["GET"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


def _listen(settings: Settings) -> socket.socket:
    """The inner HTTP's socket: a unix one that only this user may open, or the address in media_control_url."""
    (own,) = control_urls(settings)  # each process is told its own alone
    path = control_socket(own)
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return _bind_private(path)
    url = urlsplit(own)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((url.hostname or "127.0.0.1", url.port or 80))
    sock.listen(BACKLOG)
    return sock


def _bind_private(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)
    sock.listen(BACKLOG)
    return sock


def udp_host(settings: Settings) -> str:
    """Where the UDP port is bound: on loopback alone when the site itself is, unless an address is published."""
    ipv6 = speaks_ipv6(settings.media_address, settings.host)
    if settings.media_address or settings.host not in _LOOPBACK:
        return "::" if ipv6 else "0.0.0.0"  # noqa: S104 viewers come from everywhere; their packets are authenticated
    return "::1" if ipv6 else "127.0.0.1"


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to the role's owner."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


async def run_media(settings: Settings, rooms: Rooms, say_ready: Ready) -> None:
    """The media role until cancelled. `say_ready` is awaited once it takes requests. `rooms` must know every source:
    the first word to a room that Valkey lost opens it anew, with what the sources say.
    """
    announcer = Announcer(rooms)
    relay = Relay(announcer.tell)
    listening = _listen(settings)
    config = uvicorn.Config(
        inner_app(relay),
        loop="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    server = _Server(config)
    serving = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(announcer.run(), name="announcer")
            port = settings.media_port or settings.port
            tasks.create_task(relay.run(udp_host(settings), port, ready=serving.set), name="relay")
            await serving.wait()
            # Its socket listens from the start of serve(), so whoever asks now is answered.
            tasks.create_task(server.serve(sockets=[listening]), name="inner HTTP")
            log.info("media.serves", udp_port=relay.port)
            await say_ready()
    finally:
        if server.started:
            for accepting in server.servers:
                accepting.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()  # whoever asks now learns at once that nobody is here
        listening.close()
