"""Fixtures of the tests that speak to Stripe: localstripe for a module, and before it a proxy that breaks things."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.protocol.stripe_side import FaultProxy, LocalStripe


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    """Its address."""
    running = LocalStripe()
    yield running.url
    running.stop()


@pytest_asyncio.fixture
async def proxy(localstripe: str) -> AsyncIterator[FaultProxy]:
    """Lets everything through until it is told otherwise."""
    started = await FaultProxy(localstripe).start()
    yield started
    await started.stop()
