"""Shops that ask something of an order: shipping, tax, a return policy. What buyers see is what they pay."""

import asyncio

import pytest

from app import clock
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_refunds import balances, refund

POST = {"id": "post", "name": "Post", "price_minor": 499, "free_from_minor": 5000}
BIKE = {"id": "bike", "name": "Bicycle", "price_minor": 900, "countries": ["DE"]}
HOME = {"name": "Ada Byron", "street": "Hauptstraße 5", "city": "Berlin", "postal_code": "10115", "country": "DE"}
NOTHING = {"version": 0, "prices_include_tax": True, "shipping": [], "tax": [], "return_policy": ""}
ALL = {
    **NOTHING,
    "shipping": [POST, BIKE],
    "tax": [{"country": "DE", "rate_bp": 1900}],
    "return_policy": "Send it back within 30 days.",
}


async def ask(world, conditions: dict, *, by=None):
    return await (by or world.host).ask("PUT", f"/api/shops/{world.shop}/conditions", conditions)


async def order(buyer, hold: str, *, key=None, method="works", **said):
    headers = {"Idempotency-Key": key or clock.new_id()}
    return await buyer.post("/api/orders", {"hold": hold, "method": method, **said}, headers=headers)


async def now(buyer, pool: str, **said):
    headers = {"Idempotency-Key": clock.new_id()}
    return await buyer.post("/api/buy-now", {"pool": pool, "quantity": 1, "method": "works", **said}, headers=headers)


def agreed(total: int, shipping="post", policy=1) -> dict:
    return {"total_minor": total, "shipping": shipping, "policy": policy}


async def test_an_order_costs_what_its_buyer_agreed_to_and_the_ledger_tells_the_parts(pg, valkey):
    async with open_world(pg, valkey) as world:
        assert (await ask(world, ALL)).status_code == 200
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        hold = await world.held(buyer, pool, 2)
        asked = {"holds": [hold], "country": "DE"}
        quote = (await buyer.post(f"/api/shops/{world.shop}/quotes", asked)).json()
        assert [(way["id"], way["price_minor"]) for way in quote["ways"]] == [("post", 499), ("bike", 900)]
        # 1200 + 499 = 1699, of which 19/119 are tax: 271.27
        assert (quote["shipping"], quote["policy_version"]) == ("post", 1)
        assert (quote["totals"]["total_minor"], quote["totals"]["tax_minor"]) == (1699, 271)
        made = await order(buyer, hold, ship_to=HOME, agreed=agreed(1699))
        assert made.status_code == 201, made.text
        charges = made.json()["charges"]
        assert (made.json()["total_minor"], charges["shipping"], charges["policy_version"]) == (1699, "Post", 1)
        await world.settle_all()
        one = made.json()["id"]
        assert await pg.fetchval("SELECT amount_minor FROM simulated_payments WHERE attempt_id = $1", one) == 1699
        assert await balances(pg, one) == {"captured": 1699, "owed": -929, "shipping": -499, "tax": -271}
        read = (await buyer.get(f"/api/orders/{one}")).json()
        assert (read["state"], read["charges"]) == ("paid", charges)
        await world.check(pool)


async def test_refunds_take_tax_and_shipping_along_and_never_exceed_all_that_was_paid(pg, valkey):
    async with open_world(pg, valkey) as world:
        await ask(world, {**ALL, "prices_include_tax": False})
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        # (600 + 499) + 19 % = 1099 + 208.81
        made = await order(buyer, await world.held(buyer, pool), ship_to=HOME, agreed=agreed(1308))
        assert made.status_code == 201, made.text
        one = made.json()["id"]
        await world.settle_all()
        assert await balances(pg, one) == {"captured": 1308, "owed": -600, "shipping": -499, "tax": -209}
        assert problem(await refund(world, one, 1309)) == (422, "refund_too_large")
        assert (await refund(world, one, 654)).status_code == 201
        await world.settle_all()
        assert await balances(pg, one) == {"captured": 654, "owed": -299, "shipping": -250, "tax": -105}
        assert problem(await refund(world, one, 655)) == (422, "refund_too_large")
        assert (await refund(world, one, 654)).status_code == 201
        await world.settle_all()
        assert await balances(pg, one) == {}


