"""`make bench-checkout`: orders a second beside what pgbench and an empty HTTP server do. See README.md.

The last line is one JSON object. The run fails when, after any round, the books do not agree.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from app.embedded.child import end
from app.embedded.valkey import EmbeddedValkey
from bench.checkout import peers
from bench.checkout.database import Database, open_sessions, prepare
from bench.rooms.processes import free_ports

ROUNDS: Final = int(os.environ.get("ROUNDS") or 5)
SCALE: Final = float(os.environ.get("SCALE") or 1)
BUYERS_AT_ONCE: Final = 256  # as many as the most callers of the writers
SERVER_CORE: Final = 0
OTHER_CORE: Final = 1
START_GUARD_S: Final = 30
TARGETS: Final = {
    "orders_over_pgbench": 2.5,
    "orders_over_batch_limit": 0.5,
    "http_over_empty_asgi": 0.4,
    "http_over_naive": 8,
}
HTTP_ORDERS: Final = {"empty": 12_000, "naive": 1_000, "ours": 6_000}


def scaled(count: int) -> int:
    return max(1, int(count * SCALE / peers.BATCH)) * peers.BATCH


class Child:
    """A process that takes tasks and gives answers, a JSON line each."""

    def __init__(self, *command: str, core: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if core is not None:
            os.sched_setaffinity(self.process.pid, {core})

    def tell(self, task: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended")
        return dict(json.loads(line))

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(START_GUARD_S)


class Rounds:
    """All that is measured: by contender, orders a second; log flushes and round trips an order."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rates: dict[str, list[float]] = defaultdict(list)
        self.flushes: dict[str, list[float]] = defaultdict(list)
        self.trips: dict[str, float] = {}
        self.written = 0
        self.writers = [Child("bench.checkout.writer", database.url) for _ in range(4)]

    async def measure(self, name: str, count: int, run: Callable[[], Awaitable[float]]) -> None:
        """Notes what `run` answers, orders a second, and what it cost in flushes."""
        before = await self.database.flushes()
        self.rates[name].append(await run())
        self.flushes[name].append((await self.database.flushes() - before) / count)
        self.written += count

    async def pgbench(
        self, name: str, script: str, clients: int, count: int, *, hot: bool = False, per: int = 1
    ) -> None:
        database = self.database
        if script == peers.WHOLE_PGBENCH:
            await database.skip(count)
        else:
            await database.attempts(count, hot=hot)

        async def run() -> float:
            return per * peers.pgbench(
                database.url, database.folder, script, clients=clients, transactions=count // per
            )

        self.trips[name] = 1 / per
        await self.measure(name, count, run)

    async def ours(self, name: str, how: str, writers: int, callers: int, count: int, *, hot: bool = False) -> None:
        database = self.database
        first = await (database.skip(count) if how == "whole" else database.attempts(count, hot=hot))
        share = count // writers
        trips = 0

        async def run() -> float:
            nonlocal trips
            began = time.perf_counter()
            for n, child in enumerate(self.writers[:writers]):
                child.tell({"how": how, "first": first + n * share, "count": share, "callers": callers // writers})
            trips = sum(child.answer()["batches"] for child in self.writers[:writers])
            return count / (time.perf_counter() - began)

        await self.measure(name, share * writers, run)
        self.trips[name] = (trips or count) / count

    async def database_round(self) -> None:
        """Every writer once."""
        for name, clients in (("pgbench, the batch, 1", 1), ("pgbench, the batch, 2", 2)):
            await self.pgbench(name, peers.BATCH_PGBENCH, clients, scaled(25_600), per=peers.BATCH)
        await self.pgbench("pgbench, one transaction an order", peers.ONE_PGBENCH, peers.CLIENTS, scaled(8_192))
        await self.ours("ours, 256 callers", "ours", 1, 256, scaled(25_600))
        await self.ours("ours, 64 callers", "ours", 1, 64, scaled(15_360))
        await self.ours("ours, 1 caller", "ours", 1, 1, scaled(1_024))
        await self.ours("ours, 256 callers, 2 writers", "ours", 2, 256, scaled(25_600))
        await self.ours("ours, 256 callers, 4 writers", "ours", 4, 256, scaled(25_600))
        await self.ours("asyncpg, one transaction an order", "asyncpg", 1, peers.CLIENTS, scaled(3_072))
        await self.pgbench("hot: pgbench", peers.ONE_PGBENCH, peers.CLIENTS, scaled(1_536), hot=True)
        await self.ours("hot: ours, 256 callers", "ours", 1, 256, scaled(20_480), hot=True)
        await self.pgbench("with attempt: pgbench", peers.WHOLE_PGBENCH, peers.CLIENTS, scaled(4_096))
        await self.ours("with attempt: ours, 256 callers", "whole", 1, 256, scaled(15_360))

    async def http_round(self, valkey_url: str) -> None:
        """Each server once, on a core of its own."""
        secrets = await open_sessions(self.database, BUYERS_AT_ONCE)
        load = Child("bench.checkout.http_load", core=OTHER_CORE)
        for which, orders in HTTP_ORDERS.items():
            count, port = scaled(orders), free_ports()
            clients, before = await self.database.clients(), await self.database.flushes()
            server = Child(
                "bench.checkout.http_server", which, str(port), self.database.url, valkey_url, core=SERVER_CORE
            )
            await _listening(port)
            task = {"port": port, "secrets": secrets, "pool": "pool1"}
            warming = scaled(512)
            for some in (warming, count):
                load.tell({**task, "count": some})
                answer = await asyncio.to_thread(load.answer)
                if answer["ok"] != some:
                    raise RuntimeError(f"{which}: of {some} purchases {answer['ok']} were answered with an order")
                self.written += 0 if which == "empty" else some
            self.rates[f"HTTP: {which}"].append(count / answer["seconds"])
            server.process.terminate()
            server.process.wait(START_GUARD_S)
            await self.database.left_by_all_but(clients)  # a server's connections tell their statistics at their end
            flushes = await self.database.flushes() - before
            self.flushes[f"HTTP: {which}"].append(flushes / (warming + count))
        load.end()


async def _listening(port: int) -> None:
    deadline = time.monotonic() + START_GUARD_S
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError("the server did not start")


def report(rounds: Rounds, fsync_us: list[float]) -> dict[str, float]:
    """Prints the table; answers with the figures."""
    print(f"{'':36}{'orders/s':>10}{'lowest':>9}{'highest':>9}{'flushes/order':>15}{'round trips/order':>19}")
    for name, rates in rounds.rates.items():
        trips = f"{rounds.trips[name]:19.3f}" if name in rounds.trips else ""
        low, middle, high = min(rates), statistics.median(rates), max(rates)
        flushes = statistics.median(rounds.flushes[name])
        print(f"{name:36}{middle:10.0f}{low:9.0f}{high:9.0f}{flushes:15.3f}{trips}")
    print(f"a block to the disk and synced: {statistics.median(fsync_us):.0f} us")

    def ratio(one: str, *others: str) -> float:
        """Within each round, over the best of the others; the median of the rounds."""
        best = [max(rates) for rates in zip(*(rounds.rates[other] for other in others), strict=True)]
        return round(statistics.median(a / b for a, b in zip(rounds.rates[one], best, strict=True)), 2)

    ours = "ours, 256 callers"
    return {
        "orders_over_pgbench": ratio(ours, "pgbench, one transaction an order"),
        "orders_over_batch_limit": ratio(ours, "pgbench, the batch, 1", "pgbench, the batch, 2"),
        "http_over_empty_asgi": ratio("HTTP: ours", "HTTP: empty"),
        "http_over_naive": ratio("HTTP: ours", "HTTP: naive"),
        "orders_per_s": round(statistics.median(rounds.rates[ours])),
    }


async def main() -> int:
    fsync_us = []
    async with Database() as database:
        await prepare(database)
        valkey = EmbeddedValkey(database.folder, database.folder / "s")
        valkey.prepare()
        child = valkey.start()
        rounds = Rounds(database)
        try:
            for number in range(ROUNDS):
                fsync_us.append(database.fsync_us())
                for half in (rounds.database_round, partial(rounds.http_round, valkey.url)):
                    await database.clear()
                    rounds.written = 0
                    await half()
                    await database.check(rounds.written)
                    print(f"round {number + 1} of {ROUNDS}: {rounds.written} orders, the books agree", flush=True)
        finally:
            for writer in rounds.writers:
                writer.end()
            end(child, valkey.end_signal, 10)
        figures = report(rounds, fsync_us)
    missed = [name for name, target in TARGETS.items() if figures[name] < target]
    if missed:
        print(f"below target: {', '.join(missed)}")
    print(json.dumps(figures))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
