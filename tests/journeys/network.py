"""A network between a browser and a server, which can go dark: nothing arrives any more, and nobody is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Network:
    """Relays connections to a port. `dark`: those that were there, and new ones, are silent from then on."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.lines = 0
        self._to_port = to_port
        self._dark = False
        self._writers: set[asyncio.StreamWriter] = set()

    def go_dark(self) -> None:
        """Swallows everything, in both directions, without a word."""
        self._dark = True

    def come_back(self) -> None:
        """New connections pass again; those from before stay dead."""
        self._dark = False

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.lines += 1
        self._writers.add(writer)
        onwards_reader, onwards = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._writers.add(onwards)
        dead = asyncio.Event()
        if self._dark:
            dead.set()
        with suppress(ConnectionError):
            await asyncio.gather(self._carry(reader, onwards, dead), self._carry(onwards_reader, writer, dead))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dead: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            if self._dark:
                dead.set()
            if not dead.is_set():
                writer.write(data)
        if not dead.is_set():
            writer.close()

    def end(self) -> None:
        """Cuts what is left."""
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def network(to_port: int) -> AsyncIterator[Network]:
    """The relay at work, on `port`."""
    one = Network(to_port)
    server = await asyncio.start_server(one.relay, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        one.end()
