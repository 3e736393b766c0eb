"""What a provider may say beside yes and no: it asks the buyer, says it twice, too late, or never says what it did."""

import asyncio

import pytest

from app import clock
from app.accounts.throttle import PAYMENT_ACCOUNT
from app.checkout.settle import settle
from app.checkout.simulated import SimulatedProvider
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world

AT_ONCE = {"settle_after_s": 0}


async def attempt_state(world, hold: str) -> str:
    return await world.pg.fetchval("SELECT state FROM payment_attempts WHERE hold_id = $1", hold)


async def challenged(world, buyer, hold: str, key: str) -> str:
    """Pays by the card whose bank asks; answers with the payment."""
    asked = await world.order(buyer, hold, "challenges", key)
    assert problem(asked) == (402, "payment_challenge")
    return asked.json()["details"]["payment"]


@pytest.mark.parametrize("approve", [True, False])
async def test_a_bank_that_asks_gets_its_answer_and_the_same_request_then_tells_how_it_ended(pg, valkey, approve):
    async with open_world(pg, valkey, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold, key = await world.held(buyer, pool), clock.new_id()
        payment = await challenged(world, buyer, hold, key)
        await settle(world.checkout)
        # A page that was loaded anew knows no key: any payment for the hold leads back to the question.
        for again in (key, clock.new_id()):
            assert await challenged(world, buyer, hold, again) == payment
        for path in ("bank", "look"):
            answer = await other.post(f"/api/payments/{payment}/{path}", {"approve": True} if path == "bank" else None)
            assert problem(answer) == (404, "not_found")
        bank = await buyer.post(f"/api/payments/{payment}/bank", {"approve": approve})
        assert bank.status_code == 204, bank.text
        assert (await buyer.post(f"/api/payments/{payment}/look")).status_code == 204
        answer = await world.order(buyer, hold, "challenges", key)
        if approve:
            assert answer.status_code == 201, answer.text
        else:
            assert problem(answer) == (402, "payment_declined")
            assert (await world.gate(pool)).left == 1
        await world.settle_all()
        await world.check(pool)


async def test_the_provider_is_asked_about_a_payment_so_often_and_then_the_buyer_waits(pg, valkey):
    looks = 0

    class Counting(SimulatedProvider):
        async def look(self, attempt):
            nonlocal looks
            looks += 1
            return await super().look(attempt)

        async def challenge(self, attempt):
            nonlocal looks
            looks += 1
            return await super().challenge(attempt)

    provider = Counting(pg, silence_s=0)
    async with open_world(pg, valkey, provider=provider, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        payment = await challenged(world, buyer, hold, key)
        looks = 0
        codes = set()
        for again in range(2 * PAYMENT_ACCOUNT.tries):
            if again % 2:
                answer = await buyer.post(f"/api/payments/{payment}/look")
            else:
                answer = await world.order(buyer, hold, "challenges", key)
            codes.add(answer.status_code if answer.status_code == 204 else problem(answer))
        assert codes == {204, (402, "payment_challenge"), (429, "too_many_tries")}
        assert looks == PAYMENT_ACCOUNT.tries
        assert 0 < answer.json()["retry_after_ms"] <= 15 * 60 * 1000
        await provider.answer(payment, approve=True)
        await settle(world.checkout)  # the payment ends by itself all the same
        assert (await world.order(buyer, hold, "challenges", key)).status_code == 201
        await world.check(pool)


async def test_a_bank_that_gets_no_answer_frees_the_unit_in_the_end(pg, valkey):
    async with open_world(pg, valkey, hold_extended_max_s=0, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        payment = await challenged(world, buyer, hold, key)
        await settle(world.checkout)
        await world.settle_all()
        assert (await buyer.post(f"/api/payments/{payment}/bank", {"approve": True})).status_code == 204
        assert (await buyer.post(f"/api/payments/{payment}/look")).status_code == 204
        assert problem(await world.order(buyer, hold, "challenges", key)) == (409, "hold_ended")
        assert await attempt_state(world, hold) == "voided"
        assert (await world.gate(pool)).left == 1
        await world.check(pool)


async def test_a_provider_that_answers_twice_makes_one_order_and_one_capture(pg, valkey):
    async with open_world(pg, valkey, **AT_ONCE) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        assert (await world.order(buyer, await world.held(buyer, pool), "twice")).status_code == 201
        for _ in range(3):
            await world.settle_all()
            await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic IN ('payment.look', 'capture')")
        assert await pg.fetchval("SELECT count(*) FROM orders WHERE account_id = $1", buyer.account) == 1
        await world.settle_all()
        await world.check(pool)


async def test_money_that_came_too_late_for_any_order_is_given_back(pg, valkey):
    """Authorised in the provider's books after the attempt was declined in ours."""
    async with open_world(pg, valkey, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        assert problem(await world.order(buyer, await world.held(buyer, pool), "declines")) == (402, "payment_declined")
        late = "UPDATE simulated_payments SET state = 'authorised' WHERE attempt_id = $1"
        attempt = await pg.fetchval("SELECT id FROM payment_attempts WHERE account_id = $1", buyer.account)
        await pg.execute(late, attempt)
        await pg.execute("INSERT INTO outbox (topic, subject) VALUES ('payment.look', $1)", attempt)
        await world.settle_all()
        assert await pg.fetchval("SELECT state FROM simulated_payments WHERE attempt_id = $1", attempt) == "voided"


class DeafProvider(SimulatedProvider):
    """Does what it is asked, and never says so."""

    def __init__(self, pg):
        super().__init__(pg, silence_s=0)
        self.deaf = set()

    async def _say(self, call: str, answer):
        answered = await answer
        return answered if call not in self.deaf else await asyncio.Event().wait()

    async def authorise(self, payment, *asked):
        return await self._say("look", super().authorise(payment, *asked))

    async def look(self, attempt):
        return await self._say("look", super().look(attempt))

    async def capture(self, attempt, order):
        return await self._say("capture", super().capture(attempt, order))

    async def void(self, attempt):
        return await self._say("void", super().void(attempt))


@pytest.mark.parametrize("call", ["look", "capture", "void"])
async def test_every_call_that_hangs_is_left_after_our_timeout_and_asked_again(pg, valkey, call):
    provider = DeafProvider(pg)
    async with open_world(pg, valkey, provider=provider, payment_timeout_s=1, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        provider.deaf.add(call)
        answer = await asyncio.wait_for(world.order(buyer, hold, "declines" if call == "void" else "works", key), 60)
        if call == "void":
            await pg.execute("UPDATE payment_attempts SET state = 'voiding' WHERE hold_id = $1", hold)
            attempt = await pg.fetchval("SELECT id FROM payment_attempts WHERE hold_id = $1", hold)
            await pg.execute("INSERT INTO outbox (topic, subject) VALUES ('void', $1)", attempt)
        elif call == "look":
            assert problem(answer) == (504, "payment_pending")
        await asyncio.wait_for(world.settle_all(), 60)
        await asyncio.wait_for(settle(world.checkout), 60)
        assert await attempt_state(world, hold) == {"look": "started", "capture": "committed", "void": "voiding"}[call]
        provider.deaf.clear()
        await settle(world.checkout)
        await world.settle_all()
        assert await attempt_state(world, hold) == ("voided" if call == "void" else "captured")
        await world.check(pool)


async def test_a_way_to_pay_that_nobody_knows_is_refused_before_anything_is_written(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        assert problem(await world.order(buyer, hold, "gold")) == (400, "method_unknown")
        assert problem(await world.order(buyer, hold, "4242 4242 4242 4242")) == (400, "malformed")
        assert (await world.order(buyer, hold)).status_code == 201
