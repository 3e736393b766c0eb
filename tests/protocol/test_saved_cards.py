"""Cards that buyers keep at Stripe: through Stripe's library, against localstripe behind a proxy that breaks things.

What localstripe does not do of it is stood in for: tests/protocol/stripe_keeps.py says what.
"""

import asyncio

import httpx
import pytest

from app import clock
from app.checkout.saved_cards import keep_card
from app.checkout.settle import settle
from tests.protocol import stripe_side
from tests.protocol.callers import problem
from tests.protocol.stripe_side import authenticate, card, event, intents
from tests.protocol.test_stripe_webhooks import stripe_world, told

AUTH = (stripe_side.SECRET_KEY, "")


async def buy(world, buyer, pool, method: str, key: str | None = None, **said):
    """Holds a unit and pays."""
    hold = await world.held(buyer, pool)
    headers = {"Idempotency-Key": key or clock.new_id()}
    return await buyer.post("/api/orders", {"hold": hold, "method": method, **said}, headers=headers)


async def cards(buyer) -> list[dict]:
    return (await buyer.get("/api/saved-cards")).json()["cards"]


async def saved(world, buyer, pool, method: str) -> dict:
    """A card that the buyer keeps since they paid with it."""
    order = await buy(world, buyer, pool, method, keep=True)
    assert order.status_code == 201, order.text
    await world.settle_all()
    return (await cards(buyer))[0]


def at_stripe(localstripe: str, path: str, method="GET", **said) -> dict:
    return httpx.request(method, f"{localstripe}/v1/{path}", auth=AUTH, json=said or None).json()


def customers_of(localstripe: str, buyer) -> list[str]:
    found = at_stripe(localstripe, "customers?limit=100")["data"]
    return [one["id"] for one in found if one["metadata"].get("account") == buyer.account]


def kept_at(localstripe: str, customer: str) -> list[str]:
    return [one["id"] for one in at_stripe(localstripe, f"payment_methods?customer={customer}&type=card")["data"]]


async def test_a_card_is_kept_when_its_buyer_says_so_pays_in_one_request_and_is_removed(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(5))["pool"]
        buyer, other = await world.buyers(2)
        assert (await buy(world, buyer, pool, card(localstripe))).status_code == 201
        await world.settle_all()
        assert await cards(buyer) == []
        assert customers_of(localstripe, buyer) == []
        typed = card(localstripe)
        kept = await saved(world, buyer, pool, typed)
        shown = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2040, "expired": False, "usable": True}
        assert kept == {"id": kept["id"], "method": f"saved_{kept['id']}", **shown}
        (customer,) = customers_of(localstripe, buyer)
        assert kept_at(localstripe, customer) == [typed]
        order = await world.buy_now(buyer, pool, method=kept["method"])
        assert order.status_code == 201, order.text
        await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order.json()['id']}")).json()["state"] == "paid"
        newest = next(one for one in intents(localstripe) if one["metadata"]["payment"] == order.json()["id"])
        assert (newest["customer"], newest["payment_method"]) == (customer, typed)
        # Somebody else can neither pay with it nor remove it, by whatever name.
        assert problem(await world.buy_now(other, pool, method=kept["method"])) == (400, "method_unknown")
        assert problem(await world.buy_now(other, pool, method=typed)) == (402, "payment_declined")
        assert problem(await other.ask("DELETE", f"/api/saved-cards/{kept['id']}")) == (404, "not_found")
        for expected in (204, 404):
            assert (await buyer.ask("DELETE", f"/api/saved-cards/{kept['id']}")).status_code == expected
        assert await cards(buyer) == []
        assert problem(await world.buy_now(buyer, pool, method=kept["method"])) == (400, "method_unknown")
        await world.settle_all()
        assert kept_at(localstripe, customer) == []
        # A note of the outbox may be done twice; what it says late brings nothing back.
        attempt = await pg.fetchval("SELECT attempt_id FROM saved_cards WHERE account_id = $1", buyer.account)
        at_stripe(localstripe, f"payment_methods/{typed}/attach", "POST", customer=customer)
        assert await keep_card(pg, world.checkout.provider, attempt)
        assert await cards(buyer) == []


async def test_the_same_card_kept_in_two_windows_at_once_is_one(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(3))["pool"]
        buyer = await world.buyer()
        typed = [card(localstripe) for _ in range(2)]
        proxy.plan.append(("/customers", "meet"))
        orders = await asyncio.gather(*(buy(world, buyer, pool, one, keep=True) for one in typed))
        assert [one.status_code for one in orders] == [201, 201]
        await world.settle_all()
        await world.settle_all()  # what the first round has noted
        assert len(await cards(buyer)) == 1
        (customer,) = customers_of(localstripe, buyer)
        stays = await pg.fetchval("SELECT method FROM saved_cards WHERE account_id = $1", buyer.account)
        assert kept_at(localstripe, customer) == [stays]
        # Another card is another one; the first typed anew is the same, with the expiry that it has by now.
        await saved(world, buyer, pool, card(localstripe, exp_year=2041))
        assert [one["exp_year"] for one in await cards(buyer)] == [2041]


