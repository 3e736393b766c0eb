"""Fixtures of the journeys: one Chromium for all of them, with windows of its own for each test.

A start of Chromium takes longer than many a journey. It speaks to one event loop, so all journeys run in that one, and
so do their fixtures (`loop_scope="session"`).
"""

from collections.abc import AsyncIterator
from inspect import iscoroutinefunction
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser
from redis.asyncio import Redis

from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from tests.journeys.browser import open_chromium


def pytest_collection_modifyitems(items) -> None:
    """Puts the journeys into the loop that they share."""
    for item in items:
        if item.path.parent == Path(__file__).parent and iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_chromium(chromium: str) -> AsyncIterator[Browser]:
    """A Chromium with a fake camera."""
    async with open_chromium(chromium) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def browser(one_chromium: Browser) -> AsyncIterator[Browser]:
    """The Chromium; what a test opens in it is closed when the test has ended."""
    yield one_chromium
    for context in one_chromium.contexts:
        # Else what still answers a request for the page fails as it closes, and the next test hears of it.
        for routed in (context, *context.pages):
            await routed.unroute_all(behavior="ignoreErrors")
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def pg(pg_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on the module's database."""
    pool = await open_pool(pg_url)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of an empty Valkey."""
    client = open_valkey(valkey_url)
    await client.flushall()
    yield client
    await client.aclose()
