"""The reconciler: what a dead process left in the gate is mended after a while, and nothing else is ever touched."""

import asyncio

import pytest

from app import clock
from app.flash_sales.gate_wire import gate_keys, place_of
from app.flash_sales.reconcile import RIPE_S, Reconciler
from tests.storage.stock_world import open_world
from tests.storage.test_gate_lost import go_back

LOAD_S = 60


class Watch:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def reconciler(world, watch=clock.monotonic_s) -> Reconciler:
    return Reconciler(world.pg, world.valkey, world.sales.gate, watch)


async def left_behind(world, pool: str) -> str:
    """A hold whose buyer's process died after the gate had noted the payment, and before Postgres had."""
    buyer = await world.buyer()
    hold = await world.held(buyer, pool)
    extended = await world.sales.gate.extend(
        hold, person=buyer.account, attempt="died", for_ms=500_000, total_max_ms=600_000
    )
    assert extended.code == "extended"
    return hold


async def test_a_payment_that_postgres_never_saw_is_taken_off_its_hold(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        hold, watch = await left_behind(world, pool), Watch()
        mender = reconciler(world, watch)
        assert await mender.look_through() == 0
        assert await mender.look_through() == 0  # twice, but too soon
        watch.now_s += RIPE_S
        assert await mender.look_through() == 1
        record = (await world.sales.gate.read(hold)).hold
        assert (record.attempt, record.expires_at_ms) == ("", record.first_expires_at_ms)
        assert (await world.sales.gate.release(hold, record.person)).code == "released"
        assert await mender.look_through() == 0
        await world.check(pool)


async def test_a_hold_that_moved_between_two_looks_is_left_alone(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        hold, watch = await left_behind(world, pool), Watch()
        mender = reconciler(world, watch)
        assert await mender.look_through() == 0
        person = (await world.sales.gate.read(hold)).hold.person
        await world.sales.gate.extend(hold, person=person, attempt="died", for_ms=600_000, total_max_ms=700_000)
        watch.now_s += RIPE_S
        assert await mender.look_through() == 0


async def test_the_script_mends_nothing_that_is_not_as_it_was_seen(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        hold = await left_behind(world, pool)
        gate, place = world.sales.gate, place_of(hold)
        seen = await valkey.hget(gate_keys(pool).holds["abcdef".index(place[0])], place)
        epoch = (await world.gate(pool)).epoch
        assert (await gate.mend(hold, how="resume", record=seen, epoch=epoch + 1)).code == "moved"
        assert (await gate.mend(hold, how="resume", record=seen + b" ", epoch=epoch)).code == "moved"
        assert (await gate.read(hold)).hold.attempt == "died"
        assert (await gate.mend(hold, how="resume", record=seen, epoch=epoch)).code == "resumed"
        assert (await gate.mend(hold, how="resume", record=seen, epoch=epoch)).code == "moved"


async def test_a_hold_whose_order_stands_is_confirmed(pg, valkey):
    """Valkey came back as it was before the confirmation, which nobody would repeat."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        kept = {key: await valkey.dump(key) for key in gate_keys(pool).all}
        assert (await world.order(buyer, hold)).status_code == 201
        await world.settle_all()
        await go_back(valkey, kept)
        watch = Watch()
        mender = reconciler(world, watch)
        assert await mender.look_through() == 0
        watch.now_s += RIPE_S
        assert await mender.look_through() == 1
        assert ((await world.gate(pool)).held, (await world.gate(pool)).sold) == (0, 1)
        await world.check(pool)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_at_full_load_without_faults_nothing_is_mended(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(200_000)  # ordinary stock: nobody comes to a limit
        buyers, mender = await world.buyers(64), reconciler(world)
        until_s = clock.monotonic_s() + LOAD_S
        orders = 0

        async def buy_on(buyer) -> None:
            nonlocal orders
            while clock.monotonic_s() < until_s:
                answer = await world.order(buyer, await world.held(buyer, pool))
                assert answer.status_code == 201, answer.text
                orders += 1

        buying = asyncio.gather(*(buy_on(buyer) for buyer in buyers))
        mended = 0
        while not buying.done():
            mended += await mender.look_through()
        await buying
        assert (mended, orders > 1000) == (0, True)
        await world.settle_all()
        await world.check(pool)
