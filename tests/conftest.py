"""Fixtures that run the real servers: one Postgres and one Valkey for the session, fresh data for each test."""

import asyncio
import atexit
import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from app.embedded import postgres
from app.embedded.child import end
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from tests.first_start import TEMPLATE, FirstStart, database_url
from tests.running import RunningHawker
from tests.spread import FromBothEnds, place
from tests.waiting import eventually_now

START_GUARD_S = 60
LOG_LINES_SHOWN = 150
# Examples are drawn alike in each run, so that none fails by chance; `--hypothesis-profile=anew` draws others. How long
# one takes is the machine's doing.
settings.register_profile("anew", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("alike", settings.get_profile("anew"), derandomize=True)
settings.load_profile("alike")
QUICK_PAYMENTS = {"PAYMENT_TIMEOUT_S": "5", "SETTLE_AFTER_S": "5"}  # a card that is slow takes seconds, not a minute
FEW_FRAMES = {"DEMO_FRAMES_PER_S": "5"}  # the demo's picture costs half a core where three people watch
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder of this test run with a path short enough for unix sockets. Gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hwk-", dir="/tmp"))
    yield folder
    subprocess.Popen(["rm", "-rf", folder], start_new_session=True)  # a hundred databases: nobody waits for that


def pytest_collection_modifyitems(config, items) -> None:
    """Puts the files in the order in which several processes take them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log) -> FromBothEnds:
    """Gives files out to several processes."""
    return FromBothEnds(config, log)


@functools.cache
def folder_of_the_run() -> Path:
    """A folder for all processes of this run; called by the one that began it. Gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hwk-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """Tells each of pytest-xdist's processes of the folder."""
    node.workerinput["folder_of_the_run"] = str(folder_of_the_run())


@pytest.fixture(scope="session")
def first_start(request) -> FirstStart:
    """What a first start leaves, to copy from."""
    told = getattr(request.config, "workerinput", {}).get("folder_of_the_run")
    return FirstStart(Path(told) if told else folder_of_the_run())


def wait_ready(server, child) -> None:
    """Returns once the server is ready; the hang guard is the failure."""
    eventually_now(lambda: server.is_ready(child), START_GUARD_S, f"server ready; see {server.log}")


@pytest.fixture(scope="session")
def postgres_server(short_folder: Path, first_start: FirstStart) -> Iterator[str]:
    """The address of the session's own Postgres, which has a database TEMPLATE.

    Its data are thrown away: nobody waits for the disk, and it ends without writing them back. A killed server loses
    nothing all the same; only a machine that dies would.
    """
    sockets = short_folder / "s"
    sockets.mkdir(mode=0o700, exist_ok=True)
    first_start.copy_cluster(short_folder)
    server = EmbeddedPostgres(short_folder, sockets)
    with patch.dict(postgres._OPTIONS, fsync="off"):
        child = server.start(server.prepare())
    wait_ready(server, child)
    yield server.url
    end(child, signal.SIGQUIT, 10)


@pytest.fixture(scope="module")
def pg_url(postgres_server: str) -> str:
    """The address of a fresh, migrated database for this test module."""
    name = f"module_{next(_numbers)}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres_server)
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        await connection.close()

    asyncio.run(make())
    return database_url(postgres_server, name)


@pytest_asyncio.fixture
async def pg(pg_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on the module's database. Rows of the module's earlier tests are still there."""
    pool = await open_pool(pg_url)
    yield pool
    await asyncio.wait_for(pool.close(), 60)


@pytest.fixture(scope="session")
def valkey_url(short_folder: Path) -> Iterator[str]:
    """The address of the session's own Valkey."""
    sockets = short_folder / "s"
    sockets.mkdir(mode=0o700, exist_ok=True)
    server = EmbeddedValkey(short_folder, sockets)
    server.prepare()
    child = server.start()
    wait_ready(server, child)
    yield server.url
    end(child, server.end_signal, 10)


@pytest_asyncio.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey."""
    client = open_valkey(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def make_hawker(short_folder: Path, first_start: FirstStart) -> Callable[..., RunningHawker]:
    """Starts a whole Hawker with its demo, for several tests; who asked for it stops it."""

    def make(**environment: str) -> RunningHawker:
        data = short_folder / f"h{next(_numbers)}"
        first_start.copy_cluster(data)
        return RunningHawker(data, **FEW_FRAMES | environment).start()

    return make


@pytest.fixture(scope="module")
def hawker(make_hawker: Callable[..., RunningHawker]) -> Iterator[RunningHawker]:
    """A whole Hawker with its demo, shared by the module: idle it costs a twelfth of a core. Tests that kill or wipe
    use `own_hawker`.
    """
    running = make_hawker(WEBHOOKS_PRIVATE="1", **QUICK_PAYMENTS)
    yield running
    running.stop()


@pytest.fixture
def own_hawker(short_folder: Path, first_start: FirstStart) -> Iterator[Callable[..., RunningHawker]]:
    """Makes Hawkers (not started yet) that belong to one test; keywords become their environment.

    With the demo and a Postgres of their own they find what a first start left; the others begin on bare ground.
    """
    made: list[RunningHawker] = []

    def make(**environment: str) -> RunningHawker:
        data = short_folder / f"o{next(_numbers)}"
        if not environment.keys() & {"DEMO", "DATABASE_URL"}:
            first_start.copy_cluster(data)
        running = RunningHawker(data, **FEW_FRAMES | environment)
        made.append(running)
        return running

    yield make
    for running in made:
        running.stop()
        sys.stdout.write("\n".join([f"--- {running.data}", *running.log[-LOG_LINES_SHOWN:], ""]))  # seen when it failed


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium. Without it the test is skipped, which on a build machine (CI=true) is a failure."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path:
        return path
    reason = "no Chromium; install it (Debian: sudo apt-get install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


_counts = {"passed": 0, "failed": 0, "skipped": 0}


def pytest_terminal_summary(terminalreporter) -> None:
    """Counts, for the last line."""
    stats = terminalreporter.stats
    _counts["passed"] = len(stats.get("passed", ()))
    _counts["failed"] = len(stats.get("failed", ())) + len(stats.get("error", ()))
    _counts["skipped"] = len(stats.get("skipped", ()))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config) -> None:
    """The last line of a run."""
    if not hasattr(config, "workerinput") and any(_counts.values()):
        config.get_terminal_writer().line(", ".join(f"{count} {name}" for name, count in _counts.items()))
