"""Buying through Stripe with its webhooks: doubled, reordered, days late, forged, and about somebody else's payment."""

import random
from contextlib import asynccontextmanager

import pytest

from app import clock
from app.checkout.settle import settle
from app.settings import StripeSettings
from tests.protocol import stripe_side
from tests.protocol.callers import problem
from tests.protocol.stripe_side import authenticate, card, event, give_back, intents
from tests.rules.test_stripe_rules import signed
from tests.storage.stock_world import open_world
from tests.storage.test_payments_that_fail import age
from tests.storage.test_refunds import balances

SECRETS = ("whsec_old", "whsec_new")
CAPTURABLE = "payment_intent.amount_capturable_updated"


@asynccontextmanager
async def stripe_world(pg, valkey, proxy, **settings):
    keys = StripeSettings(
        secret_key=stripe_side.SECRET_KEY,
        publishable_key="pk_test_hawker",
        webhook_secrets=SECRETS,
        account="acct_ours",
        api_base=proxy.url,
    )
    async with open_world(pg, valkey, stripe=keys, settle_after_s=0, **settings) as world:
        yield world


async def told(world, body: bytes, *, secret=SECRETS[1], late_s=0, header: str | None = None):
    header = header if header is not None else signed(body, secret, clock.now_ms() // 1000 - late_s)
    headers = {"Stripe-Signature": header, "Content-Type": "application/json", "Cookie": None, "X-CSRF-Token": None}
    return await world.host.ask("POST", "/webhooks/stripe", content=body, headers=headers)


def intent_of(localstripe, buyer) -> dict:
    """The newest PaymentIntent of this buyer, in localstripe's books."""
    found = [one for one in intents(localstripe) if one["metadata"].get("account") == buyer.account]
    assert found
    return found[0]


async def lost_authorisation(world, proxy, buyer, pool, localstripe) -> tuple[str, str]:
    """A payment of which only Stripe knows that it was authorised: the hold and the key."""
    hold, key = await world.held(buyer, pool), clock.new_id()
    proxy.plan.append(("/confirm", "cut after"))
    answer = await world.order(buyer, hold, card(localstripe), key)
    assert problem(answer) == (504, "payment_pending")
    return hold, key


async def test_a_card_buys_and_the_money_is_captured_once_however_often_stripe_says_so(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await world.order(buyer, await world.held(buyer, pool), card(localstripe))
        assert order.status_code == 201, order.text
        await world.settle_all()
        intent = intent_of(localstripe, buyer)
        assert (intent["status"], intent["amount"]) == ("succeeded", 600)
        kinds = [CAPTURABLE, "payment_intent.succeeded", "payment_intent.created", "charge.succeeded"] * 3
        random.Random(1).shuffle(kinds)
        for kind in kinds:
            body = event(kind, intent, id_=f"evt_{kind}_{order.json()['id']}")
            assert (await told(world, body)).status_code == 204
        await world.settle_all()
        assert (
            await pg.fetchval("SELECT count(*) FROM stripe_events WHERE attempt_id = $1", intent["metadata"]["payment"])
            == 2
        )
        assert (await buyer.get(f"/api/orders/{order.json()['id']}")).json()["state"] == "paid"
        assert proxy.seen.count(f"POST /v1/payment_intents/{intent['id']}/capture") == 1
        await world.check(pool)


@pytest.mark.parametrize("end", ["order", "new hold", "no stock"])
async def test_a_success_that_is_told_days_later_is_honoured_if_there_is_stock_and_else_given_back(
    pg, valkey, proxy, localstripe, end
):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold, key = await lost_authorisation(world, proxy, buyer, pool, localstripe)
        if end != "order":
            await age(world, hold, 3 * 86_400_000)
        if end == "no stock":
            await world.held(other, pool)
        intent = intent_of(localstripe, buyer)
        for id_ in ("a", "b", "a"):
            assert (await told(world, event(CAPTURABLE, intent, id_=f"evt_{hold}_{id_}"))).status_code == 204
        await world.settle_all()
        await world.settle_all()
        answer = await world.order(buyer, hold, card(localstripe), key)
        status = (intent_of(localstripe, buyer))["status"]
        if end == "no stock":
            assert status == "canceled"
        else:
            assert status == "succeeded"
            assert await pg.fetchval("SELECT count(*) FROM orders WHERE account_id = $1", buyer.account) == 1
        assert answer.status_code in {201, 409, 422}
        await world.check(pool)


async def test_what_is_told_while_the_card_is_just_being_asked_gives_nothing_up(pg, valkey, proxy, localstripe):
    """An event about an intent that was only made, and not confirmed yet, must not end the attempt."""
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        proxy.plan.append(("/confirm", "cut before"))
        assert problem(await world.order(buyer, hold, card(localstripe))) == (504, "payment_pending")
        intent = intent_of(localstripe, buyer)
        assert (await told(world, event("payment_intent.canceled", intent, id_="evt_early"))).status_code == 204
        await world.settle_all()
        state = "SELECT state FROM payment_attempts WHERE id = $1"
        assert await pg.fetchval(state, intent["metadata"]["payment"]) == "started"
        await settle(world.checkout)
        await world.settle_all()
        assert await pg.fetchval(state, intent["metadata"]["payment"]) == "voided"
        await world.check(pool)


@pytest.mark.parametrize("success", [True, False])
async def test_a_challenge_ends_by_the_webhook_alone(pg, valkey, proxy, localstripe, success):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key, method = await world.held(buyer, pool), clock.new_id(), card(localstripe, stripe_side.CHALLENGES)
        asked = await world.order(buyer, hold, method, key)
        assert problem(asked) == (402, "payment_challenge")
        authenticate(localstripe, asked.json()["details"]["challenge"], success=success)
        kind = CAPTURABLE if success else "payment_intent.payment_failed"
        intent = intent_of(localstripe, buyer)
        assert (await told(world, event(kind, intent, id_=f"evt_{hold}"))).status_code == 204
        await world.settle_all()
        answer = await world.order(buyer, hold, method, key)
        assert answer.status_code == (201 if success else 402)
        await world.settle_all()
        await world.check(pool)


async def test_forged_old_and_foreign_events_are_refused_and_change_nothing(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        await lost_authorisation(world, proxy, buyer, pool, localstripe)
        intent = intent_of(localstripe, buyer)
        before = await pg.fetchval("SELECT count(*) FROM outbox")
        good = event(CAPTURABLE, intent, id_="evt_good")
        now_s = clock.now_ms() // 1000
        for answer in (
            await told(world, good, secret="whsec_guessed"),
            await told(world, good, late_s=301),
            await told(world, good, header=""),
            await told(world, good, header=signed(good + b" ", SECRETS[0], now_s)),
        ):
            assert problem(answer) == (400, "webhook_signature")
        assert problem(await told(world, b"[]")) == (400, "malformed")
        # Whatever else happens at Stripe looks as it likes; refused, it was told again for days.
        for kind in ("customer.created", "balance.available"):
            others = event(kind, {"object": "any", "id": None, "currency": None, "metadata": None}, id_="evt_any")
            assert (await told(world, others)).status_code == 204
        changes = [
            {"amount": 1},
            {"currency": "usd"},
            {"id": "pi_other"},
            {"metadata": {**intent["metadata"], "account": "eve"}},
        ]
        for change in changes:
            assert problem(await told(world, event(CAPTURABLE, intent, id_="evt_bad", **change))) == (
                422,
                "webhook_mismatch",
            )
        for forged in (b'"account": "acct_theirs", "livemode": false', b'"livemode": true'):
            body = good.replace(b'"livemode": false', forged)
            assert problem(await told(world, body)) == (422, "webhook_mismatch")
        nobodys = event(CAPTURABLE, intent, id_="evt_bad", metadata={"payment": "nobodys"})
        assert (await told(world, nobodys)).status_code == 204
        assert await pg.fetchval("SELECT count(*) FROM outbox") == before
        assert await pg.fetchval("SELECT count(*) FROM stripe_events WHERE id IN ('evt_bad', 'evt_good')") == 0
        for secret in SECRETS:
            assert (await told(world, good, secret=secret)).status_code == 204
        assert await pg.fetchval("SELECT count(*) FROM outbox") == before + 1
        await world.settle_all()
        await world.settle_all()
        await world.check(pool)


async def test_an_outage_of_stripe_leaves_payments_pending_and_orders_uncaptured_until_it_is_back(
    pg, valkey, proxy, localstripe
):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(2))["pool"]
        first, second = await world.buyers(2)
        hold, key, method = await world.held(second, pool), clock.new_id(), card(localstripe)
        proxy.plan.append(("/capture", "cut before"))
        order = await world.order(first, await world.held(first, pool), card(localstripe))
        assert order.status_code == 201
        await world.checkout.outbox.close()
        proxy.away = True
        assert problem(await world.order(second, hold, method, key)) == (504, "payment_pending")
        for _ in range(8):
            await world.settle_all()
            await settle(world.checkout)
        assert (await first.get(f"/api/orders/{order.json()['id']}")).json()["state"] == "authorised"
        proxy.away = False
        await settle(world.checkout)
        await world.settle_all()
        assert (await first.get(f"/api/orders/{order.json()['id']}")).json()["state"] == "paid"
        assert problem(await world.order(second, hold, method, key)) == (409, "hold_ended")
        await world.settle_all()
        await world.check(pool)


async def test_a_refund_in_stripes_dashboard_is_booked_once_however_often_and_by_whatever_event_it_is_told(
    pg, valkey, proxy, localstripe
):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = (await world.order(buyer, await world.held(buyer, pool), card(localstripe))).json()["id"]
        await world.settle_all()
        intent = intent_of(localstripe, buyer)
        given = give_back(localstripe, intent["id"], 250)
        charge = {"object": "charge", "id": "ch_1", "payment_intent": intent["id"], "amount": 600, "currency": "eur"}
        told_of = [
            event("charge.refunded", charge | {"metadata": intent["metadata"]}, id_="evt_charge"),
            event("refund.updated", given, id_="evt_refund", metadata=None),  # so Stripe says that there is none
            event("charge.refunded", charge | {"metadata": intent["metadata"]}, id_="evt_charge"),
        ]
        for body in told_of:
            assert (await told(world, body)).status_code == 204
        for changed in ({"amount": 601}, {"currency": "usd"}, {"payment_intent": "pi_other"}, {"amount": 0}):
            wrong = await told(world, event("refund.updated", given, id_="evt_wrong", **changed))
            assert wrong.status_code == (204 if "payment_intent" in changed else 422), changed
        eve = event("charge.refunded", charge, id_="evt_eve", metadata={"account": "eve"})
        assert problem(await told(world, eve)) == (422, "webhook_mismatch")
        for _ in range(2):
            await world.settle_all()
        seen = (await buyer.get(f"/api/orders/{order}")).json()
        assert (seen["state"], seen["refunded_minor"]) == ("paid", 250)
        rows = await pg.fetch("SELECT event, amount_minor FROM ledger WHERE order_id = $1 AND debit = 'owed'", order)
        assert [tuple(row) for row in rows] == [(f"refunded {given['id']}", 250)]
        body = {"amount_minor": 350, "currency": "EUR"}
        ours = await world.host.post(
            f"/api/shops/{world.shop}/orders/{order}/refunds", body, headers={"Idempotency-Key": "rest"}
        )
        assert ours.status_code == 201, ours.text
        await world.settle_all()
        assert (await told(world, event("charge.refunded", charge, id_="evt_again", metadata={}))).status_code == 204
        await world.settle_all()
        assert (
            await pg.fetchval("SELECT sum(amount_minor) FROM ledger WHERE order_id = $1 AND debit = 'owed'", order)
            == 600
        )
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "refunded"


async def test_a_dispute_is_booked_and_its_end_too_by_whatever_events_it_is_told(pg, valkey, proxy, localstripe):
    async with stripe_world(pg, valkey, proxy) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = (await world.order(buyer, await world.held(buyer, pool), card(localstripe))).json()["id"]
        await world.settle_all()
        intent = intent_of(localstripe, buyer)["id"]
        dispute = {"object": "dispute", "id": "dp_1", "payment_intent": intent, "amount": 600, "currency": "eur"}
        dispute |= {"charge": "ch_1", "metadata": {}, "reason": "fraudulent", "status": "needs_response"}
        proxy.disputes.append(dispute)
        for changed in ({"currency": "usd"}, {"amount": 0}):
            wrong = await told(world, event("charge.dispute.created", dispute, id_="evt_wrong", **changed))
            assert problem(wrong) == (422, "webhook_mismatch")
        stranger = event("charge.dispute.created", dispute, id_="evt_other", payment_intent="pi_other")
        assert (await told(world, stranger)).status_code == 204  # none of ours
        assert await pg.fetchval("SELECT count(*) FROM disputes") == 0
        proxy.plan.append(("/v1/disputes", "cut after"))  # it is asked again
        for number, kind in enumerate(["funds_withdrawn", "created", "created"]):
            body = event(f"charge.dispute.{kind}", dispute, id_=f"evt_d{min(number, 1)}")
            assert (await told(world, body)).status_code == 204
        for _ in range(2):
            await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["dispute"] == "open"
        assert await balances(pg, order) == {"disputed": 600, "owed": -600}
        dispute["status"] = "won"
        assert (await told(world, event("charge.dispute.closed", dispute, id_="evt_d3"))).status_code == 204
        await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["dispute"] == "won"
        assert await balances(pg, order) == {"captured": 600, "owed": -600}
