"""Carts: several things of one shop in one order, held where it matters, bought whole or not at all."""

import asyncio

import pytest

from app import clock
from app.checkout import cart_store
from app.checkout.key_holds import TRIES_FOUND_MAX
from app.flash_sales.line_rounds import serve_lines
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_conditions import ALL, HOME, agreed, ask
from tests.storage.test_lines import holds, joined, let_go
from tests.storage.test_refunds import balances
from tests.storage.test_sale_changes import act
from tests.storage.test_waiting_room import admission, far, hot_sale


async def put(world, buyer, pool: str, quantity=1, **said):
    return await buyer.ask("PUT", f"/api/shops/{world.shop}/cart/{pool}", {"quantity": quantity, **said})


async def cart(world, buyer) -> dict:
    answer = await buyer.get(f"/api/shops/{world.shop}/cart")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def order(world, buyer, total: int, *, key=None, method="works", shipping="", policy=0, **said):
    headers = {"Idempotency-Key": key or clock.new_id()}
    body = {"method": method, "agreed": agreed(total, shipping, policy), **said}
    return await buyer.post(f"/api/shops/{world.shop}/cart/order", body, headers=headers)


async def test_several_things_of_a_sale_and_of_ordinary_stock_are_one_order(pg, valkey):
    async with open_world(pg, valkey) as world:
        await ask(world, ALL)
        sale, (_, plain) = (await world.sale(5))["pool"], await world.variant(9)
        buyer = await world.buyer()
        assert (await put(world, buyer, sale, 2)).status_code == 200
        full = await put(world, buyer, plain, 3, show=world.show)
        assert full.status_code == 200, full.text
        of_sale, ordinary = full.json()["items"]
        assert (of_sale["price_minor"], of_sale["quantity"], of_sale["left"]) == (600, 2, 3)
        assert 0 < of_sale["held_ms"] <= 120_000
        assert (ordinary["price_minor"], ordinary["held_ms"], "hold" in ordinary) == (1000, 0, True)
        assert full.json()["goods_minor"] == 4200
        quote = await buyer.post(f"/api/shops/{world.shop}/cart/quotes", {"country": "DE"})
        assert quote.json()["totals"]["total_minor"] == 4699
        made = await order(world, buyer, 4699, shipping="post", policy=1, ship_to=HOME)
        assert made.status_code == 201, made.text
        assert [(line["quantity"], line["unit_price_minor"]) for line in made.json()["lines"]] == [(2, 600), (3, 1000)]
        await world.settle_all()
        assert (await balances(pg, made.json()["id"]))["captured"] == 4699
        assert (await cart(world, buyer))["items"] == []
        assert problem(await order(world, buyer, 4699, shipping="post", policy=1, ship_to=HOME)) == (409, "cart_empty")
        for pool in (sale, plain):
            assert await world.live_holds(pool) == []
            await world.check(pool)


