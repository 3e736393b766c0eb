"""`serve`: the life of Hawker on one machine, from the first process to the last, and what it tells the terminal."""

import asyncio
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg

from app import clock
from app.branches import Process, Stem
from app.demo.presence import is_live
from app.embedded.folder import DataFolder
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.settings import NO_PROVIDER, Settings
from app.storage.migrations import migrate
from app.supervisor import (
    Child,
    Keeper,
    RoleProcess,
    StartError,
    environment_of_media,
    environment_of_roles,
    media_names,
    open_listener,
    postgres_child,
    valkey_child,
)

REACH_GUARD_S: Final = 30
REACH_SILENT_S: Final = 2
REACH_TIMEOUT_S: Final = 5
REACH_POLL_S: Final = 0.2
DOCUMENTATION_ADDRESS: Final = "192.0.2.1"  # RFC 5737


def say(words: str) -> None:
    """One line for the person at the terminal."""
    print(f"hawker: {words}", file=sys.stderr, flush=True)  # noqa: T201 - that is what it is for


async def serve(settings: Settings, workers: int = 1, relays: int = 1) -> None:
    """Runs until SIGINT, SIGTERM or SIGHUP, with `workers` web processes on one listening socket and `relays` media
    processes, a UDP port each. Raises StartError or FolderBusyError when it cannot start.
    """
    if relays > 1 and settings.media_control_url:
        raise StartError("MEDIA_CONTROL_URL names a media role that runs elsewhere: leave it out with --relays.")
    began = clock.monotonic_s()
    folder = DataFolder(settings.data_dir)
    try:
        listener = open_listener(settings)
        try:
            await _run(settings, _Plan(settings, folder, listener, workers, relays), folder, began)
        finally:
            listener.close()
    finally:
        folder.close()


class _Plan:
    """Everything that runs on this machine, and where it finds the database."""

    def __init__(
        self, settings: Settings, folder: DataFolder, listener: socket.socket, workers: int, relays: int
    ) -> None:
        self.database_url = settings.database_url
        redis_url = settings.redis_url
        self.servers: list[Child[subprocess.Popen[bytes]]] = []
        if not redis_url:
            valkey = EmbeddedValkey(folder.path, folder.sockets)
            redis_url = valkey.url
            self.servers.append(valkey_child(valkey))
        if not self.database_url:
            postgres = EmbeddedPostgres(folder.path, folder.sockets)
            self.database_url = postgres.url
            self.servers.append(postgres_child(postgres))
        self.go = asyncio.Event()
        environment = environment_of_roles(settings, self.database_url, redis_url, folder.sockets, relays)
        self.stem = Stem(environment)
        webs = ["web", *(f"web-{number}" for number in range(2, workers + 1))]
        # The media role last: the stem takes longest to load it, and the others need not wait for that.
        self.roles = [
            *(self._role("web", settings, environment, listener, name=name) for name in webs),
            self._role("worker", settings, environment),
            *(
                self._role("media", settings, environment_of_media(settings, environment, number), name=name)
                for number, name in enumerate(media_names(relays))
            ),
        ]
        # Starts when the others are up, and nobody waits for it: the show is there without it.
        afterwards = ["synthetic-host"] if settings.demo else []
        self.afterwards = [self._role(role, settings, environment) for role in afterwards]

    def _role(
        self,
        role: str,
        settings: Settings,
        environment: Mapping[str, str],
        listener: socket.socket | None = None,
        *,
        name: str = "",
    ) -> Child[Process]:
        silent_s = settings.role_silent_s
        return RoleProcess(role, environment, self.stem, self.go, listener, name=name, silent_s=silent_s).child()


async def _run(settings: Settings, plan: _Plan, folder: DataFolder, began: float) -> None:
    keeper = Keeper(folder, say)
    stop = _stop_on_signals(keeper)
    # The roles first: they load their libraries while the servers start.
    everything: list[Child[Any]] = [*plan.roles, *plan.servers]
    keeping = [asyncio.create_task(keeper.keep(child), name=child.name) for child in everything]
    starting = asyncio.create_task(_bring_up(settings, plan))
    stopping = asyncio.create_task(stop.wait())
    try:
        await _first_end(starting, stopping, keeping)
        if not stop.is_set():
            say(f"up in {clock.monotonic_s() - began:.1f} s. Ctrl-C stops it.")
            keeping += [asyncio.create_task(keeper.keep(child), name=child.name) for child in plan.afterwards]
            await _first_end(stopping, stopping, keeping)
        say("stopping")
    finally:
        starting.cancel()
        stopping.cancel()
        await keeper.stop()
        plan.stem.end()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, starting, stopping, return_exceptions=True)


