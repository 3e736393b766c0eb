"""Buying over HTTP: hold, pay, order, on the real Postgres and Valkey."""

import asyncio
from collections import Counter

import pytest

from app import clock
from app.checkout.settle import forget
from app.money import AMOUNT_MINOR_MAX
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world


async def test_a_hold_that_is_paid_becomes_an_order_that_is_captured(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(3)
        buyer = await world.buyer()
        taken = await world.take(buyer, sale["pool"], 2)
        assert taken.status_code == 201, taken.text
        hold = taken.json()
        assert (hold["unit_price_minor"], hold["amount_minor"], hold["currency"]) == (600, 1200, "EUR")
        assert (hold["state"], hold["show"], hold["title"]) == ("held", world.show, "Bowl, Blue")
        assert 0 < hold["expires_in_ms"] <= 120_000
        ordered = await world.order(buyer, hold["id"])
        assert ordered.status_code == 201, ordered.text
        order = ordered.json()
        assert (order["total_minor"], order["show"]) == (1200, world.show)
        assert order["lines"] == [{"title": "Bowl, Blue", "quantity": 2, "unit_price_minor": 600}]
        await world.settle_all()
        read = (await buyer.get(f"/api/orders/{order['id']}")).json()
        assert read["state"] == "paid"
        await world.check(sale["pool"])
        await world.sales.voice.drain()
        state = world.rooms.value(world.show, f"pool:{sale['pool']}")
        assert (state.left, state.held, state.sold, state.status) == (1, 0, 2, "open")
        told = [type(event).__name__ for _, event in world.rooms.events]
        assert told == ["SaleChanged", "Sold", "StaffOrder"]


@pytest.mark.parametrize("kind", ["sale", "ordinary"])
async def test_500_buyers_of_20_items_make_exactly_20_orders(pg, valkey, kind):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20))["pool"] if kind == "sale" else (await world.variant(20))[1]

        async def orders() -> int:
            return await pg.fetchval("SELECT count(*) FROM order_lines WHERE pool_id = $1", pool)

        async def buy(buyer, *, patient: bool) -> str:
            taken = await world.take(buyer, pool)
            while patient and taken.status_code != 201 and problem(taken)[1] == "all_held":
                taken = await world.take(buyer, pool)
            if taken.status_code == 201:
                ordered = await world.order(buyer, taken.json()["id"])
                assert ordered.status_code == 201, ordered.text
                return "order"
            code = problem(taken)[1]
            assert code != "sold_out" or await orders() == 20
            return code

        buyers = await world.buyers(500)
        codes = Counter(await asyncio.gather(*(buy(buyer, patient=n % 10 == 9) for n, buyer in enumerate(buyers))))
        assert codes["order"] == await orders() == 20
        assert set(codes) <= {"order", "all_held", "sold_out"}
        assert codes["sold_out"] >= 30
        assert codes["all_held"] + codes["sold_out"] == 480
        late = await world.take(buyers[0], pool)
        assert problem(late) == (409, "sold_out")
        await world.settle_all()
        assert await world.live_holds(pool) == []
        await world.check(pool)


async def test_sold_out_is_said_only_after_the_last_order(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        first, second, third = await world.buyers(3)
        holds = [await world.held(first, pool), await world.held(second, pool)]
        assert problem(await world.take(third, pool)) == (409, "all_held")
        assert (await world.order(first, holds[0])).status_code == 201
        assert problem(await world.take(third, pool)) == (409, "all_held")
        assert (await world.order(second, holds[1])).status_code == 201
        assert problem(await world.take(third, pool)) == (409, "sold_out")


async def test_five_accounts_pressing_100_times_each_stay_within_their_limit(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_buyer_limit=2))["pool"]
        buyers = await world.buyers(5)

        async def buy(buyer) -> str:
            taken = await world.take(buyer, pool)
            if taken.status_code != 201:
                return problem(taken)[1]
            ordered = await world.order(buyer, taken.json()["id"])
            assert ordered.status_code == 201, ordered.text
            return "order"

        codes = Counter(await asyncio.gather(*(buy(buyers[n % 5]) for n in range(500))))
        assert codes == {"order": 10, "over_limit": 490}
        await world.settle_all()
        await world.check(pool)


