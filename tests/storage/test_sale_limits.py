"""A sale's limit holds for a card and for an address too, however many accounts use them."""

import asyncio

import pytest

from app import clock
from app.checkout.settle import settle
from app.checkout.simulated import SimulatedProvider
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world

HOME = {
    "name": "Ann",
    "street": "12 Main Street, Apt 3",
    "city": "Springfield",
    "country": "US",
    "postal_code": "12345",
}
SAME = {**HOME, "name": "Bob", "street": "Apartment 3, 12 MAIN ST.", "city": "Springf.", "postal_code": "123 45"}
NEXT = {**HOME, "street": "14 Main Street"}


async def order(buyer, hold, method="works", ship_to=None, key=None):
    body = {"hold": hold, "method": method} | ({} if ship_to is None else {"ship_to": ship_to})
    return await buyer.post("/api/orders", body, headers={"Idempotency-Key": key or clock.new_id()})


@pytest.fixture
async def world(pg, valkey):
    async with open_world(pg, valkey) as made:
        yield made


async def bought(world, pool, *wants):
    """Each of as many buyers takes one unit and pays as wanted, all at once. The codes, "order" for one."""
    buyers = await world.buyers(len(wants))
    holds = [await world.held(buyer, pool) for buyer in buyers]
    answers = await asyncio.gather(
        *(order(buyer, hold, **want) for buyer, hold, want in zip(buyers, holds, wants, strict=True))
    )
    return ["order" if answer.status_code == 201 else answer.json()["code"] for answer in answers]


async def test_one_card_buys_no_more_than_one_person_may(world):
    pool = (await world.sale(20, per_buyer_limit=2))["pool"]
    codes = await bought(world, pool, *[{"method": "lent"}] * 5, {"method": "works"})
    assert sorted(codes) == ["order"] * 3 + ["over_card_limit"] * 3
    assert codes[5] == "order"
    await world.settle_all()
    await world.check(pool)


async def test_one_address_gets_no_more_than_one_person_may_however_it_is_written(world):
    pool = (await world.sale(20, per_buyer_limit=1))["pool"]
    codes = await bought(world, pool, {"ship_to": HOME}, {"ship_to": SAME}, {"ship_to": NEXT}, {})
    assert sorted(codes[:2]) == ["order", "over_address_limit"]
    assert codes[2:] == ["order", "order"]
    await world.settle_all()
    await world.check(pool)


async def test_what_was_bought_before_counts(world):
    pool = (await world.sale(20, per_buyer_limit=1))["pool"]
    assert await bought(world, pool, {"method": "lent", "ship_to": HOME}) == ["order"]
    assert await bought(world, pool, {"method": "lent"}) == ["over_card_limit"]
    assert await bought(world, pool, {"ship_to": SAME}) == ["over_address_limit"]


async def test_another_sale_and_ordinary_stock_know_nothing_of_it(world):
    first, second = (await world.sale(20, per_buyer_limit=1))["pool"], (await world.sale(20, per_buyer_limit=1))["pool"]
    _, ordinary = await world.variant(20)
    assert await bought(world, first, {"method": "lent", "ship_to": HOME}) == ["order"]
    assert await bought(world, second, {"method": "lent", "ship_to": HOME}) == ["order"]
    assert await bought(world, ordinary, *[{"method": "lent", "ship_to": HOME}] * 3) == ["order"] * 3


async def test_an_order_that_was_cancelled_counts_no_more(pg, valkey):
    class Refusing(SimulatedProvider):
        refuses = True

        async def capture(self, attempt, order_id):
            if self.refuses:
                return "declined"
            return await super().capture(attempt, order_id)

    provider = Refusing(pg, silence_s=0)
    async with open_world(pg, valkey, provider=provider) as world:
        pool = (await world.sale(20, per_buyer_limit=1))["pool"]
        assert await bought(world, pool, {"method": "lent"}) == ["order"]
        await world.settle_all()
        provider.refuses = False
        assert await bought(world, pool, {"method": "lent"}) == ["order"]
        await world.settle_all()
        await world.check(pool)


async def test_a_provider_that_does_not_name_the_card_is_asked_again(pg, valkey):
    class Silent(SimulatedProvider):
        silent = True

        async def card(self, attempt):
            return None if self.silent else await super().card(attempt)

    provider = Silent(pg, silence_s=0)
    async with open_world(pg, valkey, provider=provider, settle_after_s=0) as world:
        pool = (await world.sale(20, per_buyer_limit=1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        assert problem(await order(buyer, hold, "lent", key=key)) == (504, "payment_pending")
        provider.silent = False
        await settle(world.checkout)
        assert (await order(buyer, hold, "lent", key=key)).status_code == 201


async def test_the_host_sees_where_to_send_it_and_the_staffs_room_does_not(world):
    pool = (await world.sale(20))["pool"]
    assert await bought(world, pool, {"ship_to": HOME}) == ["order"]
    await world.settle_all()
    (listed,) = (await world.host.get(f"/api/shows/{world.show}/orders")).json()["orders"]
    assert listed["ship_to"] == {**HOME, "extra": ""}
    told = [event for room, event in world.rooms.events if room != world.show]
    assert told
    assert all(event.order.ship_to is None for event in told)


async def test_a_retry_with_another_address_is_another_request(world):
    pool = (await world.sale(20))["pool"]
    buyer, key = await world.buyer(), clock.new_id()
    hold = await world.held(buyer, pool)
    assert (await order(buyer, hold, ship_to=HOME, key=key)).status_code == 201
    assert (await order(buyer, hold, ship_to=HOME, key=key)).status_code == 201
    assert problem(await order(buyer, hold, ship_to=NEXT, key=key)) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("line", [{"name": "A\x00nn"}, {"street": "12\nMain"}, {"city": "..."}, {"country": "usa"}])
async def test_a_bad_address_is_refused_before_anybody_pays(world, line):
    pool = (await world.sale(20))["pool"]
    buyer = await world.buyer()
    hold = await world.held(buyer, pool)
    assert (await order(buyer, hold, ship_to=HOME | line)).status_code == 400
    assert await world.pg.fetchval("SELECT count(*) FROM payment_attempts WHERE hold_id = $1", hold) == 0
    assert (await order(buyer, hold, ship_to=HOME)).status_code == 201
