"""The database of the bench: a Postgres of its own with Hawker's settings and schema, its stage, and its books."""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Self

import asyncpg

from app import clock
from app.accounts.sessions import hash_secret
from app.embedded.child import end
from app.embedded.postgres import EmbeddedPostgres
from app.storage.migrations import migrate

START_GUARD_S = 30
LEAVE_GUARD_S = 10
POOLS = 64
BUYERS = 5000
PRICE_MINOR = 600
PROBES = 300
BLOCK = 8192

STAGE = f"""
    INSERT INTO accounts (id, name, name_folded)
    SELECT 'buyer' || n, 'Buyer ' || n, 'buyer ' || n FROM generate_series(0, {BUYERS - 1}) n;
    INSERT INTO shops (id, name, currency) VALUES ('shop', 'Clay', 'EUR');
    INSERT INTO shows (id, shop_id, title, state) VALUES ('show', 'shop', 'Tonight', 'live');
    INSERT INTO products (id, shop_id, title) SELECT 'product' || n, 'shop', 'Bowl' FROM generate_series(0, {POOLS}) n;
    INSERT INTO variants (id, product_id, title, position, price_minor, received)
    SELECT 'variant' || n, 'product' || n, 'Blue', 0, 1000, 2000000000 FROM generate_series(0, {POOLS}) n;
    INSERT INTO flash_sales (id, show_id, variant_id, state, price_minor, compare_at_minor, per_buyer_limit, starts_at,
                             ends_at, created_by)
    SELECT 'sale' || n, 'show', 'variant' || n, 'running', {PRICE_MINOR}, 1000, 1000000000, now(),
           now() + interval '1 day', 'buyer0' FROM generate_series(0, {POOLS}) n;
    INSERT INTO pools (id, variant_id, flash_sale_id, allotment)
    SELECT 'pool' || n, 'variant' || n, 'sale' || n, 2000000000 FROM generate_series(0, {POOLS}) n;
"""
# Attempts as they are when the provider has said yes. In a hot sale they are all on one pool.
ATTEMPTS = f"""
    INSERT INTO payment_attempts (id, hold_id, pool_id, account_id, shop_id, show_id, variant_id, title, quantity,
                                  unit_price_minor, amount_minor, currency, method, state, hold_expires_at,
                                  idempotency_key, body_hash)
    SELECT 'a' || lpad(n::text, 15, '0'), 'pool' || p || '-' || n, 'pool' || p, 'buyer' || n * 7919 % {BUYERS}, 'shop',
           'show', 'variant' || p, 'Bowl, Blue', 1, {PRICE_MINOR}, {PRICE_MINOR}, 'EUR', 'works', 'started',
           now() + interval '1 hour', 'key-of-a-buyer-' || n, decode(md5(n::text), 'hex')
      FROM generate_series($1::bigint, $2::bigint) n, LATERAL (SELECT CASE WHEN $3 THEN 0 ELSE n % {POOLS} END AS p) x
"""
BOOKS = f"""
    SELECT (SELECT count(*) FROM orders) AS orders,
           (SELECT count(*) FROM orders o JOIN payment_attempts a ON a.id = o.id AND a.line = 1
             WHERE a.state IN ('committed', 'captured') AND o.total_minor = {PRICE_MINOR}) AS paid_for,
           (SELECT count(*) FROM payment_attempts WHERE state IN ('committed', 'captured')) AS attempts,
           (SELECT sum(quantity) FROM order_lines) AS units,
           (SELECT count(*) FROM orders o JOIN order_lines l ON l.order_id = o.id) AS lines,
           (SELECT count(DISTINCT subject) FROM outbox WHERE topic = 'capture') AS captures,
           (SELECT count(DISTINCT subject) FROM outbox WHERE topic = 'order.committed') AS announcements,
           (SELECT count(*) FROM outbox WHERE topic IN ('capture', 'order.committed')) / 2 AS notes,
           (SELECT count(*) FROM ledger l JOIN orders o ON o.id = l.order_id AND l.amount_minor = o.total_minor
             WHERE l.event = 'authorised')
               AS ledger,
           (SELECT count(*) - coalesce(sum(abs(e.sum)), 0) FROM orders o
              JOIN (SELECT order_id, sum(amount_minor) FROM ledger_entries GROUP BY 1) e ON e.order_id = o.id)
               AS balanced,
           (SELECT sum(sold) FROM pools) AS sold,
           (SELECT sum(sold) FROM pool_buyers) AS bought
"""
CLEAR = """
    TRUNCATE orders, order_lines, payment_attempts, outbox, ledger, pool_buyers, simulated_payments, simulated_refunds
             CASCADE;
    UPDATE pools SET sold = 0;
"""


