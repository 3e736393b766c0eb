"""The process is killed at each step of a purchase; its buyers ask again under the same keys, of another process."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app import clock
from app.checkout.settle import settle
from tests.faults.crash_child import BUYING_NOW, POINTS
from tests.running import ROOT, free_port
from tests.storage.stock_world import open_world
from tests.waiting import eventually

UNITS, BUYERS = 2, 4
START_GUARD_S = 60
SETTLE_GUARD_S = 60  # what a crash left behind is settled by then
AGAIN = {"in_progress", "payment_pending", "unavailable", "rebuilding"}


class Child:
    """The web role, armed to die at `point` once."""

    def __init__(self, point: str, folder: Path, pg_url: str, valkey_url: str) -> None:
        self.died = folder / "died"
        self.base_url = f"http://127.0.0.1:{(port := free_port())}"
        self._command = [sys.executable, "-m", "tests.faults.crash_child", point, str(self.died)]
        own = {"DATABASE_URL": pg_url, "REDIS_URL": valkey_url, "PORT": str(port), "HAWKER_DATA": str(folder)}
        self._environment = {**os.environ, **own, "HOST": "127.0.0.1", "DEMO": "0", "SIMULATED_PAYMENTS": "1"}
        self.ended: list[int] = []
        self._process: subprocess.Popen | None = None

    async def start(self, http: httpx.AsyncClient) -> None:
        self._begin()

        async def answers() -> bool:
            try:
                return (await http.get(self.base_url + "/readyz")).status_code == 200
            except httpx.TransportError:
                assert self._process.poll() is None, "the child ended before it was asked anything"
                return False

        await eventually(answers, START_GUARD_S, "the child is up")

    def _begin(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment)

    async def revive(self, http: httpx.AsyncClient) -> None:
        """A new one in place of the dead."""
        await asyncio.to_thread(self._process.wait, START_GUARD_S)
        self.ended.append(self._process.returncode)
        await self.start(http)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Buyer:
    """Holds one unit and pays for it; asks again, with the same keys, until told yes or no."""

    def __init__(self, http: httpx.AsyncClient, child: Child, secret: str) -> None:
        self._http, self._child = http, child
        self._headers = {"Authorization": f"Bearer {secret}"}
        self.order: str | None = None

    async def buy(self, pool: str) -> None:
        hold = await self._ask("/api/holds", {"pool": pool, "quantity": 1})
        order = hold and await self._ask("/api/orders", {"hold": hold["id"], "method": "works"})
        self.order = order and order["id"]

    async def buy_now(self, pool: str) -> None:
        order = await self._ask("/api/buy-now", {"pool": pool, "quantity": 1, "method": "works"})
        self.order = order and order["id"]

    async def _ask(self, path: str, body: dict) -> dict | None:
        headers = {**self._headers, "Idempotency-Key": clock.new_id()}
        told: list[dict | None] = []

        async def answered() -> bool:
            try:
                answer = await self._http.post(self._child.base_url + path, json=body, headers=headers)
            except httpx.TransportError:
                return False
            assert answer.status_code != 500, answer.text
            if answer.status_code != 201 and answer.json()["code"] in AGAIN:
                return False
            told.append(answer.json() if answer.status_code == 201 else None)
            return True

        await eventually(answered, SETTLE_GUARD_S, f"an answer from {path}")
        return told[0]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("point", POINTS)
async def test_a_purchase_survives_a_kill_right_after(point, pg, pg_url, valkey, valkey_url, tmp_path):
    child = Child(point, tmp_path, pg_url, valkey_url)
    async with open_world(pg, valkey, settle_after_s=1) as world, httpx.AsyncClient(timeout=START_GUARD_S) as http:
        pool = (await world.sale(UNITS, per_buyer_limit=1))["pool"]
        buyers = [Buyer(http, child, one.secret) for one in await world.buyers(BUYERS)]
        try:
            await child.start(http)
            at_once = point in BUYING_NOW
            buying = asyncio.gather(*(buyer.buy_now(pool) if at_once else buyer.buy(pool) for buyer in buyers))

            async def killed() -> bool:
                return child.died.exists()

            await eventually(killed, START_GUARD_S, f"killed at {point}")
            await child.revive(http)

            async def bought() -> bool:
                await settle(world.checkout)  # the worker's part, in this process
                return buying.done()

            await eventually(bought, SETTLE_GUARD_S, "everybody knows")
            await buying
        finally:
            child.stop()

        async def settled() -> bool:
            await settle(world.checkout)
            await world.settle_all()
            open_ones = "SELECT count(*) FROM payment_attempts WHERE state IN ('started', 'authorised', 'voiding')"
            return not await pg.fetchval(open_ones) and (await world.checkout.outbox.count()).waiting == 0

        await eventually(settled, SETTLE_GUARD_S, "what the crash left behind is settled")
        assert child.ended == [-signal.SIGKILL]
        acknowledged = [buyer.order for buyer in buyers if buyer.order is not None]
        rows = await pg.fetch(
            """SELECT o.id, o.state, s.captures FROM orders o JOIN order_lines l ON l.order_id = o.id
                 JOIN simulated_payments s ON s.attempt_id = o.id WHERE l.pool_id = $1""",
            pool,
        )
        # None at all, where all who paid were written down together and died before the provider heard of them.
        assert {(row["state"], row["captures"]) for row in rows} <= {("paid", 1)}
        assert sorted(acknowledged) == sorted(row["id"] for row in rows)
        assert len(rows) <= UNITS
        await world.check(pool)


async def cut_off(child: Child, secret: str, key: str, body: bytes, happened) -> None:
    """Sends the request through a connection that is cut once `happened`, before anything of the reply is read."""
    port = int(child.base_url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /api/orders HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {secret}\r\n"
    head += f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await eventually(happened, START_GUARD_S, "the order is committed")
    writer.transport.abort()


async def test_an_order_whose_reply_was_lost_is_told_again_and_charged_once(pg, pg_url, valkey, valkey_url, tmp_path):
    child = Child("hold", tmp_path, pg_url, valkey_url)
    child.died.touch()  # this one lives
    async with open_world(pg, valkey) as world, httpx.AsyncClient(timeout=START_GUARD_S) as http:
        pool = (await world.sale(1))["pool"]
        buyer, key = await world.buyer(), clock.new_id()
        hold = await world.held(buyer, pool)
        body = f'{{"hold": "{hold}", "method": "works"}}'.encode()

        async def committed() -> bool:
            return await pg.fetchval("SELECT EXISTS (SELECT FROM orders WHERE account_id = $1)", buyer.account)

        try:
            await child.start(http)
            await cut_off(child, buyer.secret, key, body, committed)
            headers = {"Authorization": f"Bearer {buyer.secret}", "Idempotency-Key": key}
            headers["Content-Type"] = "application/json"
            again = await http.post(child.base_url + "/api/orders", content=body, headers=headers)
        finally:
            child.stop()
        assert again.status_code == 201, again.text
        ids = [row["id"] for row in await pg.fetch("SELECT id FROM orders WHERE account_id = $1", buyer.account)]
        assert ids == [again.json()["id"]]
        await world.settle_all()
        await world.check(pool)