async def test_the_same_key_gives_the_same_hold_and_the_same_order(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(5))["pool"]
        buyer = await world.buyer()
        key = clock.new_id()
        first, again = await asyncio.gather(world.take(buyer, pool, key=key), world.take(buyer, pool, key=key))
        assert first.json()["id"] == again.json()["id"]
        hold = first.json()["id"]
        first = await world.order(buyer, hold, key=key)
        again = await world.order(buyer, hold, key=key)
        assert (first.status_code, first.json()) == (again.status_code, again.json())
        other_key = await world.order(buyer, hold)
        assert other_key.json()["id"] == first.json()["id"]
        await world.settle_all()
        await world.check(pool)


async def test_a_key_with_another_body_is_refused_and_changes_nothing(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(5))["pool"]
        buyer = await world.buyer()
        key = clock.new_id()
        hold = (await world.take(buyer, pool, 1, key=key)).json()["id"]
        assert problem(await world.take(buyer, pool, 2, key=key)) == (422, "idempotency_mismatch")
        assert (await world.order(buyer, hold, key=key)).status_code == 201
        assert problem(await world.order(buyer, hold, "declines", key=key)) == (422, "idempotency_mismatch")
        await world.settle_all()
        await world.check(pool)


async def test_a_declined_payment_gives_the_hold_back_at_once_and_burns_nothing(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1, per_buyer_limit=1))["pool"]
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)
        assert problem(await world.take(other, pool)) == (409, "all_held")
        key = clock.new_id()
        assert problem(await world.order(buyer, hold, "declines", key)) == (402, "payment_declined")
        assert problem(await world.order(buyer, hold, "declines", key)) == (402, "payment_declined")
        assert (await buyer.get("/api/holds")).json()["holds"] == []
        assert problem(await world.order(buyer, hold)) == (409, "hold_ended")
        theirs = await world.held(other, pool)
        assert (await other.ask("DELETE", f"/api/holds/{theirs}")).status_code == 204
        assert (await world.order(buyer, await world.held(buyer, pool))).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_signing_out_gives_back_what_is_held_but_not_what_is_being_paid(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, settle_after_s=0) as world:
        pool = (await world.sale(3))["pool"]
        buyer, other = await world.buyers(2)
        await world.held(buyer, pool)
        theirs, paying, key = await world.held(other, pool), await world.held(buyer, pool), clock.new_id()
        assert problem(await world.order(buyer, paying, "hangs", key)) == (504, "payment_pending")
        assert (await buyer.ask("DELETE", "/api/session")).status_code == 204
        gate = await world.gate(pool)
        assert (gate.left, gate.held) == (1, 2)
        assert [hint.hold for _, person, hint in world.rooms.hints if person == buyer.account] != []
        assert [one["id"] for one in (await other.get("/api/holds")).json()["holds"]] == [theirs]
        assert [record.attempt != "" for record in await world.live_holds(pool) if record.person == buyer.account] == [
            True
        ]


async def test_a_key_that_took_from_one_pool_takes_from_no_other(pg, valkey):
    """The same key with another pool in the body held units of both."""
    async with open_world(pg, valkey) as world:
        (_, one), (_, other) = await world.variant(3), await world.variant(3)
        buyer, second = await world.buyers(2)
        first = await world.take(buyer, one, key="k")
        assert problem(await world.take(buyer, other, key="k")) == (422, "idempotency_mismatch")
        assert (await world.gate(other)).left == 3
        assert (await world.take(buyer, one, key="k")).json()["id"] == first.json()["id"]
        assert (await world.take(second, other, key="k")).status_code == 201
        answers = await asyncio.gather(*(world.take(buyer, pool, key="at once") for pool in [one, other] * 4))
        assert Counter(answer.status_code for answer in answers) == {201: 4, 422: 4}
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1


