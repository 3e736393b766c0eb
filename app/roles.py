"""One role's process: `web`, `media`, `worker` or the demo's synthetic host. Owns its life from settings to exit.

What a role is made of is app/wiring.py's. Started by the supervisor, a role waits on its link (afresh: its standard
input) for "go" and ends when that closes; started by hand (`serve --role web`) it begins at once.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import structlog
import uvloop

from app.heartbeat import beat
from app.settings import Settings, read_settings

WORKS: Final = ("web", "media", "worker", "synthetic-host")

Ready = Callable[[], Awaitable[None]]


class Link:
    """The role's end of the socket to the supervisor."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._beating: asyncio.Task[None] | None = None

    async def wait_go(self) -> bool:
        """True when the role shall begin, False when the supervisor is gone."""
        return await asyncio.get_running_loop().sock_recv(self._end, 16) != b""

    async def say_ready(self) -> None:
        """Tells the supervisor that this role does its work now, and from then on that it lives."""
        with contextlib.suppress(ConnectionError):  # its end is noticed in wait_end
            await asyncio.get_running_loop().sock_sendall(self._end, b"ready\n")
        self._beating = asyncio.create_task(beat(self._end), name="beat")

    async def wait_end(self) -> None:
        """Returns when the supervisor is gone."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(self._end, 16):
                pass


def run_role(role: str, settings: Settings, link: Link | None = None, listener: socket.socket | None = None) -> None:
    """Runs `role` until SIGTERM, SIGINT or the supervisor's end."""
    # At the terminal of one machine only what matters; a role alone tells its operator more.
    configure_logging(role, logging.INFO if link is None else logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_live(role, settings, link, listener))


async def _live(role: str, settings: Settings, link: Link | None, listener: socket.socket | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)

    async def say_ready() -> None:
        if link is not None:
            await link.say_ready()
        # What is there now stays: a collection would visit every one of ten thousand sockets for nothing.
        gc.collect()
        gc.freeze()

    work = load_role(role)  # imports the role's libraries, while the servers are still starting
    if link is not None and not await link.wait_go():
        return
    async with _stopped_with(link, stop):
        await work(settings, stop, say_ready, listener)


@contextlib.asynccontextmanager
async def _stopped_with(link: Link | None, stop: asyncio.Event) -> AsyncIterator[None]:
    """Sets `stop` when the supervisor is gone."""

    async def watch(link: Link) -> None:
        await link.wait_end()
        stop.set()

    task = asyncio.create_task(watch(link)) if link is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


Work = Callable[[Settings, asyncio.Event, Ready, socket.socket | None], Awaitable[None]]


def load_role(role: str) -> Work:
    """The role's coroutine function. Each role imports its own libraries only."""
    match role:
        case "web":
            from app.web_role import work
        case "worker":
            from app.worker_role import work
        case "media":
            from app.media_role import work
        case "synthetic-host":
            from app.synthetic_host_role import work
        case _:
            raise ValueError(f"There is no role {role!r}; there are {', '.join(WORKS)}.")
    return work


def configure_logging(role: str, level: int) -> None:
    """One line an event on standard error, for people and for grep alike; the role is on each."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "role", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s level=%(levelname)s role={role} %(message)s")
    # A pool that cannot fill itself says so with a whole traceback; our loops and requests say it in one line.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)


def main(arguments: list[str]) -> None:
    """The supervisor's way in where there is no stem: the role, then the number of the listening socket, if any."""
    role, *descriptors = arguments
    listener = socket.socket(fileno=int(descriptors[0])) if descriptors else None
    run_role(role, read_settings(), Link(socket.socket(fileno=sys.stdin.fileno())), listener)


if __name__ == "__main__":
    main(sys.argv[1:])