@pytest.mark.parametrize(
    ("path", "fault"), [("/customers", "cut after"), ("/confirm", "cut after"), ("/confirm", "cut before")]
)
async def test_an_answer_that_is_lost_while_a_card_is_kept(pg, valkey, proxy, localstripe, path, fault):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        proxy.plan.append((path, fault))
        assert problem(await buy(world, buyer, pool, card(localstripe), keep=True)) == (504, "payment_pending")
        await settle(world.checkout)
        await world.settle_all()
        went_through = (path, fault) == ("/confirm", "cut after")
        assert len(await cards(buyer)) == went_through
        assert len(await saved_after(world, buyer, pool, localstripe)) == 1
        (customer,) = customers_of(localstripe, buyer)
        await world.settle_all()
        assert len(kept_at(localstripe, customer)) == 1


async def saved_after(world, buyer, pool, localstripe) -> list[dict]:
    await saved(world, buyer, pool, card(localstripe))
    return await cards(buyer)


async def test_an_answer_that_is_lost_after_the_order_keeps_and_removes_once(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await buy(world, buyer, pool, card(localstripe), keep=True)
        await world.checkout.outbox.close()
        proxy.away = True
        await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'card.keep'")  # as if nobody had come to it
        await pg.execute("DELETE FROM saved_cards WHERE account_id = $1", buyer.account)
        await world.settle_all()
        assert (order.status_code, await cards(buyer)) == (201, [])
        proxy.away = False
        await world.settle_all()
        (kept,) = await cards(buyer)
        (customer,) = customers_of(localstripe, buyer)
        proxy.plan.append(("/detach", "cut after"))
        assert (await buyer.ask("DELETE", f"/api/saved-cards/{kept['id']}")).status_code == 204
        for _ in range(2):
            await world.settle_all()
        assert kept_at(localstripe, customer) == []
        assert not await pg.fetchval("SELECT count(*) FROM outbox WHERE topic = 'card.detach' AND done_at IS NULL")


async def test_a_saved_card_that_is_declined_stays_and_one_that_was_detached_goes(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        kept = await saved(world, buyer, pool, typed := card(localstripe))
        proxy.plan.append(("/confirm", "declined"))
        assert problem(await world.buy_now(buyer, pool, method=kept["method"])) == (402, "payment_declined")
        await world.settle_all()
        assert await cards(buyer) == [kept]
        at_stripe(localstripe, f"payment_methods/{typed}/detach", "POST")  # at Stripe's own desk
        assert problem(await world.buy_now(buyer, pool, method=kept["method"])) == (402, "payment_declined")
        await world.settle_all()
        assert await cards(buyer) == []
        assert (await world.gate(pool)).left == 1
        # A customer who was deleted there is made anew by the next card that is kept.
        (customer,) = customers_of(localstripe, buyer)
        at_stripe(localstripe, f"customers/{customer}", "DELETE")
        await saved(world, buyer, pool, card(localstripe))
        assert len(await cards(buyer)) == 1
        assert customer not in customers_of(localstripe, buyer)


async def test_a_saved_card_whose_bank_asks_each_time(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        buyer, key = await world.buyer(), clock.new_id()
        hold = await world.held(buyer, pool)
        body = {"hold": hold, "method": card(localstripe, stripe_side.CHALLENGES), "keep": True}

        async def asked(path: str, body: dict):
            answer = await buyer.post(path, body, headers={"Idempotency-Key": key})
            assert problem(answer) == (402, "payment_challenge")
            details = answer.json()["details"]
            assert await cards(buyer) == kept
            await asyncio.to_thread(authenticate, localstripe, details["challenge"], success=True)
            assert (await buyer.post(f"/api/payments/{details['payment']}/look")).status_code == 204
            order = await buyer.post(path, body, headers={"Idempotency-Key": key})
            assert order.status_code == 201, order.text
            await world.settle_all()

        kept = []
        await asked("/api/orders", body)
        kept, key = await cards(buyer), clock.new_id()
        assert len(kept) == 1
        await asked("/api/buy-now", {"pool": pool, "quantity": 1, "method": kept[0]["method"]})
        assert len(await cards(buyer)) == 1


async def test_a_card_that_has_expired_pays_again_once_stripe_has_its_successor(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        kept = await saved(world, buyer, pool, typed := card(localstripe, exp_year=2020))
        assert (kept["expired"], kept["usable"]) == (True, False)
        assert problem(await world.buy_now(buyer, pool, method=kept["method"])) == (409, "card_expired")
        assert (await world.gate(pool)).left == 1
        about = at_stripe(localstripe, f"payment_methods/{typed}")
        at_stripe(
            localstripe, f"payment_methods/{typed}", "POST", card=about["card"] | {"exp_month": 6, "exp_year": 2041}
        )
        renewed = "payment_method.automatically_updated"
        stranger = {**about, "id": "pm_stranger", "customer": "cus_elsewhere"}
        assert (await told(world, event(renewed, stranger, id_="evt_card_0"))).status_code == 204
        body = event(renewed, about, id_="evt_card_1").replace(b'"object": "event"', b'"account": "acct_other"')
        assert problem(await told(world, body)) == (422, "webhook_mismatch")
        for _ in range(2):
            assert (await told(world, event(renewed, about, id_="evt_card_2"))).status_code == 204
        assert await pg.fetchval("SELECT count(*) FROM stripe_events WHERE id LIKE 'evt_card_%'") == 1
        await world.settle_all()
        (kept,) = await cards(buyer)
        assert (kept["exp_month"], kept["exp_year"], kept["usable"]) == (6, 2041, True)
        assert (await world.buy_now(buyer, pool, method=kept["method"])).status_code == 201
        await world.settle_all()
