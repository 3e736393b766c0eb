"""Buyers over HTTP who write down what they asked and what they were told; and the books that must balance after.

An answer that never came counts as "may have happened": the buyer asks again under the same key until told.
"""

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import httpx

from app import clock
from app.accounts.sessions import Sessions
from app.flash_sales.gate_wire import gate_keys
from app.storage.postgres import open_pool
from app.storage.valkey import open_valkey
from tests.running import RunningHawker
from tests.waiting import eventually

ASK_TIMEOUT_S = 8
GIVE_UP_S = 60
METHODS = ["works"] * 16 + ["declines"] * 2 + ["late", "twice"]


@dataclass
class Told:
    """What one buyer was told: orders acknowledged, refusals counted, and questions that stayed open."""

    orders: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


class Buyer:
    """One account that buys until told to stop."""

    def __init__(self, http: httpx.AsyncClient, secret: str, seed: int) -> None:
        self.told = Told()
        self._http = http
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._dice = random.Random(seed)

    async def buy(self, pools: list[str], stop: asyncio.Event) -> None:
        """Holds and pays, again and again."""
        while not stop.is_set():
            await self.buy_once(self._dice.choice(pools), self._dice.choice(METHODS))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._dice.uniform(0.005, 0.05))

    async def buy_once(self, pool: str, method: str) -> None:
        """Holds one unit and pays for it. What came of it is in `told`."""
        hold = await self._ask("/api/holds", {"pool": pool, "quantity": 1, "show": "demo"})
        if hold is not None:
            order = await self._ask("/api/orders", {"hold": hold["id"], "method": method})
            if order is not None:
                self.told.orders.append(order["id"])

    async def _ask(self, path: str, body: dict) -> dict | None:
        """The answer when it was yes. Asks again while it is not known."""
        key = clock.new_id()
        deadline = clock.monotonic_s() + GIVE_UP_S
        while clock.monotonic_s() < deadline:
            headers = {**self._headers, "Idempotency-Key": key}
            try:
                answer = await self._http.post(path, json=body, headers=headers)
            except httpx.TransportError:
                await self._breathe(50)
                continue
            if answer.status_code == 201:
                return answer.json()
            problem = answer.json()
            assert answer.status_code != 500, problem
            code = problem["code"]
            if answer.status_code in {503, 504} or code in {"in_progress", "rebuilding"}:
                await self._breathe(problem.get("retry_after_ms") or 100)
                continue
            self.told.refused[code] = self.told.refused.get(code, 0) + 1
            return None
        self.told.unknown.append(f"{path} {key}")
        return None

    async def _breathe(self, retry_after_ms: int) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), min(retry_after_ms, 500) / 1000)


