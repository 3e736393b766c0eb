"""Buy now: a hold and its order in one request, with every rule of both."""

import asyncio
from collections import Counter

import msgspec

from app import clock
from app.checkout.address_rules import mark_of
from app.checkout.buy_now import begin_to_buy, buy_now
from app.checkout.till import Purchase, Till
from app.checkout.views import OrderView
from app.refusal import Refusal
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world


async def test_one_request_makes_an_order_that_is_paid(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        buyer = await world.buyer()
        answer = await world.buy_now(buyer, pool, 2)
        assert answer.status_code == 201, answer.text
        order = answer.json()
        assert (order["total_minor"], order["state"]) == (1200, "authorised")
        assert order["lines"] == [{"title": "Bowl, Blue", "quantity": 2, "unit_price_minor": 600}]
        await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order['id']}")).json()["state"] == "paid"
        await world.check(pool)


async def test_300_people_who_buy_20_units_at_once_get_20_orders(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20))["pool"]
        buyers = await world.buyers(100)
        answers = await asyncio.gather(*(world.buy_now(buyers[n % 100], pool) for n in range(300)))
        codes = Counter("order" if one.status_code == 201 else problem(one)[1] for one in answers)
        assert codes["order"] == 20
        assert set(codes) <= {"order", "all_held", "sold_out"}
        await world.settle_all()
        await world.check(pool)


async def test_the_same_key_gives_the_same_order_and_with_another_body_nothing(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(9, per_buyer_limit=9))["pool"]
        _, other = await world.variant(9)
        buyer = await world.buyer()
        answers = await asyncio.gather(*(world.buy_now(buyer, pool, key="k") for _ in range(5)))
        made = {one.json()["id"] for one in answers if one.status_code == 201}
        assert len(made) == 1
        told = {problem(one) for one in answers if one.status_code != 201}
        assert told <= {(409, "in_progress"), (504, "payment_pending")}
        again = await world.buy_now(buyer, pool, key="k")
        assert (again.status_code, again.json()["id"], again.json()["state"]) == (201, *made, "authorised")
        assert problem(await world.buy_now(buyer, pool, 2, key="k")) == (422, "idempotency_mismatch")
        assert problem(await world.buy_now(buyer, pool, method="declines", key="k")) == (422, "idempotency_mismatch")
        assert problem(await world.buy_now(buyer, other, key="k")) == (422, "idempotency_mismatch")
        await world.settle_all()
        await world.check(pool)
        await world.check(other)


async def test_a_key_that_the_gate_has_forgotten_takes_no_second_unit(pg, valkey):
    """The gate keeps a key for an hour, the order a day: in between, the old order came with a new hold on top."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(9))["pool"]
        buyer = await world.buyer()
        first = await world.buy_now(buyer, pool, key="k")
        await world.settle_all()
        await valkey.flushall()
        again = await world.buy_now(buyer, pool, key="k")
        assert again.json() == first.json()
        assert await world.live_holds(pool) == []
        await world.check(pool)


async def test_a_decline_gives_the_unit_back(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        assert problem(await world.buy_now(buyer, pool, method="declines")) == (402, "payment_declined")
        assert (await world.buy_now(other, pool)).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_the_door_before_all_routes_checks_what_every_door_checks(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        body = {"pool": pool, "quantity": 1, "method": "works"}
        key = {"Idempotency-Key": clock.new_id()}

        async def ask(sent=body, **headers):
            answer = await buyer.post("/api/buy-now", sent, headers=key | headers)
            return problem(answer)

        assert await ask(**{"Idempotency-Key": None}) == (400, "idempotency_key")
        assert await ask(**{"X-CSRF-Token": None}) == (403, "csrf")
        assert await ask(**{"X-CSRF-Token": "0" * 64}) == (403, "csrf")
        assert await ask(Origin="https://evil.example") == (403, "foreign_origin")
        assert await ask(Cookie=None) == (401, "sign_in")
        assert await ask(**{"Content-Type": "text/plain"}) == (415, "content_type")
        for quantity in (0, -1, 1.5, True, "1", 10**9):
            assert (await ask(body | {"quantity": quantity}))[0] == 400
        assert await ask(body | {"price_minor": 1}) == (400, "unknown_field")
        assert problem(await buyer.get("/api/buy-now"))[0] == 405
        assert (await world.gate(pool)).left == 1


async def test_what_begins_at_once_is_what_asks_nobody_before(pg, valkey):
    """Whoever has to wait after declined payments went past that check."""
    async with open_world(pg, valkey) as world:
        pool, other = (await world.sale(9, per_buyer_limit=9))["pool"], (await world.variant(9))[1]
        till, buyer = Till(world.checkout, world.sales), await world.buyer()
        one = Purchase(buyer.account, pool, 1, "", "works", "first", "192.0.2.1")
        assert begin_to_buy(till, one) is None
        assert not isinstance(await buy_now(till, one), Refusal)
        begun = begin_to_buy(till, msgspec.structs.replace(one, key="second"))
        assert begun is not None
        (told,) = await begun
        assert isinstance(told, OrderView)
        for changed in ({"pool": other}, {"method": "nonsense"}, {"method": "card_abc"}, {"show": "elsewhere"}):
            assert begin_to_buy(till, msgspec.structs.replace(one, **changed)) is None
        world.checkout.declines._remember(mark_of(one.person), 60_000)
        assert begin_to_buy(till, msgspec.structs.replace(one, key="third")) is None
        for finish in world.checkout.before_close:
            await finish()
        await world.settle_all()
        await world.check(pool)
