"""Coupons over HTTP: what they take off, who may use them and how often, what a buyer is told, what the books say."""

import asyncio
import functools
from collections import Counter

import pytest

from app import clock
from app.accounts.throttle import COUPON_ACCOUNT
from app.checkout.settle import settle
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_payments_that_fail import Died, DyingProvider, RefusingProvider
from tests.storage.test_refunds import balances, refund, shop_does


async def coupon(world, code: str, **rules) -> dict:
    """A running coupon; without rules ten percent off for everybody."""
    rules = rules if "amount_minor" in rules else {"percent_off": 10, **rules}
    answer = await world.host.post(f"/api/shops/{world.shop}/coupons", {"code": code, **rules})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def order(buyer, hold: str, code: str | None, *, key=None, method="works", **more):
    body = {"hold": hold, "method": method, "coupon": code, **more}
    return await buyer.post("/api/orders", body, headers={"Idempotency-Key": key or clock.new_id()})


async def quote(world, buyer, hold: str, code: str | None, **more):
    body = {"holds": [hold], "coupon": code, **more}
    return await buyer.post(f"/api/shops/{world.shop}/quotes", body)


async def uses(pg, made: dict) -> int:
    """How many uses are counted, by the coupon and, which must be the same, by the orders that stand on one."""
    counted, standing = await pg.fetchrow(
        """SELECT c.used, (SELECT count(*) FROM payment_coupons p JOIN orders o ON o.id = p.attempt_id
                            WHERE p.coupon_id = c.id AND p.counted_at IS NOT NULL AND p.returned_at IS NULL)
             FROM coupons c WHERE c.id = $1""",
        made["id"],
    )
    assert counted == standing
    return counted