async def test_an_order_is_not_made_before_its_buyer_has_agreed_to_this_very_total(pg, valkey):
    async with open_world(pg, valkey) as world:
        await ask(world, ALL)
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        hold = await world.held(buyer, pool)
        assert problem(await order(buyer, hold)) == (409, "address_needed")
        unseen = await order(buyer, hold, ship_to=HOME)
        assert problem(unseen) == (409, "agreement_needed")
        assert unseen.json()["details"]["total_minor"] == 1099
        assert problem(await order(buyer, hold, ship_to=HOME, agreed=agreed(600))) == (409, "total_changed")
        assert problem(await order(buyer, hold, ship_to=HOME, agreed=agreed(1099, policy=0))) == (
            409,
            "policy_changed",
        )
        assert problem(await order(buyer, hold, ship_to=HOME, agreed=agreed(1099, "pigeon"))) == (
            409,
            "shipping_unknown",
        )
        abroad = {**HOME, "country": "FR"}
        assert problem(await order(buyer, hold, ship_to=abroad, agreed=agreed(1500, "bike"))) == (
            409,
            "shipping_unknown",
        )
        # The shop changes its prices between the buyer's look and the order.
        await ask(world, {**ALL, "version": 1, "shipping": [{**POST, "price_minor": 500}]})
        changed = await order(buyer, hold, ship_to=HOME, agreed=agreed(1099))
        assert problem(changed) == (409, "total_changed")
        assert changed.json()["details"]["total_minor"] == 1100
        assert await pg.fetchval("SELECT count(*) FROM payment_attempts WHERE account_id = $1", buyer.account) == 0
        # Nothing of it cost the hold.
        made = await order(buyer, hold, ship_to=HOME, agreed=agreed(1100), key="k")
        assert made.status_code == 201, made.text
        again = await order(buyer, hold, ship_to=HOME, agreed=agreed(1100), key="k")
        assert again.json()["id"] == made.json()["id"]
        other = await order(buyer, hold, ship_to=HOME, agreed=agreed(1101), key="k")
        assert problem(other) == (422, "idempotency_mismatch")


async def test_a_shop_without_conditions_sells_as_ever_and_costs_no_statement_more(pg, valkey, monkeypatch):
    monkeypatch.setattr("app.checkout.conditions.REMEMBERED_S", 3600)
    async with open_world(pg, valkey) as world:
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await order(buyer, await world.held(buyer, pool))
        assert made.status_code == 201, made.text
        assert "charges" not in made.json()
        assert await pg.fetchval("SELECT count(*) FROM payment_totals WHERE attempt_id = $1", made.json()["id"]) == 0
        # An agreement to what it costs anyway does no harm; to anything else it is refused.
        hold = await world.held(buyer, pool)
        assert problem(await order(buyer, hold, agreed=agreed(599, "", 0))) == (409, "total_changed")
        assert (await order(buyer, hold, agreed=agreed(600, "", 0))).status_code == 201
        reads = []
        world.checkout.conditions.now = reads.append
        for _ in range(3):
            assert (await world.buy_now(buyer, pool)).status_code in {201, 409}
        assert reads == []


