"""Everybody presses at once, at a whole Hawker over TCP: exactly as many orders as units, and an answer for everyone.

Also while workers are killed and Valkey is emptied or falls back, by a seed that is printed; and the test of that test:
with Postgres' own guard taken out it finds an oversell.
"""

import asyncio
import random
import signal
import sys
from contextlib import asynccontextmanager, suppress

import asyncpg
import httpx
import pytest

from app.flash_sales.gate_wire import gate_keys
from app.storage.valkey import open_valkey
from tests.faults.buyers import Buyer, check_books, gather_crowd, start_sale
from tests.waiting import eventually_true

BUYERS = 500
UNITS = 20
ANSWER_GUARD_S = 60
SETTLE_GUARD_S = 60
RUSH_GUARD_S = 600
PRESSING_MAX = 400  # as many as one client can serve: who waited for it longer than GIVE_UP_S would count as unanswered
WEB = ("web", "web-2", "web-3", "web-4")
PRESS_AGAIN = {"all_held", "hold_ended", "not_found"}  # of a hold that was lost with its gate: the page takes a new one
FINAL = {"sold_out", "over_limit"}


@pytest.mark.parametrize("kind", ["sale", pytest.param("ordinary", marks=pytest.mark.long)])
async def test_500_buyers_of_20_units_over_tcp_make_exactly_20_orders(own_hawker, kind):
    running = own_hawker(HOLD_TTL_S="600").start()
    limits = httpx.Limits(max_connections=BUYERS, max_keepalive_connections=BUYERS)
    async with httpx.AsyncClient(base_url=running.base_url, limits=limits, timeout=ANSWER_GUARD_S) as http:
        await all_press_at_once(running, http, kind, seed=5)


async def all_press_at_once(running, http, kind: str, seed: int) -> None:
    crowd = await gather_crowd(running, http, BUYERS, [UNITS], seed)
    pool = crowd.pools[0] if kind == "ordinary" else await start_sale(running, http, crowd.pools[0], UNITS, limit=1)
    crowd.pools = [pool]
    await crowd.rush(pool)
    assert len(crowd.orders) == UNITS, kind
    assert set(crowd.refused) <= {"all_held", "sold_out"}
    assert sum(crowd.refused.values()) == BUYERS - UNITS
    await check_books(running, crowd, SETTLE_GUARD_S)
    late = await gather_crowd(running, http, 1, [], seed + 1)
    await late.rush(pool)
    assert late.refused == {"sold_out": 1}  # nothing is held any more, everything is paid


async def press_until_told(buyer: Buyer, pool: str, turn: asyncio.Semaphore) -> None:
    """Presses until there is an order, or it is said that there never will be one."""
    while not buyer.told.orders:
        before = dict(buyer.told.refused)
        async with turn:
            await buyer.buy_once(pool, "works")
        assert buyer.told.unknown == []
        if buyer.told.orders:
            return
        (code,) = [code for code, count in buyer.told.refused.items() if count != before.get(code, 0)]
        if code in FINAL:
            return
        assert code in PRESS_AGAIN, code
        await buyer._breathe(500)


class Breaker:
    """Kills and wipes. `fall_back` brings a gate back as it was at the start: a failover that lost its tail."""

    def __init__(self, running, valkey, pool: str) -> None:
        self._running, self._valkey, self._pool = running, valkey, pool
        self._kept: dict[str, bytes | None] = {}

    async def keep(self) -> None:
        self._kept = {key: await self._valkey.dump(key) for key in gate_keys(self._pool).all}

    async def fall_back(self) -> None:
        async with self._valkey.pipeline(transaction=True) as pipe:
            pipe.delete(*self._kept)
            for key, dump in self._kept.items():
                if dump is not None:
                    pipe.restore(key, 0, dump)
            await pipe.execute()

    async def rest_worker(self) -> None:
        """Nothing mends the gate from then on, until the process is told to go on."""
        self._running.kill("worker", signal.SIGSTOP)

    async def wipe(self) -> None:
        await self._valkey.flushall()

    def _killed(self, name: str) -> bool:
        """False for one that died a moment ago and is being started again."""
        with suppress(FileNotFoundError, ProcessLookupError):
            return self._running.kill(name) > 0
        return False

    async def do(self, fault: str) -> None:
        if fault in WEB:
            await eventually_true(lambda: self._killed(fault), RUSH_GUARD_S, f"{fault} killed")
        else:
            await getattr(self, fault)()


