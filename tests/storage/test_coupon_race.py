"""Processes commit at once with one code: its last uses and a buyer's only one are taken once, and units with them."""

import pytest

from app.checkout.commit import commit_with_coupons
from tests.storage.stock_world import open_world
from tests.storage.test_commit_batches import own
from tests.storage.test_commit_race import SEVERAL, attempts_on, commit_side_by_side, lingering, orders, refusals
from tests.storage.test_coupons import coupon, uses

PROCESSES = 2


async def with_code(world, made: dict, attempts: list[str]) -> list[str]:
    """The attempts, each with the coupon."""
    await world.pg.execute(
        """INSERT INTO payment_coupons (attempt_id, coupon_id, account_id, discount_minor)
           SELECT DISTINCT id, $1, account_id, 60 FROM payment_attempts WHERE id = ANY($2)""",
        made["id"],
        attempts,
    )
    return attempts


@SEVERAL
async def test_processes_side_by_side_take_the_last_10_uses_once(pg, pg_url, valkey, processes):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(500, per_buyer_limit=99))["pool"]
        made = await coupon(world, "TEN", uses_max=10)
        people = [buyer.account for buyer in await world.buyers(40)]
        shares = [await with_code(world, made, await attempts_on(world, pool, people, 40)) for _ in range(processes)]
        answers = await commit_side_by_side(pg_url, shares, "coupons")
        assert len(set(orders(answers))) == len(orders(answers)) == 10
        assert refusals(answers) == {"coupon_used_up"}
        assert await uses(pg, made) == 10
        await world.settle_all()
        await world.check(pool)


@SEVERAL
async def test_processes_side_by_side_let_each_buyer_use_it_once(pg, pg_url, valkey, processes):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(500, per_buyer_limit=99))["pool"]
        made = await coupon(world, "ONE", once_per_buyer=True)
        people = [buyer.account for buyer in await world.buyers(6)]
        shares = [await with_code(world, made, await attempts_on(world, pool, people, 30)) for _ in range(processes)]
        answers = await commit_side_by_side(pg_url, shares, "coupons")
        buyers = await pg.fetch("SELECT account_id FROM orders WHERE id = ANY($1)", orders(answers))
        assert sorted(row["account_id"] for row in buyers) == sorted(people)
        assert refusals(answers) == {"coupon_used"}
        assert await uses(pg, made) == 6
        await world.settle_all()
        await world.check(pool)


async def test_units_and_uses_run_out_side_by_side_and_neither_is_wasted(pg, pg_url, valkey):
    """Who gets no unit takes no use, and who gets no use takes no unit: of both, all are gone in the end."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(12, per_buyer_limit=99))["pool"]
        made = await coupon(world, "TEN", uses_max=8)
        people = [buyer.account for buyer in await world.buyers(20)]
        coded = [await with_code(world, made, await attempts_on(world, pool, people, 20)) for _ in range(PROCESSES)]
        answers = await commit_side_by_side(pg_url, coded, "coupons")
        assert (len(orders(answers)), await uses(pg, made)) == (8, 8)
        plain = await commit_side_by_side(pg_url, [await attempts_on(world, pool, people, 20)])
        assert len(orders(plain)) == 4
        assert refusals(plain) == {"sold_out"}
        await world.settle_all()
        await world.check(pool)


async def test_the_race_is_real_a_commit_that_reads_before_it_locks_is_caught(pg, pg_url, valkey):
    """The test of the tests: without the coupon's lock more uses are taken than there are, within a few rounds."""
    sound = await pg.fetchval("SELECT pg_get_functiondef('commit_orders_with_coupons'::regproc)")
    locks = sound[sound.index("PERFORM FROM pools") : sound.index("SELECT coalesce(array_agg")]
    async with open_world(pg, valkey) as world:
        await pg.execute("ALTER TABLE coupons DROP CONSTRAINT coupons_used_up")
        await pg.execute(lingering(sound.replace(locks, "")))
        try:
            for n in range(10):
                made = await coupon(world, f"LAST{n}", uses_max=3)
                shares = []
                for _ in range(PROCESSES):  # from pools of their own: no lock of stock stands in for the coupon's
                    pool = (await world.sale(500, per_buyer_limit=99))["pool"]
                    person = (await world.buyer()).account
                    shares.append(await with_code(world, made, await attempts_on(world, pool, [person], 6)))
                if len(orders(await commit_side_by_side(pg_url, shares, "coupons"))) > 3:
                    return
        finally:
            await pg.execute(sound)
    pytest.fail("reading before the lock did no harm: this race would not find the fault")


async def test_a_commit_with_a_code_reads_its_own_rows_alone_though_its_plan_was_made_when_there_were_none(pg, valkey):
    """The look for an earlier use, planned for an empty table, would read all uses of the code for each order."""
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(999, per_buyer_limit=99))["pool"]
        made = await coupon(world, "MANY", once_per_buyer=True)
        for table in ("payment_attempts", "payment_coupons", "coupons"):
            await pg.execute(f"VACUUM {table}")
        await commit_with_coupons(connection, ["nobody"])
        people = [buyer.account for buyer in await world.buyers(30)]
        ids = (await with_code(world, made, await attempts_on(world, pool, people, 900)))[:30]
        await pg.execute(
            "UPDATE payment_coupons SET counted_at = now(), account_id = 'earlier ' || attempt_id"
            " WHERE coupon_id = $1 AND attempt_id <> ALL($2)",
            made["id"],
            ids,
        )
        server = await connection.enter()

        async def rows_read() -> int:
            await server.execute("SELECT pg_stat_force_next_flush()")
            return await server.fetchval(
                "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes"
                " WHERE relname IN ('payment_coupons', 'coupons', 'payment_attempts')"
            )

        before = await rows_read()
        outcomes = await commit_with_coupons(connection, ids)
        assert [one.order for one in outcomes] == ids
        assert await rows_read() - before < 100 * len(ids)
