"""Hawker's fan-out alone: the real socket, session, room and wire, with a feed where the bus would be.

Viewers on PORT (`/ws/shows/bench`), length-prefixed events on PORT + 1. What the collector stopped the process for is
answered on `GET /pauses` (milliseconds; asking begins a new count).
"""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.http.door import Surroundings
from app.http.request_protocol import bounded_requests
from app.person import Person, Standing
from app.rooms.edge import routes
from app.rooms.hub import Hub, _Tracked
from app.rooms.news import Told
from app.rooms.parts import RoomParts
from app.rooms.pauses import short_pauses
from app.rooms.room import LocalRoom
from app.rooms.socket import RoomSocket
from app.rooms.uvicorn_protocol import SERVER_OPTIONS
from app.rooms.valkey_bus import RoomView, ValkeyRooms
from app.settings import Settings
from app.storage.valkey import open_valkey

EPOCH = "bench"


class Anybody:
    """Identity: everybody may watch."""

    async def identify(self, connection: HTTPConnection) -> Person | None:
        return None

    async def redeem_ticket(self, ticket: str, show: str) -> Person | None:
        return None

    async def ended_sessions(self, sessions: Any) -> list[str]:
        return []

    async def standing(self, show: str, person: Person | None) -> Standing | None:
        return Standing.VIEWER


def room_in_step(hub: Hub) -> LocalRoom:
    """The one room, which the hub takes for read: nothing but the feed speaks in it."""
    tracked = _Tracked("bench", hub.tally)
    tracked.loaded = True
    tracked.room.adopt(RoomView(EPOCH, 0, [], {}))
    hub._rooms["bench"] = tracked
    return tracked.room


class Feed(asyncio.Protocol):
    """Takes events in as if the bus had told them. An empty one switches joining off, or on again: without it each
    message leaves in a frame of its own.
    """

    joining = True

    def __init__(self, room: LocalRoom) -> None:
        self._room = room
        self._held = b""

    def data_received(self, data: bytes) -> None:
        held, at = self._held + data, 0
        while len(held) >= at + 4 and len(held) >= at + 4 + (size := int.from_bytes(held[at : at + 4])):
            event, at = held[at + 4 : at + 4 + size], at + 4 + size
            if not event:
                Feed.joining = not Feed.joining
                continue
            assert self._room.apply(Told(EPOCH, self._room.ring.top + 1, event))
            if not Feed.joining:
                self._room.flush()
        self._held = held[at:]


class Pauses:
    """How long the collector held the process up, in its own CPU time: others on the core are not its doing."""

    def __init__(self) -> None:
        self.worst_ms = self.sum_ms = 0.0
        self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        took_ms = (time.thread_time() - self._began) * 1000
        self.worst_ms, self.sum_ms = max(self.worst_ms, took_ms), self.sum_ms + took_ms

    async def tell(self, _: Request) -> JSONResponse:
        told = {"worst_ms": self.worst_ms, "sum_ms": self.sum_ms}
        self.forget()
        return JSONResponse(told)

    def forget(self) -> None:
        """Begins a new count."""
        self.worst_ms = self.sum_ms = 0.0


async def main(port: int) -> None:
    hub = Hub(ValkeyRooms(open_valkey("redis://127.0.0.1:1")))  # not running, so nobody looks for that Valkey
    room = room_in_step(hub)
    door = RoomSocket(hub, Anybody(), Surroundings(Settings()), commands={})
    pauses = Pauses()
    app = Starlette(routes=[*routes(RoomParts(hub.bus, hub, door)), Route("/pauses", pauses.tell)])
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Feed(room), "127.0.0.1", port + 1)
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=bounded_requests(), lifespan="off", log_config=None, access_log=False, **SERVER_OPTIONS
        )
    )
    with short_pauses():
        pauses.forget()  # the first collection, before anybody is there
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
