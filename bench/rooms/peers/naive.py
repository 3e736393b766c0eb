"""A room as a first version has it: Starlette, a set of sockets, a loop of `send_text`. `/publish` speaks to all."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

viewers: set[WebSocket] = set()


async def watch(socket: WebSocket) -> None:
    await socket.accept()
    viewers.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        viewers.discard(socket)


async def publish(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        text = await socket.receive_text()
        for viewer in list(viewers):
            await viewer.send_text(text)


app = Starlette(routes=[WebSocketRoute("/", watch), WebSocketRoute("/publish", publish)])
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", ws="websockets-sansio", log_level="error")
