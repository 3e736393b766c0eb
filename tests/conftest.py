"""Fixtures that run the real servers: one Postgres and one Valkey for the session, fresh data for each test."""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from app.embedded.child import end
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.storage.migrations import migrate
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey

START_GUARD_S = 60
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder of this test run with a path short enough for unix sockets. Gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hwk-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def wait_ready(server, child) -> None:
    """Returns once the server is ready; the hang guard is the failure."""
    guard = time.monotonic() + START_GUARD_S
    while not server.is_ready(child):
        assert time.monotonic() < guard, f"not ready after {START_GUARD_S} s; see {server.log}"
        os.sched_yield()


@pytest.fixture(scope="session")
def postgres_server(short_folder: Path) -> Iterator[str]:
    """The address of the session's own Postgres."""
    sockets = short_folder / "s"
    sockets.mkdir(mode=0o700, exist_ok=True)
    server = EmbeddedPostgres(short_folder, sockets)
    child = server.start(server.prepare())
    wait_ready(server, child)
    yield server.url
    end(child, server.end_signal, 10)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: str) -> str:
    """The name of a database with the current schema, to copy from."""

    async def make() -> None:
        connection = await asyncpg.connect(postgres_server)
        await connection.execute("CREATE DATABASE template_hawker")
        await connection.close()
        await migrate(database_url(postgres_server, "template_hawker"))

    asyncio.run(make())
    return "template_hawker"


def database_url(server_url: str, name: str) -> str:
    """The address of another database on the same server."""
    head, _, query = server_url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


@pytest.fixture(scope="module")
def pg_url(postgres_server: str, migrated_template: str) -> str:
    """The address of a fresh, migrated database for this test module."""
    name = f"module_{next(_numbers)}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres_server)
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated_template} STRATEGY file_copy")
        await connection.close()

    asyncio.run(make())
    return database_url(postgres_server, name)


@pytest_asyncio.fixture
async def pg(pg_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on the module's database. Rows of the module's earlier tests are still there."""
    pool = await open_pool(pg_url)
    yield pool
    await asyncio.wait_for(pool.close(), 10)


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
