"""Runs Hawker on one machine: the bundled servers, then one process for each role; starts again what dies.

Owns the order of starting and stopping, and the words on the terminal. Imports no role: they are other processes, and
this one starts fast. A role process gets a socket: it waits there for "go" (the database is ready), answers "ready",
says that it lives from then on, and ends when the socket closes, which is what happens when this process is gone.
"""

import asyncio
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from app import clock
from app.branches import Process, Stem
from app.embedded.folder import DataFolder
from app.embedded.postgres import EmbeddedPostgres, ServerFailedError
from app.embedded.valkey import EmbeddedValkey
from app.heartbeat import until_silent
from app.settings import Settings, child_environment

READY_NEWS_S: Final = 15.0  # a child that takes longer than this to get ready is named, and named again
READY_POLL_S: Final = 0.005
RESTART_MIN_S: Final = 0.1
RESTART_MAX_S: Final = 5.0
STEADY_S: Final = 10.0  # who ran this long starts again at once when it dies
FIRST_TRIES_MAX: Final = 3  # of a role that never became ready
ROLE_PATIENCE_S: Final = 10.0
SERVER_PATIENCE_S: Final = 20.0
BACKLOG: Final = 2048
READY: Final = b"ready\n"

STOP_ORDER: Final = ("synthetic-host", "web", "media", "worker", "valkey", "postgres")
"""Written once: first who speaks to people, last who keeps what they said."""


class StartError(RuntimeError):
    """Hawker cannot start; the message says why and what to do."""


P = TypeVar("P", bound=Process)


