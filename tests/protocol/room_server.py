"""A web role with nothing but rooms: real uvicorn, sockets and Valkey, and a few known people."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import websockets
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app import pages
from app.http.arrivals import Arrivals
from app.http.door import Surroundings
from app.http.request_protocol import bounded_requests
from app.person import Person, Right, Standing
from app.refusal import Refusal
from app.rooms.bus import Pace, Spoken, TooFast
from app.rooms.command import Command, Later, Order
from app.rooms.crowd import Crowd
from app.rooms.dispatch import merge
from app.rooms.edge import routes
from app.rooms.hub import Hub
from app.rooms.limits import Caps
from app.rooms.parts import RoomParts
from app.rooms.socket import RoomSocket
from app.rooms.sources import Sources
from app.rooms.uvicorn_protocol import SERVER_OPTIONS
from app.rooms.valkey_bus import ValkeyRooms
from app.settings import Settings
from tests.waiting import eventually_true

GUARD_S = 60
LIFE_MAX_S = 3600


class Words(msgspec.Struct, tag="chat", tag_field="t"):
    text: str


class Number(msgspec.Struct):
    n: int


class KnownPeople:
    """Identity of tests: the cookie `who=<person>` is that person; standings are a table."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {"hana": Standing.HOST, "mo": Standing.MODERATOR}
        self.ended: set[str] = set()
        self.tickets: dict[str, Person] = {}

    async def identify(self, connection: HTTPConnection) -> Person | None:
        who = connection.cookies.get("who")
        return Person(who, who.title(), "session of " + who) if who else None

    async def redeem_ticket(self, ticket: str, show: str) -> Person | None:
        return self.tickets.pop(f"{ticket}@{show}", None)

    async def ended_sessions(self, sessions: Sequence[str]) -> Sequence[str]:
        return [session for session in sessions if session in self.ended]

    async def standing(self, show: str, person: Person | None) -> Standing | None:
        if not show.startswith("show"):
            return None
        return self.standings.get(person.id, Standing.VIEWER) if person else Standing.VIEWER


class Echo(msgspec.Struct):
    text: str
    times: int = 1


async def _echo(order: Order) -> Mapping[str, Any]:
    return {"text": order.body.text * order.body.times, "standing": order.standing}


class Saying(msgspec.Struct):
    text: str


class Stage:
    """What the command `say` does: speaks, and may cut the line before the answer."""

    def __init__(self, bus: ValkeyRooms, hub: Hub) -> None:
        self.bus, self.hub = bus, hub
        self.cuts = 0
        self.pace = Pace(1, 1000)
        self.asked_me = asyncio.Event()
        self.tell_me = asyncio.Event()
        self.tell_me.set()
        self.answers_later = asyncio.Event()
        self.begun: list[str] = []

    async def later(self, order: Order) -> Later:
        async def answer() -> Any:
            self.begun.append(order.body.text)
            await self.answers_later.wait()
            return await _echo(order) if order.body.text != "nothing" else object()

        return Later(answer)

    async def me_of(self, show: str, person: Person) -> Mapping[str, Any]:
        self.asked_me.set()
        await self.tell_me.wait()
        return {"asked": [show, person.id]}

    def cut_lines(self) -> None:
        for room in self.hub.counts():
            for viewer in tuple(self.hub._rooms[room].room.viewers):
                viewer.wire.abort()

    async def say(self, order: Order) -> Any:
        assert order.person is not None
        person, words = order.person.id, Words(order.body.text)
        event_id = f"{person} {order.id}"
        answer = await self.bus.speak(
            order.show, person, words, event_id=event_id, former_id="-" + event_id, pace=self.pace
        )
        if isinstance(answer, TooFast):
            return Refusal("too_fast", "Not so fast.", answer.retry_after_ms)
        assert isinstance(answer, Spoken)
        if self.cuts:
            self.cuts -= 1
            self.cut_lines()
        return {"o": answer.o}


def commands_of(stage: Stage) -> dict[str, Command]:
    return merge([
        Command(op="echo", right=Right.ANYONE, body=Echo, action=_echo),
        Command(op="echo.staff", right=Right.SHOW_STAFF, body=Echo, action=_echo),
        Command(op="echo.person", right=Right.SIGNED_IN, body=Echo, action=_echo),
        Command(op="echo.later", right=Right.ANYONE, body=Echo, action=stage.later),
        Command(op="say", right=Right.SIGNED_IN, body=Saying, action=stage.say),
    ])  # fmt: skip


