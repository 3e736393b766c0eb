"""What rooms adds to the process: the two socket routes, and its loops."""

from typing import Final

from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.rooms.parts import RoomParts
from app.rooms.presence import report_loop, sum_loop
from app.storage.loops import Loop

ENDED_PERIOD_S: Final = 30.0


class _Endpoint:
    """Tells Starlette that this is an ASGI application and no function of a request."""

    def __init__(self, serve: ASGIApp) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


def routes(parts: RoomParts) -> list[WebSocketRoute]:
    """The sockets of the public and of the staff room."""
    assert parts.socket is not None
    return [
        WebSocketRoute("/ws/shows/{show}", _Endpoint(parts.socket.public)),
        WebSocketRoute("/ws/shows/{show}/staff", _Endpoint(parts.socket.staff)),
    ]


def loops(parts: RoomParts) -> list[Loop]:
    """The web role's: presence reports, sockets of ended sessions and of former staff. The worker role's: the sum of
    presence.
    """
    found = [sum_loop(parts.bus.valkey)]
    if parts.hub is not None and parts.socket is not None:
        found += [
            report_loop(parts.hub),
            Loop("ended sessions", ENDED_PERIOD_S, parts.socket.close_ended, where="web"),
            Loop("former staff", ENDED_PERIOD_S, parts.socket.dismiss_staff, where="web"),
        ]
    return found