class Database:
    """Starts Postgres in a folder of its own; with `async with`. Statements go by `pg`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hwk-", dir=os.environ.get("BENCH_DIR", "/tmp")))
        (self.folder / "s").mkdir(mode=0o700)
        self.server = EmbeddedPostgres(self.folder, self.folder / "s")
        self.next = 1

    async def __aenter__(self) -> Self:
        self._child = self.server.start(self.server.prepare())
        deadline = time.monotonic() + START_GUARD_S
        while not self.server.is_ready(self._child):
            assert time.monotonic() < deadline, self.server.log.read_text()
            await asyncio.sleep(0.02)
        await migrate(self.url)
        self.pg = await asyncpg.connect(self.url)
        await self.pg.execute(STAGE)
        await self.pg.execute("VACUUM ANALYZE")
        return self

    async def __aexit__(self, *_failure: object) -> None:
        await self.pg.close()
        end(self._child, self.server.end_signal, 20)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The address of the database."""
        return self.server.url

    async def attempts(self, count: int, *, hot: bool = False) -> int:
        """Prepares payment attempts; answers with the number of the first."""
        first, self.next = self.next, self.next + count
        await self.pg.execute(ATTEMPTS, first, self.next - 1, hot)
        await self.pg.execute("SELECT setval('bench_n', $1, false)", first)
        return first

    async def skip(self, count: int) -> int:
        """Leaves room for attempts that are written by whoever pays; answers with the number of the first."""
        first, self.next = self.next, self.next + count
        await self.pg.execute("SELECT setval('bench_n', $1, false)", first)
        return first

    async def flushes(self) -> int:
        """How often the log was flushed to the disk so far."""
        await self.pg.execute("SELECT pg_stat_force_next_flush()")
        return await self.pg.fetchval("SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'")

    async def clients(self) -> int:
        """How many are connected."""
        return await self.pg.fetchval("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")

    async def left_by_all_but(self, clients: int) -> None:
        """Waits until no more than so many are connected."""
        async with asyncio.timeout(LEAVE_GUARD_S):
            while await self.clients() > clients:
                await asyncio.sleep(0.01)

    async def check(self, orders: int) -> None:
        """Raises when the books do not agree on so many orders."""
        row = dict(await self.pg.fetchrow(BOOKS))
        wrong = {name: count for name, count in row.items() if count != orders}
        if wrong:
            raise AssertionError(f"of {orders} orders the books say {wrong}")

    async def clear(self) -> None:
        """An empty shop, and a log with nothing in it that has to be written twice."""
        await self.pg.execute(CLEAR)
        await self.pg.execute("VACUUM")
        await self.pg.execute("CHECKPOINT")

    def fsync_us(self) -> float:
        """Median of a block written and synced to the same disk."""
        taken = []
        with (self.folder / "probe").open("wb") as file:
            for _ in range(PROBES):
                began = time.perf_counter()
                file.write(bytes(BLOCK))
                file.flush()
                os.fdatasync(file.fileno())
                taken.append(time.perf_counter() - began)
        return sorted(taken)[PROBES // 2] * 1e6


async def open_sessions(database: Database, count: int) -> list[str]:
    """The session secrets of so many buyers."""
    secrets = [clock.new_secret() for _ in range(count)]
    await database.pg.executemany(
        "INSERT INTO sessions (token_hash, id, account_id, expires_at) VALUES ($1, $2, $3, now() + interval '1 day')",
        [(hash_secret(secret), clock.new_id(), f"buyer{n}") for n, secret in enumerate(secrets)],
    )
    return secrets


async def prepare(database: Database) -> None:
    """What only the bench needs: the number of the next attempt for pgbench's clients."""
    await database.pg.execute("CREATE SEQUENCE bench_n CACHE 1")
