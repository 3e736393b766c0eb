"""Fixtures of the journeys: a Chromium for each test."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser

from tests.journeys.browser import open_chromium


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A Chromium with a fake camera."""
    async with open_chromium(chromium) as opened:
        yield opened