async def _blank(_: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>blank</title>")


PAGES = [
    Route("/", _blank),
    Mount("/shared", StaticFiles(directory=Path(pages.__file__).parent / "shared")),
]


class PromptServer(uvicorn.Server):
    """Notices at once that it should stop; by itself it looks each tenth of a second, and hundreds of tests wait."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await eventually_true(lambda: self.should_exit, LIFE_MAX_S)


class RoomServer:
    def __init__(self, port: int, bus: ValkeyRooms, hub: Hub, people: KnownPeople) -> None:
        self.port, self.bus, self.hub, self.people = port, bus, hub, people
        self.server: PromptServer | None = None
        self.stage = Stage(bus, hub)
        self.door: RoomSocket | None = None

    @property
    def connections(self) -> int:
        """How many connections the server holds, of every kind."""
        assert self.server is not None
        return len(self.server.server_state.connections)

    def stop(self) -> None:
        """Begins the server's shutdown."""
        assert self.server is not None
        self.server.should_exit = True

    def dial(self, path: str = "show1", who: str = "", query: str = "", **options: Any) -> Any:
        """A raw client socket, not yet joined."""
        headers = options.pop("additional_headers", {}) | ({"Cookie": f"who={who}"} if who else {})
        uri = f"ws://127.0.0.1:{self.port}/ws/shows/{path}{query}"
        return websockets.connect(uri, additional_headers=headers, compression=None, max_size=None, **options)

    @asynccontextmanager
    async def joined(
        self, path: str = "show1", who: str = "", epoch: str | None = None, since: int | None = None, **options: Any
    ) -> AsyncIterator["Client"]:
        """A client that has joined; `client.reply` is the join reply."""
        async with self.dial(path, who, **options) as connection:
            client = Client(connection)
            await client.send({"op": "join", "epoch": epoch, "since": since})
            client.reply = (await client.frame())["joined"]
            yield client


class Client:
    """One joined socket and what it has seen."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.reply: dict[str, Any] = {}

    async def send(self, frame: Any) -> None:
        await self.connection.send(msgspec.json.encode(frame).decode())

    async def frame(self) -> dict[str, Any]:
        return msgspec.json.decode(await asyncio.wait_for(self.connection.recv(), GUARD_S))

    async def until(self, key: str) -> dict[str, Any]:
        """The next frame that has `key`."""
        while key not in (frame := await self.frame()):
            pass
        return frame

    async def events(self, last: int) -> list[tuple[int, dict[str, Any]]]:
        """Events with their offsets, up to offset `last`."""
        seen: list[tuple[int, dict[str, Any]]] = []
        while not seen or seen[-1][0] < last:
            frame = await self.frame()
            seen += [(frame["o"] + n, event) for n, event in enumerate(frame.get("m", ()))] if "o" in frame else []
        return seen

    def write(self, data: bytes) -> None:
        """Sends these bytes as they are."""
        self.connection.transport.write(data)

    async def closed(self) -> tuple[int, str]:
        """Waits for the close; its code and reason."""
        await asyncio.wait_for(self.connection.wait_closed(), GUARD_S)
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def room_server(
    valkey: Redis,
    *,
    sources: Sources | None = None,
    direct: bool = True,
    plain: str = "websockets-sansio",
    caps: Caps | None = None,
    port: int = 0,
    trusted_proxies: tuple[str, ...] = (),
    arrivals: Arrivals | None = None,
    **server_options: Any,
) -> AsyncIterator[RoomServer]:
    """The server. `direct=False`: without our protocol class, so that the fallback wire is used; `plain` is uvicorn's
    name for what serves instead.
    """
    bus = ValkeyRooms(valkey, sources or Sources())
    hub = Hub(bus)
    people = KnownPeople()
    running = RoomServer(port, bus, hub, people)
    door = RoomSocket(
        hub,
        people,
        Surroundings(Settings(trusted_proxies=trusted_proxies)),
        commands=commands_of(running.stage),
        me_sources=[running.stage],
        crowd=Crowd(caps),
    )
    running.door = door
    app = Starlette(routes=[*routes(RoomParts(bus, hub, door)), *PAGES])
    options = {"http": bounded_requests(arrivals), **SERVER_OPTIONS, **server_options}
    if not direct:
        options["ws"] = plain
    listener = socket.create_server(("127.0.0.1", port))
    running.port = listener.getsockname()[1]
    server = PromptServer(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **options))
    async with hub.running():
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            running.server = server
            yield running
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, GUARD_S)