async def test_buy_now_goes_to_the_saved_address_by_the_usual_way(pg, valkey):
    async with open_world(pg, valkey) as world:
        await ask(world, ALL)
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        assert problem(await now(buyer, pool)) == (409, "address_needed")
        first = await order(buyer, await world.held(buyer, pool), ship_to=HOME, agreed=agreed(1500, "bike"))
        assert first.status_code == 201, first.text
        saved = (await buyer.get("/api/address")).json()["ship_to"]
        assert (saved["street"], saved["country"]) == (HOME["street"], "DE")
        told = await now(buyer, pool)
        assert problem(told) == (409, "agreement_needed")
        details = told.json()["details"]
        assert (details["shipping"], details["total_minor"], details["policy"]) == ("bike", 1500, 1)
        made = await now(buyer, pool, agreed=agreed(1500, "bike"))
        assert made.status_code == 201, made.text
        sent_to = await pg.fetchval("SELECT street FROM payment_addresses WHERE attempt_id = $1", made.json()["id"])
        assert sent_to == HOME["street"]
        # What was refused gave its units back.
        await world.settle_all()
        assert await world.live_holds(pool) == []
        await world.check(pool)
        assert (await (await world.buyer()).get("/api/address")).json() == {"ship_to": None}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"shipping": [{**POST, "price_minor": -1}]}, (400, "malformed")),
        ({"shipping": [{**POST, "price_minor": 10**12 + 1}]}, (400, "malformed")),
        ({"shipping": [{**POST, "price_minor": 4.99}]}, (400, "malformed")),
        ({"shipping": [{**POST, "price_minor": True}]}, (400, "malformed")),
        ({"shipping": [{**POST, "countries": ["Germany"]}]}, (400, "malformed")),
        ({"shipping": [{**POST, "id": "Post!"}]}, (400, "malformed")),
        ({"shipping": [POST, POST]}, (422, "conditions_invalid")),
        ({"shipping": [{**POST, "name": "Po\x07st"}]}, (422, "conditions_invalid")),
        ({"shipping": [{**POST, "name": "  "}]}, (422, "conditions_invalid")),
        ({"tax": [{"country": "DE", "rate_bp": 10_001}]}, (400, "malformed")),
        ({"tax": [{"country": "DE", "rate_bp": -1}]}, (400, "malformed")),
        ({"tax": [{"country": "DE", "rate_bp": 19.0}]}, (400, "malformed")),
        ({"tax": [{"country": "DE", "rate_bp": 1}] * 2}, (422, "conditions_invalid")),
        ({"return_policy": "x" * 20_001}, (400, "malformed")),
        ({"return_policy": "bell \x07"}, (422, "conditions_invalid")),
        ({"version": 7}, (409, "conditions_changed")),
    ],
)
async def test_conditions_that_make_no_sense_are_refused(pg, valkey, change, refusal):
    async with open_world(pg, valkey) as world:
        answer = await ask(world, {**ALL, **change})
        assert problem(answer) == refusal
        assert (await world.host.get(f"/api/shops/{world.shop}/conditions")).json()["version"] == 0


