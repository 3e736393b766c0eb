"""Runs the things a role does again and again: expiry, copies, the outbox. Owns their pace, not their work.

A loop survives the loss of its infrastructure, which has names (a connection that broke, Valkey or Postgres down):
it waits, longer each time up to a bound, and goes on. Anything else is a defect and rises, ending the role.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal

import msgspec
import structlog

from app.outage import EXTERNAL, is_outage

BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 2.0

log = structlog.get_logger()


class Loop(msgspec.Struct, frozen=True):
    """`run` is called, then again `period_s` after it returned. `where` is the role that runs it."""

    name: str
    period_s: float
    run: Callable[[], Awaitable[None]]
    where: Literal["worker", "web"] = "worker"


async def run_loops(loops: Iterable[Loop]) -> None:
    """Runs all loops until cancelled. A defect in one ends all, by the TaskGroup."""
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(_run_for_ever(loop), name=loop.name)
        await asyncio.get_running_loop().create_future()  # also with no loop at all


async def _run_for_ever(loop: Loop) -> None:
    failures = 0
    while True:
        try:
            await loop.run()
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            failures += 1
            pause_s = backoff_s(failures)
            log.warning("loop.waits", loop=loop.name, error=repr(error), pause_s=round(pause_s, 2))
        else:
            failures = 0
            pause_s = loop.period_s
        await asyncio.sleep(pause_s)


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubling, bounded, and never two processes in step."""
    ceiling_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * float(2 ** min(failures, 10)))
    return ceiling_s * (0.5 + random.random() / 2)
