"""What rooms adds to the process: the two socket routes, and presence as loops."""

from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.rooms.parts import RoomParts
from app.rooms.presence import report_loop, sum_loop
from app.storage.loops import Loop


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
    """Presence: the web role's report where there is a hub, the worker role's sum always."""
    summing = [sum_loop(parts.bus.valkey)]
    return summing if parts.hub is None else [report_loop(parts.hub), *summing]
