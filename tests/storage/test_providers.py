"""Which provider has a payment: none unless one is asked for, and always the one with which it was begun."""

import pytest
from msgspec import structs

from app import clock
from app.checkout.settle import settle
from app.checkout.simulated import SimulatedProvider
from tests.protocol.callers import Caller, problem
from tests.storage.stock_world import open_world

PREFIX = "other_"


class OtherProvider(SimulatedProvider):
    """Another provider, with words of its own for the same methods and the same books."""

    def knows(self, method):
        return method.startswith(PREFIX)

    async def authorise(self, payment, *asked):
        bare = structs.replace(payment, method=payment.method.removeprefix(PREFIX))
        return await super().authorise(bare, *asked)


async def test_without_a_provider_nobody_pays_nothing_is_held_for_it_and_the_page_is_told(pg, valkey):
    async with open_world(pg, valkey, demo=False) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        assert (await buyer.get("/api/payment-offer")).json()["provider"] == "none"
        hold = await world.held(buyer, pool)
        assert problem(await world.order(buyer, hold)) == (503, "payments_off")
        assert problem(await world.buy_now(buyer, pool)) == (503, "payments_off")
        assert await pg.fetchval("SELECT count(*) FROM payment_attempts WHERE pool_id = $1", pool) == 0
        assert (await buyer.ask("DELETE", f"/api/holds/{hold}")).status_code == 204
        assert (await world.gate(pool)).left == 2
    async with open_world(pg, valkey, demo=False, simulated_payments=True) as world:
        pool = (await world.sale(1))["pool"]
        assert (await world.buy_now(await world.buyer(), pool)).status_code == 201


async def test_a_method_that_nobody_knows_holds_nothing(pg, valkey):
    """Buying at once took the unit first, and kept it for two minutes."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        assert problem(await world.buy_now(await world.buyer(), pool, method="gold")) == (400, "method_unknown")
        assert (await world.gate(pool)).left == 1


@pytest.mark.parametrize("first", ["simulated", "other"])
async def test_a_payment_stays_with_the_provider_that_began_it(pg, valkey, first):
    """Another one, asked about it, had never heard of it: the order was cancelled, the money stayed reserved."""
    other = OtherProvider(pg, silence_s=0)
    old, new = (None, other) if first == "simulated" else (other, None)
    method = "works" if first == "simulated" else f"{PREFIX}works"
    slow = {"payment_timeout_s": 1, "settle_after_s": 0}
    async with open_world(pg, valkey, provider=old, **slow) as world:
        pool = (await world.sale(3))["pool"]
        buyer, second = await world.buyers(2)
        await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT 'infinity'")
        try:
            hold, key = await world.held(buyer, pool), clock.new_id()
            order = await world.order(buyer, hold, method, key)
            assert order.status_code == 201, order.text
        finally:
            await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT now()")
        pending = await world.held(second, pool)
        hangs = method.replace("works", "hangs")
        assert problem(await world.order(second, pending, hangs)) == (504, "payment_pending")
        await pg.execute("UPDATE simulated_payments SET answers_at = now() WHERE answers_at > now()")
    states = """SELECT a.state, s.state FROM payment_attempts a JOIN simulated_payments s ON s.attempt_id = a.id
                 WHERE a.pool_id = $1 ORDER BY a.created_at"""
    async with open_world(pg, valkey, provider=new, stage=False, **slow) as world:
        again = await world.order(Caller(world.app, buyer.secret), hold, method, key)
        assert again.json() == order.json()  # a retry is answered as before, whoever takes payments now
        await world.settle_all()
        await settle(world.checkout)
        await world.settle_all()
        seen = [tuple(row) for row in await pg.fetch(states, pool)]
        if first == "simulated":  # its books are always there
            assert seen == [("captured", "captured")] * 2
        else:  # it is not configured any more
            assert seen == [("committed", "authorised"), ("started", "authorised")]
    async with open_world(pg, valkey, provider=old, stage=False, **slow) as world:
        await settle(world.checkout)
        await world.settle_all()
        assert [tuple(row) for row in await pg.fetch(states, pool)] == [("captured", "captured")] * 2
        await world.check(pool)


async def test_a_payment_that_its_provider_breaks_on_stops_no_other(pg, valkey, monkeypatch):
    slow = {"payment_timeout_s": 1, "settle_after_s": 0}
    async with open_world(pg, valkey, **slow) as world:
        pool = (await world.sale(2))["pool"]
        buyers = await world.buyers(2)
        pending = [await world.held(buyer, pool) for buyer in buyers]
        for buyer, hold in zip(buyers, pending, strict=True):
            assert problem(await world.order(buyer, hold, "hangs")) == (504, "payment_pending")
        await pg.execute("UPDATE simulated_payments SET answers_at = now() WHERE answers_at > now()")
        broken = await pg.fetchval("SELECT id FROM payment_attempts WHERE hold_id = $1", pending[0])
        provider = world.checkout.provider.of("hangs")
        look = type(provider).look

        async def breaks(self, attempt):
            if attempt == broken:
                raise ValueError("no such payment")
            return await look(self, attempt)

        monkeypatch.setattr(type(provider), "look", breaks)
        await settle(world.checkout)
        states = dict(await pg.fetch("SELECT id, state FROM payment_attempts WHERE pool_id = $1", pool))
        assert states.pop(broken) == "started"
        assert set(states.values()) <= {"committed", "captured"}
