"""Valkeys of one test: on TCP, with whatever options; and a proxy before them that can be turned to another one."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.embedded.binaries import valkey_server
from app.storage.valkey import open_valkey
from tests.running import free_port
from tests.waiting import eventually

START_GUARD_S = 60
READ_BYTES = 65536


class OwnValkey:
    """One server on `port`, with its process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [
                valkey_server(),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
                *("--save", "", "--appendonly", "no", "--loglevel", "warning", "--repl-diskless-sync-delay", "0"),
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def ready(self) -> "OwnValkey":
        """Itself, once it answers."""
        async with Redis.from_url(self.url) as client:

            async def answers() -> bool:
                with contextlib.suppress(OSError, RedisError):
                    return bool(await client.ping())
                return False

            await eventually(answers, START_GUARD_S, "a Valkey of the test's own")
        return self

    def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        self.process.kill()
        self.process.wait()


@contextmanager
def own_valkeys(folder: Path) -> Iterator:
    """`start(*options)` makes servers that end with the block."""
    made: list[OwnValkey] = []

    async def start(*options: str) -> OwnValkey:
        made.append(OwnValkey(folder / f"valkey{len(made)}", *options))
        return await made[-1].ready()

    yield start
    for one in made:
        one.kill()


class Switch:
    """A TCP proxy on `port` to the server on `target`. While `held`, what comes from there is not passed on."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._lines: set[asyncio.Task] = set()

    @property
    def url(self) -> str:
        """The address that services are given."""
        return f"redis://127.0.0.1:{self.port}"

    def turn(self, target: int) -> None:
        """To another server; whoever is connected is cut off."""
        self.target = target
        for line in self._lines:
            line.cancel()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection until either side ends it."""
        line = asyncio.current_task()
        self._lines.add(line)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            with contextlib.closing(back):
                ways = [self._pump(reader, back), self._pump(there, writer, self.flowing)]
                tasks = [asyncio.create_task(way) for way in ways]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # as a line that is cut
        finally:
            self._lines.discard(line)
            writer.transport.abort()

    @staticmethod
    async def _pump(reader, writer, flowing: asyncio.Event | None = None) -> None:
        while data := await reader.read(READ_BYTES):
            if flowing is not None:
                await flowing.wait()
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def switch(target: int) -> AsyncIterator[Switch]:
    """The proxy, listening."""
    proxy = Switch(target)
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    yield proxy
    server.close()
    proxy.turn(target)


async def make_cluster(valkey: Redis) -> None:
    """Of a server that was started with --cluster-enabled: one node that has all slots."""
    await valkey.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

    async def is_up() -> bool:
        return (await valkey.execute_command("CLUSTER INFO"))["cluster_state"] == "ok"

    await eventually(is_up)


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Redis]:
    """Our own client, as the service opens it."""
    client = open_valkey(url)
    yield client
    await client.aclose()