async def test_the_same_key_gives_the_same_order_also_when_the_cart_is_empty_by_then(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        buyer = await world.buyer()
        await put(world, buyer, pool, 2)
        answers = await asyncio.gather(*(order(world, buyer, 2000, key="once") for _ in range(4)))
        good = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        assert {problem(one)[1] for one in answers if one.status_code != 201} <= {"in_progress", "payment_pending"}
        assert (await cart(world, buyer))["items"] == []
        later = await order(world, buyer, 2000, key="once")
        assert {later.json()["id"]} | good == {later.json()["id"]}
        assert problem(await order(world, buyer, 1999, key="once")) == (422, "idempotency_mismatch")
        assert await pg.fetchval("SELECT count(*) FROM orders WHERE account_id = $1", buyer.account) == 1
        await world.settle_all()
        await world.check(pool)


async def test_orders_of_a_cart_of_ordinary_stock_from_several_windows_at_once_buy_it_once(pg, valkey):
    """Each window took holds of its own, and each of them could have been paid for."""
    async with open_world(pg, valkey) as world:
        pools = [(await world.variant(9))[1] for _ in range(2)]
        buyer = await world.buyer()
        for pool in pools:
            await put(world, buyer, pool)
        answers = await asyncio.gather(*(order(world, buyer, 2000) for _ in range(6)))
        made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        assert len(made) == 1
        codes = {problem(answer)[1] for answer in answers if answer.status_code != 201}
        assert codes <= {"in_progress", "payment_pending", "cart_empty"}
        await world.settle_all()
        for pool in pools:
            assert await pg.fetchval("SELECT sum(quantity) FROM order_lines WHERE pool_id = $1", pool) == 1
            assert await world.live_holds(pool) == []
            await world.check(pool)


async def test_two_orders_of_one_cart_buy_it_once(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        sale = (await world.sale(5))["pool"]
        buyer = await world.buyer()
        await put(world, buyer, sale)
        await put(world, buyer, pool)
        await asyncio.gather(*(order(world, buyer, 1600) for _ in range(5)))
        await world.settle_all()
        assert await pg.fetchval("SELECT sum(quantity) FROM order_lines WHERE pool_id = $1", sale) == 1
        await world.check(sale)
        await world.check(pool)


async def test_what_is_not_there_any_more_costs_the_others_nothing(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, first = await world.variant(9)
        _, scarce = await world.variant(1)
        buyer, faster = await world.buyer(), await world.buyer()
        await put(world, buyer, first, 2)
        await put(world, buyer, scarce)
        assert (await world.buy_now(faster, scarce)).status_code == 201
        await world.settle_all()
        refused = await order(world, buyer, 3000)
        assert problem(refused) == (409, "sold_out")
        assert refused.json()["details"] == {"pool": scarce}
        assert await world.live_holds(first) == []
        assert len((await cart(world, buyer))["items"]) == 2
        await buyer.ask("DELETE", f"/api/shops/{world.shop}/cart/{scarce}")
        assert (await order(world, buyer, 2000)).status_code == 201
        await world.settle_all()
        await world.check(first)


async def test_a_refused_order_of_a_cart_is_judged_anew_under_the_same_key(pg, valkey):
    """What its first item had been held by was over: the key was answered `hold_ended` from then on."""
    async with open_world(pg, valkey) as world:
        _, first = await world.variant(9)
        _, scarce = await world.variant(1)
        buyer, faster = await world.buyer(), await world.buyer()
        await put(world, buyer, first, 2)
        await put(world, buyer, scarce)
        bought = (await world.buy_now(faster, scarce)).json()["id"]
        await world.settle_all()
        for _ in range(3):
            assert problem(await order(world, buyer, 3000, key="k")) == (409, "sold_out")
            assert await world.live_holds(first) == []
        assert (await faster.post(f"/api/orders/{bought}/cancel")).status_code == 200
        await world.settle_all()
        made = await order(world, buyer, 3000, key="k")
        assert made.status_code == 201, made.text
        assert (await order(world, buyer, 3000, key="k")).json()["id"] == made.json()["id"]
        await world.settle_all()
        assert (await world.pool_row(first))["sold"] == 2
        await world.check(first)
        await world.check(scarce)


async def test_tries_without_end_under_one_key_still_hold_one_thing_at_a_time(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(1)
        buyer = await world.buyer()
        await put(world, buyer, pool)
        for _ in range(TRIES_FOUND_MAX + 2):
            assert problem(await order(world, buyer, 999, key="k")) == (409, "total_changed")
            assert await world.live_holds(pool) == []
        assert (await order(world, buyer, 1000, key="k")).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_a_price_that_changed_is_shown_before_it_is_paid(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, pool = await world.variant(9)
        buyer = await world.buyer()
        await put(world, buyer, pool, 2)
        await pg.execute("UPDATE variants SET price_minor = 1100 WHERE id = $1", variant)
        await world.sales.gate.sync(pool)
        refused = await order(world, buyer, 2000)
        assert problem(refused) == (409, "total_changed")
        assert refused.json()["details"]["total_minor"] == 2200
        assert await world.live_holds(pool) == []
        assert (await cart(world, buyer))["goods_minor"] == 2200
        assert (await order(world, buyer, 2200)).status_code == 201


async def test_units_of_a_sale_are_given_back_with_their_item_and_the_limit_counts_what_is_in_the_cart(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(9, per_buyer_limit=3))["pool"]
        buyer = await world.buyer()
        assert (await put(world, buyer, pool, 3)).status_code == 200
        assert problem(await world.take(buyer, pool)) == (409, "over_limit")
        assert (await put(world, buyer, pool, 2)).status_code == 200
        assert [one.quantity for one in await world.live_holds(pool)] == [2]
        same = (await put(world, buyer, pool, 2)).json()["items"][0]["hold"]
        assert same == (await cart(world, buyer))["items"][0]["hold"]
        assert problem(await put(world, buyer, pool, 4)) == (409, "over_limit")
        left = await buyer.ask("DELETE", f"/api/shops/{world.shop}/cart/{pool}")
        assert left.json()["items"] == []
        assert await world.live_holds(pool) == []
        assert (await buyer.ask("DELETE", f"/api/shops/{world.shop}/cart/{pool}")).status_code == 200


async def test_how_many_of_a_hot_sale_is_changed_and_costs_neither_the_units_nor_the_admission(pg, valkey):
    """The hold was given back and taken anew, to which nobody is admitted twice: the unit and the turn were lost."""
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 3)
        pool, buyer = sale["pool"], await world.buyer()
        await joined(world, buyer, pool)
        await act(world, sale, "start")
        await serve_lines(world.sales)
        first = await put(world, buyer, pool, show=world.show, admission=await admission(buyer))
        hold = first.json()["items"][0]["hold"]
        for quantity in (2, 1, 2, 2):
            (item,) = (await put(world, buyer, pool, quantity, show=world.show)).json()["items"]
            assert (item["hold"], item["quantity"]) == (hold, quantity)
            assert ((await world.gate(pool)).left, (await world.gate(pool)).held) == (3 - quantity, quantity)
        assert problem(await put(world, buyer, pool, 3, show=world.show)) == (409, "over_limit")
        assert [(one["hold"], one["quantity"]) for one in (await cart(world, buyer))["items"]] == [(hold, 2)]
        made = await order(world, buyer, 1200)
        assert made.status_code == 201, made.text
        await world.settle_all()
        await world.check(pool)


async def test_what_a_cart_has_is_not_lost_to_the_wish_for_more_nor_held_any_longer_by_it(pg, valkey):
    """Two were wanted and one was left: the wish was refused, and the one that the cart had went to somebody else."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        buyer, other, waiting = await world.buyers(3)
        await put(world, buyer, pool, 2)
        (before,) = await world.live_holds(pool)
        theirs = await world.held(other, pool)
        assert problem(await put(world, buyer, pool, 3)) == (409, "all_held")
        await joined(world, waiting, pool)
        await serve_lines(world.sales)
        await let_go(other, theirs)
        assert problem(await put(world, buyer, pool, 3)) == (409, "all_held")  # somebody waits for that one
        await serve_lines(world.sales)
        assert len(await holds(waiting)) == 1
        assert (await put(world, buyer, pool, 1)).status_code == 200
        (after,) = [one for one in await world.live_holds(pool) if one.person == buyer.account]
        assert (after.id, after.quantity, after.expires_at_ms) == (before.id, 1, before.expires_at_ms)
        assert (await world.gate(pool)).left == 1


async def test_units_of_a_network_are_counted_as_what_a_cart_has_grows_and_shrinks(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=3, per_buyer_limit=9))["pool"]
        first, second = (far(one, world.app, "198.51.100.7") for one in await world.buyers(2))
        await put(world, first, pool, 2)
        assert (await put(world, second, pool, 1)).status_code == 200
        assert problem(await put(world, second, pool, 2)) == (409, "address_limit")
        assert (await put(world, first, pool, 1)).status_code == 200
        assert (await put(world, second, pool, 2)).status_code == 200
        assert problem(await put(world, first, pool, 2)) == (409, "address_limit")
        assert await valkey.hvals(f"{{pool:{pool}}}:networks") == [b"3"]
        for one in (first, second):
            assert (await one.ask("DELETE", f"/api/shops/{world.shop}/cart/{pool}")).status_code == 200
        assert await valkey.hgetall(f"{{pool:{pool}}}:networks") == {}


async def test_a_declined_payment_leaves_the_cart_as_it_was(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale, (_, plain) = (await world.sale(5))["pool"], await world.variant(9)
        buyer = await world.buyer()
        await put(world, buyer, sale)
        await put(world, buyer, plain)
        assert problem(await order(world, buyer, 1600, method="declines")) == (402, "payment_declined")
        await world.settle_all()
        assert (await cart(world, buyer))["goods_minor"] == 1600
        assert (await order(world, buyer, 1600)).status_code == 201
        await world.settle_all()
        await world.check(sale)
        await world.check(plain)


async def test_a_cart_is_of_one_person_and_of_one_shop(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        _, pool = await world.variant(9)
        _, foreign = await elsewhere.variant(9)
        buyer, other = await world.buyer(), await world.buyer()
        await put(world, buyer, pool)
        assert (await cart(world, other))["items"] == []
        assert problem(await put(world, buyer, foreign)) == (404, "not_found")
        assert problem(await put(world, buyer, "nothing")) == (404, "not_found")
        assert problem(await buyer.get("/api/shops/nothing/cart")) == (404, "not_found")
        await buyer.ask("DELETE", f"/api/shops/{elsewhere.shop}/cart/{pool}")
        assert len((await cart(world, buyer))["items"]) == 1


@pytest.mark.parametrize("quantity", [0, -1, 100, 10**12, 10**30, 1.0, True, "1", None, [1]])
async def test_quantities_that_are_none_are_refused(pg, valkey, quantity):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        buyer = await world.buyer()
        assert problem(await put(world, buyer, pool, quantity)) == (400, "malformed")


@pytest.mark.parametrize(
    "change",
    [
        {"agreed": None},
        {"agreed": {"total_minor": -1}},
        {"agreed": {"total_minor": 10**12 + 1}},
        {"agreed": {"total_minor": 10.0}},
        {"agreed": {"total_minor": True}},
        {"agreed": {"total_minor": 1, "policy": -1}},
        {"agreed": {"total_minor": 1, "currency": "EUR"}},
        {"price_minor": 1},
        {"ship_to": {**HOME, "country": "Germany"}},
    ],
)
async def test_an_order_of_a_cart_that_makes_no_sense_is_refused(pg, valkey, change):
    async with open_world(pg, valkey) as world:
        buyer = await world.buyer()
        assert problem(await order(world, buyer, 1000, **change)) in {(400, "malformed"), (400, "unknown_field")}
        strange = {**HOME, "street": "Main\u202estreet"}
        assert problem(await order(world, buyer, 1000, ship_to=strange)) == (400, "address_invalid")


async def test_more_than_any_order_may_cost_is_refused_before_anybody_is_asked_for_it(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(99, price_minor=10**12)
        buyer = await world.buyer()
        await put(world, buyer, pool, 99)
        assert problem(await buyer.post(f"/api/shops/{world.shop}/cart/quotes", {})) == (422, "order_invalid")
        assert problem(await order(world, buyer, 10**12)) == (422, "order_invalid")
        assert await world.live_holds(pool) == []


async def test_a_full_cart_takes_no_other_thing(pg, valkey, monkeypatch):
    monkeypatch.setattr(cart_store, "ITEMS_MAX", 2)
    async with open_world(pg, valkey) as world:
        pools = [(await world.variant(9))[1] for _ in range(2)]
        sale = (await world.sale(5))["pool"]
        buyer = await world.buyer()
        for pool in pools:
            await put(world, buyer, pool)
        assert problem(await put(world, buyer, sale)) == (409, "cart_full")
        assert await world.live_holds(sale) == []
        assert (await put(world, buyer, pools[0], 5)).status_code == 200


async def test_a_cart_that_nobody_touched_for_long_is_forgotten(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, old = await world.variant(9)
        _, new = await world.variant(9)
        buyer = await world.buyer()
        await put(world, buyer, old)
        await put(world, buyer, new)
        await pg.execute("UPDATE cart_items SET changed_at = now() - interval '31 days' WHERE pool_id = $1", old)
        await cart_store.forget_carts(pg)
        assert [item["pool"] for item in (await cart(world, buyer))["items"]] == [new]


async def test_of_two_wishes_for_more_at_once_the_network_is_counted_what_is_held(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=9, per_buyer_limit=9))["pool"]
        buyer = await world.buyer()
        place = f"/api/shops/{world.shop}/cart/{pool}"
        for quantities in ((1,), (3, 3), (5, 2), (1, 4, 2)):
            said = ({"quantity": quantity, "show": world.show} for quantity in quantities)
            answers = await asyncio.gather(*(buyer.ask("PUT", place, one) for one in said))
            assert {one.status_code for one in answers} == {200}
            held = (await world.gate(pool)).held
            assert [int(units) for units in await valkey.hvals(f"{{pool:{pool}}}:networks")] == [held]
