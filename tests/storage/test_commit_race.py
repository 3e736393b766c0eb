"""Two processes commit at once: for the last units, for a buyer's limit, for the same hold. Never one too many."""

import asyncio
import json
import sys

import pytest

from app import clock
from tests.storage.stock_world import open_world

PROCESSES = 2
SEVERAL = pytest.mark.parametrize("processes", [2, 4])
HANG_GUARD_S = 60


async def attempts_on(world, pool: str, buyers: list[str], count: int) -> list[str]:
    """Payment attempts that the provider has authorised, one per hold, the buyers in turn."""
    ids = [clock.new_id() for _ in range(count)]
    await world.pg.executemany(
        """INSERT INTO payment_attempts (id, hold_id, pool_id, account_id, shop_id, show_id, variant_id, title,
                                         quantity, unit_price_minor, amount_minor, currency, method, state,
                                         hold_expires_at)
           SELECT $1, $2, $3, $4, $5, $6, variant_id, 'Bowl', 1, 600, 600, 'EUR', 'works', 'authorised',
                  now() + interval '1 hour' FROM pools WHERE id = $3""",
        [(one, f"{pool}-{one}", pool, buyers[n % len(buyers)], world.shop, world.show) for n, one in enumerate(ids)],
    )
    await world.pg.executemany(
        """INSERT INTO simulated_payments (attempt_id, method, amount_minor, currency, state)
           VALUES ($1, 'works', 600, 'EUR', 'authorised')""",
        [(one,) for one in ids],
    )
    await world.valkey.flushall()  # the gate, rebuilt, knows these payments' holds
    return ids


async def commit_side_by_side(pg_url: str, shares: list[list[str]], *what: str) -> list[list[dict]]:
    """Each share in a process of its own, all let go at the same moment. `what`: "coupons" where they have any."""
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.storage.committer",
            pg_url,
            json.dumps(share),
            *what,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**22,
        )
        for share in shares
    ]
    async with asyncio.timeout(HANG_GUARD_S):
        for child in children:
            assert await child.stdout.readline() == b"ready\n"
        for child in children:
            child.stdin.write(b"go\n")
        answers = [json.loads(await child.stdout.readline()) for child in children]
        for child in children:
            assert await child.wait() == 0
    return answers


def lingering(function: str) -> str:
    """It ends only after a while, so that the other process reads before this one's commit however busy the machine."""
    head, end, rest = function.rpartition("END")
    return f"{head}PERFORM pg_sleep(0.3); {end}{rest}"


def orders(answers: list[list[dict]]) -> list[str]:
    return [one["order"] for share in answers for one in share if one["order"]]


def refusals(answers: list[list[dict]]) -> set[str]:
    return {one["refusal"]["code"] for share in answers for one in share if one["refusal"]}


@SEVERAL
async def test_processes_side_by_side_sell_the_last_20_units_once(pg, pg_url, valkey, processes):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20))["pool"]
        people = [buyer.account for buyer in await world.buyers(60)]
        shares = [await attempts_on(world, pool, people, 60) for _ in range(processes)]
        answers = await commit_side_by_side(pg_url, shares)
        assert len(set(orders(answers))) == len(orders(answers)) == 20
        assert refusals(answers) == {"sold_out"}
        await world.settle_all()
        await world.check(pool)


@SEVERAL
async def test_processes_side_by_side_keep_a_buyers_limit(pg, pg_url, valkey, processes):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(500, per_buyer_limit=5))["pool"]
        people = [buyer.account for buyer in await world.buyers(2)]
        shares = [await attempts_on(world, pool, people, 60) for _ in range(processes)]
        answers = await commit_side_by_side(pg_url, shares)
        assert len(orders(answers)) == 10
        assert refusals(answers) == {"over_limit"}
        bought = await pg.fetch("SELECT account_id, sold FROM pool_buyers WHERE pool_id = $1", pool)
        assert {row["account_id"]: row["sold"] for row in bought} == dict.fromkeys(people, 5)


@SEVERAL
async def test_processes_side_by_side_make_one_order_of_one_hold(pg, pg_url, valkey, processes):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(60, per_buyer_limit=60))["pool"]
        share = await attempts_on(world, pool, [(await world.buyer()).account], 40)
        first, *others = await commit_side_by_side(pg_url, [share] * processes)
        assert all([one["order"] for one in first] == [one["order"] for one in other] for other in others)
        assert len(set(orders([first]))) == 40
        assert await pg.fetchval("SELECT sold FROM pools WHERE id = $1", pool) == 40


async def test_the_race_is_real_a_commit_that_reads_before_it_locks_is_caught(pg, pg_url, valkey):
    """The test of the tests: the fault planted, the limit must be seen to break within a few rounds."""
    sound = await pg.fetchval("SELECT pg_get_functiondef('commit_orders'::regproc)")
    lock = sound[sound.index("PERFORM FROM pools") : sound.index("RETURN QUERY")]
    async with open_world(pg, valkey) as world:
        await pg.execute(lingering(sound.replace(lock, "")))
        try:
            for _ in range(10):
                pool = (await world.sale(500, per_buyer_limit=5))["pool"]
                person = (await world.buyer()).account
                shares = [await attempts_on(world, pool, [person], 6) for _ in range(PROCESSES)]
                answers = await commit_side_by_side(pg_url, shares)
                if len(orders(answers)) > 5:
                    return
        finally:
            await pg.execute(sound)
    pytest.fail("reading before the lock did no harm: this race would not find the fault")
