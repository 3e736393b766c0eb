"""How tests wait: for the thing itself, with a guard against hanging. The only place in the tests that may pause."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

POLL_S = 0.02
GUARD_S = 30.0  # against hanging; nothing that is waited for takes more than a few seconds, on no machine


async def eventually(check: Callable[[], Awaitable[Any]], guard_s: float = GUARD_S, what: str = "") -> Any:
    """The first true answer of `check`, asked again and again. AssertionError after `guard_s`."""
    deadline = time.monotonic() + guard_s
    while True:
        answer = await check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {guard_s} s: {what or check}"
        await asyncio.sleep(POLL_S)


async def eventually_true(check: Callable[[], Any], guard_s: float = GUARD_S, what: str = "") -> Any:
    """`eventually` for a `check` that need not be awaited, while the event loop goes on."""

    async def ask() -> Any:
        return check()

    return await eventually(ask, guard_s, what)


def eventually_now(check: Callable[[], Any], guard_s: float = GUARD_S, what: str = "") -> Any:
    """`eventually` for tests without an event loop."""
    deadline = time.monotonic() + guard_s
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {guard_s} s: {what or check}"
        time.sleep(POLL_S)


async def loop_turned(times: int = 2) -> None:
    """Returns when whatever is ready now has run, and what that made ready."""
    for _ in range(times):
        await asyncio.sleep(0)