async def _first_end(wanted: asyncio.Task, stopping: asyncio.Task, keeping: Sequence[asyncio.Task]) -> None:
    """Returns when `wanted` or `stopping` is done; raises what any of them, or a keeper, raised before."""
    done, _ = await asyncio.wait({wanted, stopping, *keeping}, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def _stop_on_signals(keeper: Keeper) -> asyncio.Event:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            keeper.impatient.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sign, on_signal)
    return stop


async def _bring_up(settings: Settings, plan: _Plan) -> None:
    for server in plan.servers:
        await server.ready.wait()
    if settings.redis_url:
        await _reach("the server at REDIS_URL", lambda: _knock_at_valkey(settings.redis_url))
    await _reach("the database", lambda: _knock_at_database(plan.database_url))
    await migrate(plan.database_url)
    if settings.demo:
        await _make_sure_of_demo(plan.database_url)
    has_shops = await _look_for_shops(plan.database_url)
    plan.go.set()
    for role in plan.roles:
        await role.ready.wait()
    _tell_addresses(settings, has_shops)


async def _reach(what: str, knock: Callable[[], Awaitable[None]]) -> None:
    """Returns when `knock` does. A server that was given by URL may be one that is still starting."""
    began = clock.monotonic_s()
    told = False
    while True:
        try:
            await knock()
        except (OSError, asyncpg.CannotConnectNowError) as error:
            waited_s = clock.monotonic_s() - began
            if waited_s > REACH_GUARD_S:
                raise StartError(f"Cannot reach {what}: {error}") from error
            if waited_s > REACH_SILENT_S and not told:
                say(f"waiting for {what} ({error})")
                told = True
            await asyncio.sleep(REACH_POLL_S)
        else:
            return


async def _knock_at_database(url: str) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=REACH_TIMEOUT_S)
    except asyncpg.CannotConnectNowError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StartError(f"The database refuses us: {error}") from error
    await connection.close()


async def _knock_at_valkey(url: str) -> None:
    from redis.exceptions import AuthenticationError, RedisError  # only for a server that was given
    from redis.exceptions import ConnectionError as AwayError

    from app.storage.valkey import open_valkey

    valkey = open_valkey(url)
    try:
        await valkey.ping()
    except AuthenticationError as error:
        raise StartError(f"The server at REDIS_URL refuses us: {error}") from error
    except AwayError as error:
        raise ConnectionError(str(error)) from error
    except RedisError as error:
        raise StartError(f"The server at REDIS_URL refuses us: {error}") from error
    finally:
        await valkey.aclose()


async def _make_sure_of_demo(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        if await is_live(connection):
            return
    finally:
        await connection.close()
    from app.demo.seed import seed_demo  # brings Pillow and the catalog: only for the first start

    await seed_demo(url)


async def _look_for_shops(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM shops)"))
    finally:
        await connection.close()


def _tell_addresses(settings: Settings, has_shops: bool) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = settings.base_url.replace(host, _reachable(settings.host))
    if settings.demo:
        say(f"watch     {base}/watch/demo#demo=viewer")
        say(f"studio    {base}/studio/demo#demo=host")
        say(f"moderate  {base}/moderate/demo#demo=moderator")
        return
    say(f"pages at  {base}/")
    if not (settings.stripe or settings.simulates_payments):
        say(NO_PROVIDER)
    if not has_shops:
        say("There is no shop yet. Make the first host and a shop, in another terminal:")
        say(f"  cd {shlex.quote(str(Path.cwd()))}")
        for line in _where_data_is(settings):
            say(f"  {line}")
        say(f'  {sys.executable} -m app create-account --name "Your Name" --email you@example.org')
        say(f'  {sys.executable} -m app create-shop --name "Your Shop" --currency EUR --host you@example.org')


def _where_data_is(settings: Settings) -> list[str]:
    """What another terminal has to be told so that commands find this data, and not the default's."""
    if settings.database_url:
        return ["export DATABASE_URL=…  # the same as here"]  # may hold a password: not for the screen
    if settings.data_dir == Path("var").absolute():
        return []
    return [f"export HAWKER_DATA={shlex.quote(str(settings.data_dir))}"]


def _reachable(host: str) -> str:
    """The address to print: for "every address of this machine" the one that others in its network would use."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((DOCUMENTATION_ADDRESS, 9))  # a datagram socket sends nothing by connecting
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
