"""The clocks of web and worker are two hours wrong, as libfaketime makes them; Valkey's and Postgres's are right."""

import asyncio
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from app import clock
from app.flash_sales.moment import valkey_now_ms
from tests.running import RunningHawker
from tests.waiting import eventually

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
COUNTDOWN_S = 10
GUARD_S = 60
HOUR_MS = 3_600_000


async def caller(http: httpx.AsyncClient, role: str) -> dict[str, str]:
    """The headers of a demo's person; Secure cookies do not come back over plain HTTP by themselves."""
    answer = await http.post("/api/session", json={"demo": role})
    answer.raise_for_status()
    cookie = answer.headers["set-cookie"].partition(";")[0]
    me = (await http.get("/api/session", headers={"Cookie": cookie})).json()
    return {"Cookie": cookie, "X-CSRF-Token": me["csrf"]}


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(LIBRARY is None, reason="no libfaketime; install it (Debian: sudo apt-get install libfaketime)")
@pytest.mark.parametrize("off", ["-2h", "+2h"])
async def test_no_sale_is_early_and_holds_last_as_long_as_they_should(own_hawker, pg_url, valkey_url, valkey, off):
    fake = {"LD_PRELOAD": str(LIBRARY), "FAKETIME": off, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    running: RunningHawker = own_hawker(DATABASE_URL=pg_url, REDIS_URL=valkey_url, **fake)
    await asyncio.to_thread(running.start)
    async with httpx.AsyncClient(base_url=running.base_url, timeout=30) as http:
        host, buyer = await caller(http, "host"), await caller(http, "viewer")
        told = parsedate_to_datetime((await http.get("/api/session", headers=buyer)).headers["date"])
        assert abs(told.timestamp() * 1000 - clock.now_ms()) > HOUR_MS
        product = (await http.get("/api/shows/demo")).json()["lineup"][0]
        wanted = {"variant": product["variants"][0]["id"], "percent_off": 25, "allotment": 3, "per_buyer_limit": 2}
        wanted |= {"duration_s": 600, "countdown_s": COUNTDOWN_S}
        made_ms = await valkey_now_ms(valkey)
        sale = (await http.post("/api/shows/demo/flash-sales", json=wanted, headers=host)).json()
        assert sale["state"] == "countdown"

        async def take() -> httpx.Response:
            headers = {**buyer, "Idempotency-Key": clock.new_id()}
            return await http.post("/api/holds", json={"pool": sale["pool"], "quantity": 1}, headers=headers)

        early = (await take()).json()
        assert (early["code"], 0 < early["retry_after_ms"] <= COUNTDOWN_S * 1000) == ("not_started", True)

        async def taken() -> httpx.Response | None:
            answer = await take()
            return answer if answer.status_code != 409 else None

        hold = (await eventually(taken, GUARD_S, "the sale begins")).json()
        assert await valkey_now_ms(valkey) - made_ms >= COUNTDOWN_S * 1000

        async def runs() -> bool:
            found = (await http.get("/api/shows/demo/flash-sales")).json()["sales"]
            return {one["id"]: one["state"] for one in found}[sale["id"]] == "running"

        await eventually(runs, GUARD_S, "the worker too has seen it begin")
        assert 100_000 < hold["expires_at_ms"] - await valkey_now_ms(valkey) <= 120_000
        headers = {**buyer, "Idempotency-Key": clock.new_id()}
        order = await http.post("/api/orders", json={"hold": hold["id"], "method": "works"}, headers=headers)
        assert order.status_code == 201, order.text