class Crowd:
    """Some buyers at one Hawker, buying while the test breaks things."""

    def __init__(self, running: RunningHawker, buyers: list[Buyer], pools: list[str]) -> None:
        self._running = running
        self._buyers = buyers
        self.pools = pools
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task] = []

    @property
    def orders(self) -> list[str]:
        """All that were acknowledged so far."""
        return [order for buyer in self._buyers for order in buyer.told.orders]

    @property
    def refused(self) -> dict[str, int]:
        """How often each refusal was said."""
        return dict(sum((Counter(buyer.told.refused) for buyer in self._buyers), Counter()))

    @property
    def unknown(self) -> list[str]:
        """Questions that nobody answered in GIVE_UP_S."""
        return [question for buyer in self._buyers for question in buyer.told.unknown]

    def start(self) -> None:
        """All begin to buy."""
        self._tasks = [asyncio.create_task(buyer.buy(self.pools, self._stop)) for buyer in self._buyers]

    async def rush(self, pool: str) -> None:
        """All press at the same moment, once each."""
        await asyncio.gather(*(buyer.buy_once(pool, "works") for buyer in self._buyers))

    async def stop(self) -> None:
        """All finish what they began."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def goes_on(self, count: int = 5, guard_s: float = 90) -> None:
        """Returns when `count` more orders were acknowledged."""
        target = len(self.orders) + count

        async def enough() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return len(self.orders) >= target

        await eventually(enough, guard_s, "buyers buy on")


async def gather_crowd(
    running: RunningHawker, http: httpx.AsyncClient, size: int, stock: list[int], seed: int
) -> Crowd:
    """`size` buyers with accounts of their own, and one product for each entry of `stock`."""
    pg = await open_pool(running.postgres_url, size_max=2)
    try:
        pools = [await _stock(pg, units) for units in stock]
        sessions = Sessions(pg)
        buyers = []
        for number in range(size):
            account, name = clock.new_id(), f"Buyer {seed} {number}"
            await pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $2)", account, name)
            buyers.append(Buyer(http, await sessions.open(account), seed * 1000 + number))
    finally:
        await pg.close()
    return Crowd(running, buyers, pools)


async def _stock(pg: asyncpg.Pool, units: int) -> str:
    product, variant, pool = clock.new_id(), clock.new_id(), clock.new_id()
    await pg.execute("INSERT INTO products (id, shop_id, title) VALUES ($1, 'demo', 'Bowl')", product)
    await pg.execute(
        "INSERT INTO variants (id, product_id, title, position, price_minor, received) VALUES ($1, $2, '', 0, 900, $3)",
        variant,
        product,
        units,
    )
    await pg.execute("INSERT INTO pools (id, variant_id, allotment) VALUES ($1, $2, $3)", pool, variant, units)
    await pg.execute("INSERT INTO lineup (show_id, product_id, position) VALUES ('demo', $1, 99)", product)
    return pool


async def start_sale(running: RunningHawker, http: httpx.AsyncClient, ordinary: str, units: int, limit: int) -> str:
    """Moves `units` of a pool into a flash sale of the demo show, as its host. The sale's pool."""
    pg = await open_pool(running.postgres_url, size_max=2)
    try:
        secret = await Sessions(pg).open(await pg.fetchval("SELECT id FROM accounts WHERE demo_role = 'host'"))
        variant = await pg.fetchval("SELECT variant_id FROM pools WHERE id = $1", ordinary)
    finally:
        await pg.close()
    sale = {"variant": variant, "percent_off": 30, "allotment": units, "per_buyer_limit": limit, "duration_s": 600}
    headers = {"Authorization": f"Bearer {secret}"}
    answer = await http.post("/api/shows/demo/flash-sales", json=sale, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["pool"]


OPEN_ATTEMPTS = "SELECT count(*) FROM payment_attempts WHERE state IN ('started', 'authorised', 'voiding')"
OPEN_EFFECTS = "SELECT count(*) FROM outbox WHERE done_at IS NULL"
BOOKS = """
SELECT p.id, p.allotment, p.sold, v.received + v.returned AS units,
       coalesce((SELECT sum(l.quantity - l.returned) FROM order_lines l WHERE l.pool_id = p.id), 0) AS standing,
       coalesce((SELECT sum(b.sold) FROM pool_buyers b WHERE b.pool_id = p.id), 0) AS by_buyer,
       (SELECT sum(q.allotment) FROM pools q WHERE q.variant_id = p.variant_id AND q.closed_at IS NULL) AS allotted
FROM pools p JOIN variants v ON v.id = p.variant_id
"""
OVER_LIMIT = """
SELECT b.pool_id, b.account_id, b.sold, s.per_buyer_limit
FROM pool_buyers b JOIN pools p ON p.id = b.pool_id JOIN flash_sales s ON s.id = p.flash_sale_id
WHERE b.sold > s.per_buyer_limit
"""
PAID_TWICE = """
SELECT o.id FROM orders o JOIN payment_attempts a ON a.id = o.id AND a.line = 1
GROUP BY o.id HAVING count(*) FILTER (WHERE a.state = 'captured') > 1
"""


async def check_books(running: RunningHawker, crowd: Crowd, settle_guard_s: float) -> None:
    """Waits until nothing is in flight, then: no oversell, every acknowledged order there once, the gate agrees."""
    pg = await open_pool(running.postgres_url, size_max=2)
    try:

        async def settled() -> bool:
            return not await pg.fetchval(OPEN_ATTEMPTS) and not await pg.fetchval(OPEN_EFFECTS)

        await eventually(settled, settle_guard_s, "payments settled and outbox empty")
        for row in await pg.fetch(BOOKS):
            assert row["standing"] == row["sold"] == row["by_buyer"] <= row["allotment"], dict(row)
            assert row["units"] == row["allotted"], dict(row)
        acknowledged = crowd.orders
        assert len(set(acknowledged)) == len(acknowledged)
        found = await pg.fetch("SELECT id, state FROM orders WHERE id = ANY($1::text[])", acknowledged)
        assert len(found) == len(acknowledged), "an acknowledged order is missing"
        assert {row["state"] for row in found} <= {"authorised", "paid"}
        assert await pg.fetch(PAID_TWICE) == []
        assert await pg.fetch(OVER_LIMIT) == []
        assert await pg.fetchval("SELECT min(sold) FROM pools WHERE id = ANY($1::text[])", crowd.pools) > 0
        assert crowd.unknown == []
        await _check_gates(running, pg)
    finally:
        await pg.close()


async def _check_gates(running: RunningHawker, pg: asyncpg.Pool) -> None:
    """Once the last hold has expired, every gate is free of holds and counts what Postgres counts."""
    valkey = open_valkey(running.valkey_url)
    try:
        for row in await pg.fetch("SELECT id, allotment - sold AS free FROM pools WHERE closed_at IS NULL"):
            key = gate_keys(row["id"]).config

            async def agrees(key=key, free=row["free"]) -> bool:
                left, held = await valkey.hmget(key, "left", "held")
                return left is None or (int(left) == free and int(held) == 0)

            await eventually(agrees, 60, f"the gate of {row['id']} counts as Postgres does")
    finally:
        await valkey.aclose()
