"""A writer process: told its task on standard input, as JSON a line; says what it took, as JSON.

A task is {"how", "first", "count", "callers", "hot"}. Callers take the next attempt as soon as their last was answered.
`ours` commits by group, `whole` writes the attempt first, `asyncpg` does one transaction an order by a pool of 16.
"""

import asyncio
import contextlib
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import uvloop

from app.checkout.attempts import Line, NewAttempt, Written, write_attempts
from app.checkout.commit import Outcome, commit_orders
from app.storage.group_commit import GroupCommit
from app.storage.own_connection import OwnConnection
from app.storage.postgres import open_pool
from bench.checkout.database import BUYERS, POOLS, PRICE_MINOR
from bench.checkout.peers import CLIENTS, ONE_ASYNCPG

EXPIRES_IN_MS = 3_600_000


class Ours:
    """The two groups, with their batches counted."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self.batches = 0
        self.epochs: dict[str, int] = {}  # of the pools' gates, which the HTTP half of a round has built anew
        self.owns = (OwnConnection(pg), OwnConnection(pg))
        self.attempts: GroupCommit[NewAttempt, Written] = GroupCommit(self._write)
        self.commits: GroupCommit[str, Outcome] = GroupCommit(self._commit)

    async def _write(self, batch: list[NewAttempt]) -> Any:
        self.batches += 1
        return await write_attempts(self.owns[0], batch)

    async def _commit(self, batch: list[str]) -> Any:
        self.batches += 1
        return await commit_orders(self.owns[1], batch)

    async def commit(self, n: int) -> None:
        outcome = await self.commits.submit(f"a{n:015}")
        assert outcome.made_at is not None, outcome

    async def whole(self, n: int) -> None:
        pool = n % POOLS
        line = Line(
            hold=f"pool{pool}-{n}",
            pool=f"pool{pool}",
            variant=f"variant{pool}",
            title="Bowl, Blue",
            quantity=1,
            unit_price_minor=PRICE_MINOR,
            hold_expires_at_ms=int(time.time() * 1000) + EXPIRES_IN_MS,
            epoch=self.epochs[f"pool{pool}"],
        )
        new = NewAttempt(
            id=f"a{n:015}",
            person=f"buyer{n * 7919 % BUYERS}",
            shop="shop",
            show="show",
            currency="EUR",
            method="works",
            key=f"key-of-a-buyer-{n}",
            body_hash=n.to_bytes(16, "big"),
            lines=(line,),
        )
        written = await self.attempts.submit(new)
        assert written is Written.STARTED, written
        await self.commit(n)


async def run(task: dict[str, Any], order: Callable[[int], Awaitable[None]]) -> float:
    """Seconds that all callers took."""
    numbers = iter(range(task["first"], task["first"] + task["count"]))

    async def call() -> None:
        for n in numbers:
            await order(n)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(task["callers"]):
            group.create_task(call())
    return time.perf_counter() - began


async def report_statistics(pg: asyncpg.Pool, ours: Ours) -> None:
    """Has every connection tell its part of the statistics, or else it comes seconds later: flushes of the log."""
    flush = "SELECT pg_stat_force_next_flush()"
    for own in ours.owns:
        await (await own.enter()).execute(flush)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(pg.get_size() - len(ours.owns)):
            await (await stack.enter_async_context(pg.acquire())).execute(flush)


async def main(url: str) -> None:
    pg = await open_pool(url)
    ours = Ours(pg)

    async def one(n: int) -> None:
        await pg.fetchval(ONE_ASYNCPG, f"a{n:015}")

    ways = {"ours": ours.commit, "whole": ours.whole, "asyncpg": one}
    for own in ours.owns:
        await own.enter()
    await asyncio.gather(*(pg.fetchval("SELECT 1") for _ in range(CLIENTS - 2)))
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        task = json.loads(line)
        ours.batches = 0
        ours.epochs = dict(await pg.fetch("SELECT id, epoch FROM pools"))
        began_cpu = time.process_time()
        seconds = await run(task, ways[task["how"]])
        cpu_s = time.process_time() - began_cpu
        await report_statistics(pg, ours)
        print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "batches": ours.batches}), flush=True)
    for own in ours.owns:
        await own.close()
    await pg.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
