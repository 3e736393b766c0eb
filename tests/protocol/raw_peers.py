"""Peers of a room that do as they like with their bytes, and the neighbour who must not notice."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

from websockets.frames import Frame, Opcode

from tests.protocol.room_server import GUARD_S, Words

HEAD = (
    b"GET /ws/shows/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)


def frame(opcode, data=b"", *, fin=True):
    return Frame(opcode, data, fin=fin).serialize(mask=True, extensions=[])


JOIN = frame(Opcode.TEXT, b'{"op":"join"}')


@asynccontextmanager
async def heard_in_order(server):
    """A neighbour who afterwards has heard all that was said meanwhile, and what is said now."""
    async with server.joined() as neighbour:
        for n in range(5):
            await server.bus.append("show1", Words(f"{n}"))
        yield neighbour
        for n in range(5, 10):
            await server.bus.append("show1", Words(f"{n}"))
        assert [(offset, event["text"]) for offset, event in await neighbour.events(10)] == [
            (n + 1, f"{n}") for n in range(10)
        ]


class Raw:
    """A peer that does as it likes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def head(self):
        async with asyncio.timeout(GUARD_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def gone(self):
        """All that came until the server hung up."""
        said = b""
        async with asyncio.timeout(GUARD_S):
            with suppress(ConnectionError):  # what we sent and nobody read makes a hang-up a reset
                while heard := await self.reader.read(65_536):
                    said += heard
        return said


@asynccontextmanager
async def raw(server, sent=b"", address="127.0.0.1", receive_buffer=None):
    plain = socket.socket()
    plain.setblocking(False)
    plain.bind((address, 0))
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=plain)
    writer.write(sent)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