class Child(Generic[P]):
    """One child that is kept running: how to start it, how to see that it is ready, how to end it; and, for those that
    can tell, how to see that it hangs.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[], Awaitable[P]],
        wait_ready: Callable[[P], Awaitable[None]],
        end_signal: signal.Signals,
        patience_s: float,
        *,
        wait_hanging: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.launch = launch
        self.wait_ready = wait_ready
        self.end_signal = end_signal
        self.patience_s = patience_s
        self.wait_hanging = wait_hanging
        self.process: P | None = None
        self.ready = asyncio.Event()


class Keeper:
    """Keeps children running until told to stop. All of them are started from the main thread."""

    def __init__(self, folder: DataFolder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._children: dict[str, Child[Any]] = {}
        self._wakers: set[asyncio.Event] = set()
        self._stopping = asyncio.Event()
        self.impatient = asyncio.Event()  # a second Ctrl-C: stop waiting for anybody
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._wake)

    def _wake(self) -> None:
        for waker in self._wakers:
            waker.set()

    async def _exit_of(self, process: Process) -> int:
        """The exit status, once there is one. The child is reaped then."""
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            while (status := process.poll()) is None:
                await waker.wait()
                waker.clear()
        finally:
            self._wakers.discard(waker)
        return status

    async def keep(self, child: Child[P]) -> None:
        """Starts `child` and starts it again whenever it dies. Raises StartError when it never becomes ready."""
        self._children[child.name] = child
        deaths = 0
        was_ready = False
        while not self._stopping.is_set():
            began = clock.monotonic_s()
            process = await child.launch()
            if self._stopping.is_set():  # meanwhile: `stop` has not seen it
                process.kill()
                await self._exit_of(process)
                return
            child.process = process
            self._record(child, process)
            status = await self._live(child, process)
            self._folder.forget(child.name)
            was_ready = was_ready or child.ready.is_set()
            child.ready.clear()
            if self._stopping.is_set():
                return
            deaths = 1 if clock.monotonic_s() - began > STEADY_S else deaths + 1
            if not was_ready and deaths >= FIRST_TRIES_MAX:
                raise StartError(f"{child.name} does not start (exit status {status}).")
            pause_s = 0.0 if deaths == 1 else min(RESTART_MAX_S, RESTART_MIN_S * 2**deaths)
            self._say(f"{child.name} ended ({_status_in_words(status)}); starting it again")
            await asyncio.sleep(pause_s)

    def _record(self, child: Child[P], process: P) -> None:
        """A full disk ends nobody: without a note the child runs as well."""
        try:
            self._folder.record(child.name, process.pid, child.end_signal)
        except OSError as error:
            self._say(f"{child.name} runs, which could not be noted down ({error.strerror})")

    async def _live(self, child: Child[P], process: P) -> int:
        """One life of a child, from its start to its exit status."""
        exit_task = asyncio.create_task(self._exit_of(process))
        ready_task = asyncio.ensure_future(child.wait_ready(process))
        try:
            both = {exit_task, ready_task}
            while not (await asyncio.wait(both, timeout=READY_NEWS_S, return_when=asyncio.FIRST_COMPLETED))[0]:
                self._say(f"{child.name} is not ready yet; waiting for it")
            if ready_task.done() and not ready_task.cancelled() and ready_task.exception() is None:
                child.ready.set()
                await self._end_hanging(child, process, exit_task)
            return await exit_task
        finally:
            ready_task.cancel()
            exit_task.cancel()

    async def _end_hanging(self, child: Child[P], process: P, exit_task: asyncio.Task[int]) -> None:
        """Returns when the child has ended, or was killed because it hangs: a signal that asks would not be heard.

        Killed first and told of then: a terminal that takes no words would hold this process for as long as it held
        the child, and both would go on together.
        """
        if child.wait_hanging is None:
            return
        hanging = asyncio.ensure_future(child.wait_hanging())
        try:
            await asyncio.wait({hanging, exit_task}, return_when=asyncio.FIRST_COMPLETED)
            if not exit_task.done() and not self._stopping.is_set():
                hanging.result()
                process.kill()
                self._say(f"{child.name} hangs; ending it")
        finally:
            hanging.cancel()

    async def stop(self) -> None:
        """Ends all children in STOP_ORDER, each politely first."""
        self._stopping.set()
        for part in STOP_ORDER:
            alike = [child for name, child in self._children.items() if name == part or name.startswith(part + "-")]
            await asyncio.gather(*(self._end(child) for child in alike))

    async def _end(self, child: Child[Any]) -> None:
        process = child.process
        if process is None or process.poll() is not None:
            return
        process.send_signal(child.end_signal)
        hurry = asyncio.create_task(self.impatient.wait())
        gone = asyncio.create_task(self._exit_of(process))
        await asyncio.wait({hurry, gone}, timeout=child.patience_s, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if process.poll() is None:
            process.kill()
        await gone
        self._folder.forget(child.name)


def _status_in_words(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def postgres_child(server: EmbeddedPostgres) -> Child[subprocess.Popen[bytes]]:
    """The bundled Postgres as a child."""

    async def launch() -> subprocess.Popen[bytes]:
        return server.start(server.prepare())

    async def wait_ready(process: subprocess.Popen[bytes]) -> None:
        await _until(lambda: server.is_ready(process))

    return Child("postgres", launch, wait_ready, server.end_signal, SERVER_PATIENCE_S)


def valkey_child(server: EmbeddedValkey) -> Child[subprocess.Popen[bytes]]:
    """The bundled Valkey as a child."""

    async def wait_ready(process: subprocess.Popen[bytes]) -> None:
        await _until(lambda: server.is_ready(process))

    async def launch() -> subprocess.Popen[bytes]:
        server.prepare()
        return server.start()

    return Child("valkey", launch, wait_ready, server.end_signal, SERVER_PATIENCE_S)


async def _until(is_ready: Callable[[], bool]) -> None:
    """Waits as long as it takes: a database that mends itself after a crash is neither dead nor to be disturbed."""
    while not is_ready():
        await asyncio.sleep(READY_POLL_S)


class RoleProcess:
    """How a role's process is started and spoken to."""

    def __init__(
        self,
        role: str,
        environment: Mapping[str, str],
        stem: Stem,
        go: asyncio.Event,
        listener: socket.socket | None = None,
        *,
        name: str = "",
        silent_s: float = 0,
    ) -> None:
        self._role = role
        self._name = name or role  # its own, where several have one role
        self._environment = environment
        self._stem = stem
        self._go = go
        self._listener = listener
        self._silent_s = silent_s  # for so long it may say nothing; 0: for as long as it likes
        self._link: socket.socket | None = None

    def child(self) -> Child[Process]:
        """The role as a child."""
        return Child(
            self._name, self._launch, self._wait_ready, signal.SIGTERM, ROLE_PATIENCE_S, wait_hanging=self._wait_hanging
        )

    async def _launch(self) -> Process:
        return await self._stem.grow(self._role, self._environment, self._fresh_link, self._listener)

    def _fresh_link(self) -> socket.socket:
        if self._link is not None:
            self._link.close()
        self._link, theirs = socket.socketpair()
        return theirs

    async def _wait_ready(self, process: Process) -> None:
        del process
        assert self._link is not None
        link = self._link
        link.setblocking(False)
        loop = asyncio.get_running_loop()
        await self._go.wait()
        await loop.sock_sendall(link, b"go\n")
        word = await loop.sock_recv(link, len(READY))  # and no more: what follows are its first beats
        if word != READY:
            raise ServerFailedError(f"{self._role} ended before it was ready")

    async def _wait_hanging(self) -> None:
        assert self._link is not None
        await until_silent(self._link, self._silent_s)


def open_listener(settings: Settings) -> socket.socket:
    """The socket that people connect to. It outlives a web role that dies: who connects meanwhile waits in it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(
            f"Cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            f"Choose another with PORT=… (and HOST=…)."
        ) from error
    return listener


def environment_of_roles(
    settings: Settings, database_url: str, redis_url: str, sockets: Path, relays: int = 1
) -> dict[str, str]:
    """What the role processes are told. `relays`: how many media processes there are to ask."""
    own = [f"unix:{sockets / name}.sock" for name in media_names(relays)]
    return child_environment(
        settings,
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        MEDIA_CONTROL_URL=settings.media_control_url or ",".join(own),
    )


def media_names(relays: int) -> list[str]:
    """The media processes, in the order of their ports."""
    return ["media", *(f"media-{number}" for number in range(2, relays + 1))]


def environment_of_media(settings: Settings, environment: Mapping[str, str], number: int) -> dict[str, str]:
    """What the `number`th media process (from 0) is told of all this: its own door and UDP port alone."""
    url = environment["MEDIA_CONTROL_URL"].split(",")[number]
    port = (settings.media_port or settings.port) + number
    return {**environment, "MEDIA_CONTROL_URL": url, "MEDIA_PORT": str(port)}