async def test_of_two_hosts_who_change_the_same_conditions_one_is_told(pg, valkey):
    async with open_world(pg, valkey) as world:
        answers = await asyncio.gather(*(ask(world, ALL) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        assert (await ask(world, {**ALL, "version": 1})).json()["version"] == 2
        assert problem(await ask(world, {**ALL, "version": 1})) == (409, "conditions_changed")
        assert problem(await ask(world, ALL, by=await world.buyer()))[0] in {403, 404}


async def test_every_policy_that_was_ever_in_force_can_be_read_again(pg, valkey):
    async with open_world(pg, valkey) as world:
        versions = []
        for number, text in enumerate(["Thirty days.", "Thirty days.", "Ten days.", "", "Ten days.\r\n"]):
            answer = await ask(world, {**NOTHING, "version": number, "return_policy": text})
            versions.append(answer.json()["policy_version"])
        assert versions == [1, 1, 2, 0, 2]
        stranger = await world.buyer()
        old = await stranger.get(f"/api/shops/{world.shop}/return-policies/1")
        assert old.json() == {"version": 1, "text": "Thirty days."}
        for version in ("0", "3", "-1", "1.0", "x", "9" * 40):
            assert (await stranger.get(f"/api/shops/{world.shop}/return-policies/{version}")).status_code == 404
        assert (await stranger.get("/api/shops/nothing/conditions")).status_code == 404


async def test_a_quote_is_for_holds_of_ones_own_at_that_shop(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        await ask(world, ALL)
        pool, buyer, other = (await world.sale(5))["pool"], await world.buyer(), await world.buyer()
        hold = await world.held(buyer, pool)
        path = f"/api/shops/{world.shop}/quotes"
        assert problem(await other.post(path, {"holds": [hold], "country": "DE"})) == (404, "not_found")
        foreign = await world.held(buyer, (await elsewhere.sale(5))["pool"])
        assert problem(await buyer.post(path, {"holds": [hold, foreign]})) == (422, "order_invalid")
        for bad in (
            {"holds": []},
            {"holds": [hold], "country": "de"},
            {"holds": [hold], "shipping": "a b"},
            {"holds": 1},
        ):
            assert problem(await buyer.post(path, bad)) == (400, "malformed")
        plain = (await buyer.post(path, {"holds": [hold]})).json()
        assert (plain["totals"], plain["ways"], plain["goods_minor"]) == (None, [], 600)
        there = (await buyer.post(path, {"holds": [hold], "country": "FR", "shipping": "post"})).json()
        assert (there["totals"]["tax_minor"], there["totals"]["total_minor"]) == (0, 1099)


@pytest.mark.parametrize(
    ("currency", "included", "total", "tax"),
    [("JPY", True, 1099, 175), ("JPY", False, 1308, 209), ("KWD", True, 1100, 176), ("KWD", False, 1310, 210)],
)
async def test_currencies_without_cents_and_with_three_decimals_are_reckoned_in_their_own_units(
    pg, valkey, currency, included, total, tax
):
    async with open_world(pg, valkey) as world:
        await pg.execute("UPDATE shops SET currency = $2 WHERE id = $1", world.shop, currency)
        asked = await ask(world, {**ALL, "prices_include_tax": included})
        if currency == "KWD":  # 4.99 thousandths could not be paid by card
            assert problem(asked) == (400, "price_invalid")
            post = {**POST, "price_minor": 500}
            asked = await ask(world, {**ALL, "shipping": [post, BIKE], "prices_include_tax": included})
        assert asked.status_code == 200, asked.text
        pool, buyer = (await world.sale(5))["pool"], await world.buyer()
        made = await order(buyer, await world.held(buyer, pool), ship_to=HOME, agreed=agreed(total))
        assert made.status_code == 201, made.text
        assert (made.json()["currency"], made.json()["charges"]["tax_minor"]) == (currency, tax)


async def test_prices_and_coupons_in_thousandths_are_in_tens_of_them(pg, valkey):
    async with open_world(pg, valkey) as world:
        await pg.execute("UPDATE shops SET currency = 'KWD' WHERE id = $1", world.shop)
        variant, _ = await world.variant(5, price_minor=12_350)
        sale = {"variant": variant, "allotment": 1, "per_buyer_limit": 1, "duration_s": 600}
        path = f"/api/shows/{world.show}/flash-sales"
        assert problem(await world.host.post(path, sale | {"price_minor": 8_645})) == (400, "price_invalid")
        made = await world.host.post(path, sale | {"percent_off": 33})
        assert (made.status_code, made.json()["price_minor"]) == (201, 8_270)
        coupons = f"/api/shops/{world.shop}/coupons"
        for wrong in ({"amount_minor": 1005}, {"percent_off": 10, "cap_minor": 1005}):
            assert problem(await world.host.post(coupons, {"code": "TEN", **wrong})) == (400, "price_invalid")
        assert (await world.host.post(coupons, {"code": "TEN", "percent_off": 10})).status_code == 201
        buyer = await world.buyer()
        hold = await world.held(buyer, made.json()["pool"])
        bought = await order(buyer, hold, coupon="TEN")
        assert (bought.status_code, bought.json()["total_minor"]) == (201, 7_440)  # 827 off, rounded up to 830