async def test_a_code_lowers_what_is_shown_paid_and_booked(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await coupon(world, "ten-off", cap_minor=100)
        assert (made["code"], made["used"], made["state"]) == ("TEN-OFF", 0, "running")
        hold = await world.held(buyer, pool, 2)
        shown = (await quote(world, buyer, hold, "Ten-Off")).json()
        assert (shown["goods_minor"], shown["discount_minor"], shown["totals"]["total_minor"]) == (1200, 100, 1100)
        answer = await order(buyer, hold, "ten-off")
        assert answer.status_code == 201, answer.text
        bought = answer.json()
        assert (bought["total_minor"], bought["charges"]["discount_minor"]) == (1100, 100)
        assert [line["discount_minor"] for line in bought["lines"]] == [100]
        await world.settle_all()
        one = bought["id"]
        read = (await buyer.get(f"/api/orders/{one}")).json()
        assert (read["state"], read["lines"], read["charges"]) == ("paid", bought["lines"], bought["charges"])
        assert await pg.fetchval("SELECT amount_minor FROM simulated_payments WHERE attempt_id = $1", one) == 1100
        assert await balances(pg, one) == {"captured": 1100, "owed": -1200, "discount": 100}
        assert await uses(pg, made) == 1
        await world.check(pool)


async def test_its_share_goes_back_with_a_refund_and_never_more_than_was_paid(pg, valkey):
    async with open_world(pg, valkey) as world:
        (_, one_pool), (_, other_pool) = (
            await world.variant(5, price_minor=999),
            await world.variant(5, price_minor=334),
        )
        buyer = await world.buyer()
        await coupon(world, "THREE", amount_minor=100)
        holds = [await world.held(buyer, one_pool), await world.held(buyer, other_pool, 2)]
        bought = (await order(buyer, holds[0], "THREE", more=holds[1:])).json()
        shares = [line["discount_minor"] for line in bought["lines"]]
        assert (bought["total_minor"], shares, sum(shares)) == (1567, [60, 40], 100)
        await world.settle_all()
        assert problem(await refund(world, bought["id"], 1568)) == (422, "refund_too_large")
        for line, share in zip(bought["lines"], shares, strict=True):
            worth = line["quantity"] * line["unit_price_minor"] - share
            assert (await refund(world, bought["id"], worth)).status_code == 201
            await world.settle_all()
        await world.settle_all()
        assert (await buyer.get(f"/api/orders/{bought['id']}")).json()["state"] == "refunded"
        assert await balances(pg, bought["id"]) == {}


async def test_a_sale_price_comes_first_and_shipping_and_tax_after(pg, valkey):
    async with open_world(pg, valkey) as world:
        conditions = {"version": 0, "prices_include_tax": False, "return_policy": "", "tax": [], "shipping": []}
        conditions["tax"] = [{"country": "DE", "rate_bp": 1900}]
        conditions["shipping"] = [{"id": "post", "name": "Post", "price_minor": 500, "free_from_minor": 1100}]
        answer = await world.host.ask("PUT", f"/api/shops/{world.shop}/conditions", conditions)
        assert answer.status_code == 200, answer.text
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        await coupon(world, "TEN")
        hold = await world.held(buyer, pool, 2)  # of 1000 each, on sale for 600
        shown = (await quote(world, buyer, hold, "TEN", country="DE")).json()
        # 1200 - 120, below 1100: 500 to ship, and 19 % of 1580
        assert shown["ways"] == [{"id": "post", "name": "Post", "price_minor": 500}]
        assert shown["totals"]["total_minor"] == 1880
        home = {"name": "Ada", "street": "Weg 1", "city": "Ulm", "postal_code": "89073", "country": "DE"}
        old = {"total_minor": 1428, "shipping": "post"}
        refused = await order(buyer, hold, "TEN", ship_to=home, agreed=old)
        assert (problem(refused), refused.json()["details"]["total_minor"]) == ((409, "total_changed"), 1880)
        bought = await order(buyer, hold, "TEN", ship_to=home, agreed=old | {"total_minor": 1880})
        assert bought.status_code == 201, bought.text
        await world.settle_all()
        assert await balances(pg, bought.json()["id"]) == {
            "captured": 1880,
            "owed": -1200,
            "discount": 120,
            "shipping": -500,
            "tax": -300,
        }


async def test_each_refusal_names_the_rule_and_leaves_the_hold(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        pool, buyer = (await world.sale(20, per_buyer_limit=20))["pool"], await world.buyer()
        soon = clock.now_ms() + 3_600_000
        await coupon(world, "EARLY", starts_at_ms=soon)
        expired = await coupon(world, "EXPIRED", ends_at_ms=soon)
        await pg.execute(
            "UPDATE coupons SET starts_at = now() - interval '2 h', ends_at = now() WHERE id = $1", expired["id"]
        )
        ended = await coupon(world, "ENDED")
        for _ in range(2):
            gone = await world.host.post(f"/api/shops/{world.shop}/coupons/{ended['id']}/end")
            assert gone.json()["state"] == "over"
        await coupon(world, "LARGE", minimum_minor=601)
        await coupon(world, "ONCE", once_per_buyer=True)
        await coupon(world, "ONLY1", uses_max=1)
        await coupon(world, "FIRST", audience="first_time")
        await coupon(world, "HERE", show=world.show)
        await coupon(elsewhere, "THEIRS")
        other_show = clock.new_id()
        await pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'Then')", other_show, world.shop)
        await coupon(world, "THERE", show=other_show)
        for code in ("FIRST", "ONCE", "ONLY1", "HERE"):
            bought = await order(buyer, await world.held(buyer, pool), code)
            assert (bought.status_code, bought.json()["total_minor"]) == (201, 540), code
        refusals = {
            "EARLY": (409, "coupon_early"),
            "EXPIRED": (409, "coupon_expired"),
            "ENDED": (409, "coupon_expired"),
            "LARGE": (409, "coupon_minimum"),
            "ONCE": (409, "coupon_used"),
            "ONLY1": (409, "coupon_used_up"),
            "FIRST": (409, "coupon_audience"),
            "THERE": (409, "coupon_show"),
            "THEIRS": (404, "coupon_unknown"),
        }
        hold = await world.held(buyer, pool)
        for code, refused in refusals.items():
            assert problem(await quote(world, buyer, hold, code)) == refused, code
            assert problem(await order(buyer, hold, code)) == refused, code
            now = {"pool": pool, "quantity": 1, "method": "works", "coupon": code}
            answer = await buyer.post("/api/buy-now", now, headers={"Idempotency-Key": clock.new_id()})
            assert problem(answer) == refused, code
        assert (await order(buyer, hold, None)).json()["total_minor"] == 600
        await world.settle_all()
        await world.check(pool)


async def test_a_retry_gets_the_same_order_and_another_code_is_another_request(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made, _ = await coupon(world, "ONE", once_per_buyer=True), await coupon(world, "TWO")
        hold, key = await world.held(buyer, pool), clock.new_id()
        first = await order(buyer, hold, "ONE", key=key)
        assert (await order(buyer, hold, "one", key=key)).json() == first.json()
        for other in ("TWO", None):
            assert problem(await order(buyer, hold, other, key=key)) == (422, "idempotency_mismatch")
        now = {"pool": pool, "quantity": 1, "method": "works", "coupon": "TWO"}
        bought = [await buyer.post("/api/buy-now", now, headers={"Idempotency-Key": "now"}) for _ in range(2)]
        assert [one.status_code for one in bought] == [201, 201]
        assert len({one.json()["id"] for one in bought}) == 1
        assert bought[0].json()["total_minor"] == 540
        assert await uses(pg, made) == 1
        await world.settle_all()
        await world.check(pool)


@pytest.mark.parametrize("how", ["cancelled before capture", "cancelled after capture", "capture refused"])
async def test_an_order_that_does_not_stand_gives_its_use_back_once(pg, valkey, how):
    provider = RefusingProvider(pg, silence_s=0) if how == "capture refused" else None
    async with open_world(pg, valkey, provider=provider) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await coupon(world, "ONE", once_per_buyer=True, uses_max=1)
        if how == "cancelled before capture":
            await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT 'infinity'")
        try:
            bought = (await order(buyer, await world.held(buyer, pool), "ONE")).json()
            if how == "cancelled after capture":
                await world.settle_all()
            if provider is None:
                for _ in range(2):
                    assert (await buyer.post(f"/api/orders/{bought['id']}/cancel")).status_code == 200
        finally:
            await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT now()")
        for _ in range(3):
            await world.settle_all()
        assert await uses(pg, made) == 0
        assert await balances(pg, bought["id"]) == {}
        assert (await order(buyer, await world.held(buyer, pool), "ONE")).status_code == 201
        await world.checkout.outbox.close()


async def test_a_refund_and_a_shipped_order_keep_the_use(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await coupon(world, "ONE", once_per_buyer=True)
        bought = (await order(buyer, await world.held(buyer, pool), "ONE")).json()["id"]
        await world.settle_all()
        assert (await shop_does(world, bought, "ship")).status_code == 200
        assert problem(await buyer.post(f"/api/orders/{bought}/cancel")) == (409, "order_state")
        assert (await refund(world, bought, 540)).status_code == 201
        for _ in range(2):
            await world.settle_all()
        assert (await buyer.get(f"/api/orders/{bought}")).json()["state"] == "refunded"
        assert await uses(pg, made) == 1
        assert problem(await order(buyer, await world.held(buyer, pool), "ONE")) == (409, "coupon_used")


async def test_a_declined_payment_takes_no_use(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await coupon(world, "ONE", uses_max=1, once_per_buyer=True)
        refused = await order(buyer, await world.held(buyer, pool), "ONE", method="declines")
        assert problem(refused) == (402, "payment_declined")
        assert await uses(pg, made) == 0
        assert (await order(buyer, await world.held(buyer, pool), "ONE")).status_code == 201
        assert await uses(pg, made) == 1


async def test_a_payment_that_a_crash_left_behind_keeps_its_coupon(pg, valkey):
    """Settled as if it had none, it took no use."""
    async with open_world(pg, valkey, provider=DyingProvider(pg, after=True), settle_after_s=0) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await coupon(world, "ONE", uses_max=1)
        hold, key = await world.held(buyer, pool), clock.new_id()
        with pytest.raises(Died):
            await order(buyer, hold, "ONE", key=key)
        await settle(world.checkout)
        settled = await order(buyer, hold, "ONE", key=key)
        assert (settled.status_code, settled.json()["total_minor"]) == (201, 540)
        assert await uses(pg, made) == 1
        await world.settle_all()
        await world.check(pool)


@pytest.mark.parametrize("rule", ["first 5", "once per buyer"])
async def test_a_stampede_on_one_code_takes_as_many_uses_as_there_are(pg, valkey, rule):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(60, per_buyer_limit=60))["pool"]
        made = await coupon(world, "RUN", **({"uses_max": 5} if rule == "first 5" else {"once_per_buyer": True}))
        buyers = await world.buyers(30 if rule == "first 5" else 3)
        holds = [(buyers[n % len(buyers)], await world.held(buyers[n % len(buyers)], pool)) for n in range(30)]
        answers = await asyncio.gather(*(order(buyer, hold, "RUN") for buyer, hold in holds))
        codes = Counter("order" if one.status_code == 201 else problem(one)[1] for one in answers)
        sold = 5 if rule == "first 5" else 3
        refused = "coupon_used_up" if rule == "first 5" else "coupon_used"
        assert codes == {"order": sold, refused: 30 - sold}
        assert await uses(pg, made) == sold
        for _ in range(2):
            await world.settle_all()
        await world.check(pool)  # who was refused after the provider said yes has the money, and the shop the unit
        assert (await world.gate(pool)).sold == sold


async def test_a_cart_is_ordered_with_a_code_too(pg, valkey):
    async with open_world(pg, valkey) as world:
        (_, one), (_, other) = await world.variant(5, price_minor=700), await world.variant(5, price_minor=300)
        buyer, cart = await world.buyer(), f"/api/shops/{world.shop}/cart"
        made = await coupon(world, "HERE", show=world.show, once_per_buyer=True)
        for pool, more in ((one, {"show": world.show}), (other, {})):
            assert (await buyer.ask("PUT", f"{cart}/{pool}", {"quantity": 1, **more})).status_code == 200
        quoted = (await buyer.post(f"{cart}/quotes", {"coupon": "here"})).json()
        assert (quoted["discount_minor"], quoted["totals"]["total_minor"]) == (100, 900)
        wish = {"method": "works", "coupon": "HERE", "agreed": {"total_minor": 1000}}
        old = await buyer.post(f"{cart}/order", wish, headers={"Idempotency-Key": "old"})
        assert problem(old) == (409, "total_changed")
        wish["agreed"]["total_minor"] = 900
        bought = await buyer.post(f"{cart}/order", wish, headers={"Idempotency-Key": "new"})
        assert bought.status_code == 201, bought.text
        assert sorted(line["discount_minor"] for line in bought.json()["lines"]) == [30, 70]
        assert await uses(pg, made) == 1
        await world.settle_all()
        for pool in (one, other):
            await world.check(pool)


async def test_guessing_codes_is_slowed_down_and_a_right_one_is_no_guess(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, (buyer, other) = (await world.sale(5))["pool"], await world.buyers(2)
        await coupon(world, "RIGHT")
        hold, theirs = await world.held(buyer, pool), await world.held(other, pool)
        for _ in range(COUPON_ACCOUNT.tries + 2):
            assert (await quote(world, buyer, hold, "RIGHT")).status_code == 200
        for n in range(COUPON_ACCOUNT.tries):
            assert problem(await quote(world, buyer, hold, f"GUESS{n}")) == (404, "coupon_unknown")
        for ask in (functools.partial(quote, world), order):
            for code in ("GUESS", "RIGHT"):
                refused = await ask(buyer, hold, code)
                assert problem(refused) == (429, "too_many_tries")
                assert refused.headers["retry-after"]
        assert (await order(buyer, hold, None)).status_code == 201  # without a code nobody is slowed down
        assert (await order(other, theirs, "RIGHT")).status_code == 201


async def test_a_coupon_that_makes_no_sense_is_refused(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        await coupon(world, "TAKEN")
        path, soon = f"/api/shops/{world.shop}/coupons", clock.now_ms() + 60_000
        good = {"code": "GOOD", "percent_off": 10}
        bad = [
            {"code": "AB"},
            {"code": "4242424242424242"},
            {"code": "A\x00B"},
            {"code": "A B"},
            {"percent_off": None},
            {"amount_minor": 5},
            {"percent_off": 0},
            {"percent_off": 100},
            {"percent_off": 1.5},
            {"percent_off": True},
            {"percent_off": None, "amount_minor": 0},
            {"percent_off": None, "amount_minor": 10**12 + 1},
            {"percent_off": None, "amount_minor": 5, "cap_minor": 5},
            {"cap_minor": 0},
            {"minimum_minor": -1},
            {"uses_max": 0},
            {"uses_max": "5"},
            {"audience": "friends"},
            {"ends_at_ms": clock.now_ms() - 1},
            {"starts_at_ms": soon, "ends_at_ms": soon},
        ]
        for change in bad:
            assert problem(await world.host.post(path, good | change)) == (400, "malformed"), change
        assert problem(await world.host.post(path, good | {"show": elsewhere.show})) == (400, "unknown_show")
        assert problem(await world.host.post(path, good | {"code": "taken"})) == (409, "coupon_taken")
        assert problem(await world.host.post(path, good | {"price": 1})) == (400, "unknown_field")
        first = await coupon(world, "FIRST", audience="first_time")
        assert first["once_per_buyer"] is True
        assert problem(await elsewhere.host.post(f"{path}/{first['id']}/end")) == (404, "not_found")
        theirs = f"/api/shops/{elsewhere.shop}/coupons/{first['id']}/end"
        assert problem(await elsewhere.host.post(theirs)) == (404, "not_found")
        listed = (await world.host.get(path)).json()["coupons"]
        assert [one["code"] for one in listed] == ["FIRST", "TAKEN"]


async def test_a_discount_never_takes_all_and_no_body_names_it(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(3, price_minor=300)
        buyer = await world.buyer()
        await coupon(world, "BIG", amount_minor=10**12)
        hold = await world.held(buyer, pool)
        assert problem(await order(buyer, hold, "BIG", discount_minor=300)) == (400, "unknown_field")
        bought = (await order(buyer, hold, "BIG")).json()
        assert (bought["total_minor"], bought["charges"]["discount_minor"]) == (1, 299)


async def test_an_order_without_a_coupon_asks_nothing_about_coupons(pg, valkey):
    """Not one statement, not one row more: what there is for coupons is not even called."""
    async with open_world(pg, valkey) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        await pg.execute("ALTER TABLE payment_coupons RENAME TO hidden")
        await pg.execute("ALTER TABLE coupons RENAME TO hidden_too")
        try:
            assert (await world.order(buyer, await world.held(buyer, pool))).status_code == 201
            assert (await world.buy_now(buyer, pool)).status_code == 201
        finally:
            await pg.execute("ALTER TABLE hidden RENAME TO payment_coupons")
            await pg.execute("ALTER TABLE hidden_too RENAME TO coupons")
        await world.settle_all()
        await world.check(pool)