async def test_who_wants_more_than_is_free_is_told_so(pg, valkey):
    """They were told that every unit was in somebody's basket, with one free and nobody holding any."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer, other = await world.buyers(2)
        assert problem(await world.take(buyer, pool, 3)) == (409, "stock_short")
        await world.held(other, pool)
        assert problem(await world.take(buyer, pool, 2)) == (409, "stock_short")
        await world.held(other, pool)
        assert problem(await world.take(buyer, pool, 1)) == (409, "all_held")


async def test_a_total_that_no_order_may_have_is_refused_and_leaves_the_hold_to_its_owner(pg, valkey):
    """The hold stayed extended and "being paid": it could neither be paid nor given back."""
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(2, price_minor=AMOUNT_MINOR_MAX)
        buyer = await world.buyer()
        hold = await world.held(buyer, pool, 2)
        before = (await world.sales.gate.read(hold)).hold
        assert problem(await world.order(buyer, hold)) == (422, "order_invalid")
        assert (await world.sales.gate.read(hold)).hold == before
        assert (await buyer.ask("DELETE", f"/api/holds/{hold}")).status_code == 204
        await world.check(pool)


async def test_a_cart_of_two_shops_or_currencies_is_refused_and_nothing_is_lost(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        for change in (None, "UPDATE shops SET currency = 'USD' WHERE id = $1"):
            if change is not None:
                await pg.execute(change, elsewhere.shop)
            (_, here), (_, there) = await world.variant(2), await elsewhere.variant(2)
            buyer = await world.buyer()
            holds = [await world.held(buyer, here), await world.held(buyer, there)]
            body = {"hold": holds[0], "more": holds[1:], "method": "works"}
            answer = await buyer.post("/api/orders", body, headers={"Idempotency-Key": clock.new_id()})
            assert problem(answer) == (422, "order_invalid")
            for hold in holds:
                assert (await buyer.ask("DELETE", f"/api/holds/{hold}")).status_code == 204
            await world.check(here)
            await world.check(there)


async def test_another_buyers_hold_and_order_are_not_there(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)
        assert problem(await world.order(other, hold)) == (404, "not_found")
        assert problem(await other.ask("DELETE", f"/api/holds/{hold}")) == (404, "not_found")
        order = (await world.order(buyer, hold)).json()["id"]
        assert problem(await other.get(f"/api/orders/{order}")) == (404, "not_found")
        assert (await other.get("/api/orders")).json()["orders"] == []
        assert problem(await world.order(other, hold)) == (404, "not_found")


@pytest.mark.parametrize(("currency", "price"), [("JPY", 500), ("KWD", 1250)])
async def test_currencies_without_and_with_three_decimals_are_counted_in_their_minor_units(pg, valkey, currency, price):
    async with open_world(pg, valkey) as world:
        await pg.execute("UPDATE shops SET currency = $2 WHERE id = $1", world.shop, currency)
        _, pool = await world.variant(3, price_minor=price)
        buyer = await world.buyer()
        order = (await world.order(buyer, await world.held(buyer, pool, 2))).json()
        assert (order["total_minor"], order["currency"]) == (2 * price, currency)
        await world.settle_all()
        books = await pg.fetchrow(
            "SELECT amount_minor, currency FROM simulated_payments WHERE attempt_id = $1", order["id"]
        )
        assert tuple(books) == (2 * price, currency)
        refund = {"amount_minor": price, "currency": currency}
        answer = await world.host.post(
            f"/api/shops/{world.shop}/orders/{order['id']}/refunds", refund, headers={"Idempotency-Key": clock.new_id()}
        )
        assert answer.status_code == 201, answer.text
        await world.settle_all()
        await world.check(pool)


async def test_a_day_of_many_orders_is_forgotten_in_one_round(pg, valkey):
    """A round forgot 1000 rows at most, once a minute: with six orders a second the tables grew for ever."""
    async with open_world(pg, valkey) as world:
        buyer = await world.buyer()
        await pg.execute(
            """INSERT INTO outbox (topic, subject, done_at)
               SELECT 'old', 'x', now() - make_interval(hours => CASE WHEN n > 2500 THEN 23 ELSE 25 END)
                 FROM generate_series(1, 2503) n"""
        )
        await pg.execute(
            """INSERT INTO payment_attempts (id, hold_id, pool_id, account_id, shop_id, variant_id, title, quantity,
                                             unit_price_minor, amount_minor, currency, method, state, hold_expires_at,
                                             idempotency_key, body_hash, created_at)
               SELECT 'old' || n, 'old' || n, 'p', $1, 's', 'v', 'Bowl', 1, 1, 1, 'EUR', 'works',
                      CASE WHEN n <= 2500 THEN 'captured' ELSE 'started' END, now(), n::text, '',
                      now() - make_interval(hours => CASE WHEN n = 2504 THEN 23 ELSE 25 END)
                 FROM generate_series(1, 2504) n""",
            buyer.account,
        )
        await forget(world.checkout)
        assert await pg.fetchval("SELECT count(*) FROM outbox WHERE topic = 'old'") == 3
        keys = "SELECT count(idempotency_key) FROM payment_attempts WHERE account_id = $1"
        assert await pg.fetchval(keys, buyer.account) == 4
        await pg.execute("DELETE FROM payment_attempts WHERE account_id = $1", buyer.account)