@asynccontextmanager
async def rush(
    own_hawker, buyers: int, units: int, faults: list[str], seed: int, *, guarded: bool = True, early: int | None = None
):
    """All press, each fault comes when another share of the units has orders; then everyone has been answered.

    With `early` so many press before the faults, and the others after them.
    """
    sys.stdout.write(f"seed {seed}: {faults}\n")
    running = own_hawker(
        HOLD_TTL_S="4",
        SETTLE_AFTER_S="2",
        PAYMENT_TIMEOUT_S="2",
        PAYMENT_DECLINES_MAX="10000",
        ROLE_SILENT_S="0",  # a worker that rests is no worker that hangs
    )
    await asyncio.to_thread(running.start, "--workers", "4")
    valkey, pg = open_valkey(running.valkey_url), await asyncpg.connect(running.postgres_url)
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
    try:
        async with httpx.AsyncClient(base_url=running.base_url, limits=limits, timeout=ANSWER_GUARD_S) as http:
            crowd = await gather_crowd(running, http, buyers, [units], seed)
            pool = await start_sale(running, http, crowd.pools[0], units, limit=1)
            crowd.pools = [pool]
            if not guarded:
                await take_the_guard_out(pg)
            breaker, turn = Breaker(running, valkey, pool), asyncio.Semaphore(PRESSING_MAX)
            await breaker.keep()
            pressing = asyncio.gather(*(press_until_told(buyer, pool, turn) for buyer in crowd._buyers[:early]))
            for number, fault in enumerate(faults, 1):
                share = units * number // (len(faults) + 1)
                await eventually_true(
                    lambda share=share: len(crowd.orders) >= share or pressing.done(), RUSH_GUARD_S, "buyers buy on"
                )
                await breaker.do(fault)
            late = () if early is None else crowd._buyers[early:]
            await asyncio.wait_for(
                asyncio.gather(pressing, *(press_until_told(buyer, pool, turn) for buyer in late)), RUSH_GUARD_S
            )
            yield running, crowd, pg, pool
    finally:
        await pg.close()
        await valkey.aclose()


async def take_the_guard_out(pg) -> None:
    """In this Hawker's own database: orders are committed whatever is left, and the row may say so."""
    sound = await pg.fetchval("SELECT pg_get_functiondef('commit_orders'::regproc)")
    guard = "> p.allotment - p.sold THEN"
    assert guard in sound
    await pg.execute(sound.replace(guard, "> 2000000000 THEN"))
    for name in await pg.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'pools'::regclass AND contype = 'c'"
    ):
        await pg.execute(f'ALTER TABLE pools DROP CONSTRAINT "{name["conname"]}"')


def some_faults(seed: int, count: int) -> list[str]:
    return random.Random(seed).choices([*WEB, "wipe", "fall_back"], k=count)


async def everyone_is_answered_and_exactly_the_units_sold(rushing, units: int, buyers: int) -> None:
    async with rushing as (running, crowd, pg, pool):
        assert crowd.unknown == []
        told_no = sum(not buyer.told.orders for buyer in crowd._buyers)
        assert (len(crowd.orders), told_no) == (units, buyers - units)
        assert await pg.fetchval("SELECT sold FROM pools WHERE id = $1", pool) == units
        await check_books(running, crowd, SETTLE_GUARD_S)


async def test_a_worker_dies_and_valkey_is_emptied_and_falls_back_in_a_small_stampede(own_hawker):
    faults = ["web-2", "wipe", "fall_back"]
    await everyone_is_answered_and_exactly_the_units_sold(rush(own_hawker, 60, 12, faults, seed=13), 12, 60)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_workers_die_and_valkey_is_lost_in_a_stampede_and_exactly_the_units_are_sold(own_hawker):
    faults = ["web-2", "wipe", "web-3", "fall_back"]
    await everyone_is_answered_and_exactly_the_units_sold(rush(own_hawker, 150, 20, faults, seed=11), 20, 150)


async def test_the_stampede_finds_an_oversell_when_postgres_does_not_guard(own_hawker):
    """The test of the test: orders are committed without looking at what is left, and the worker mends no gate."""
    faults = ["rest_worker", "fall_back"]
    async with rush(own_hawker, 60, 12, faults, seed=12, guarded=False, early=6) as (running, crowd, pg, pool):
        running.kill("worker", signal.SIGCONT)
        row = await pg.fetchrow("SELECT sold, allotment FROM pools WHERE id = $1", pool)
        assert len(crowd.orders) > row["allotment"]
        assert row["sold"] > row["allotment"]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(21, 24))
async def test_5000_buyers_of_100_units_through_kills_and_wipes(own_hawker, seed):
    faults = some_faults(seed, 12)
    await everyone_is_answered_and_exactly_the_units_sold(rush(own_hawker, 5000, 100, faults, seed), 100, 5000)
