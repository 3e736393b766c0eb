"""Money of a payment that no order stands on, where the provider will not let go of it, or has not decided."""

import pytest

from app.checkout.provider import Answer
from app.checkout.simulated import SimulatedProvider
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_refunds import LostCapture, at_the_desk, balances, bought, given_back, shop_does


class Unwilling(LostCapture):
    """Captures without saying so, and gives nothing back until it is `willing`. Each refund that it was asked for."""

    willing = False

    def __init__(self, pg):
        super().__init__(pg, silence_s=0)
        self.asked = []

    async def refund(self, refund):
        self.asked.append(refund.id)
        return await super().refund(refund) if self.willing else Answer.DECLINED


async def test_money_that_the_provider_refuses_to_give_back_is_a_trouble_until_it_went(pg, valkey):
    """It was booked as voided: the shop kept what no order stood for, and nobody knew."""
    provider = Unwilling(pg)
    async with open_world(pg, valkey, provider=provider) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        assert (await buyer.post(f"/api/orders/{order}/cancel")).json()["state"] == "cancelled"
        for _ in range(2):
            await world.settle_all()
        asked = [one for one in provider.asked if one.startswith(order)]
        assert asked[1:] == [f"{order}_{again}" for again in range(1, len(asked))]
        assert asked[0] == order
        assert len(asked) > 1
        assert await pg.fetchval("SELECT state FROM payment_attempts WHERE id = $1", order) == "voiding"
        assert await balances(pg, order) == {"captured": 600, "authorised": -600}
        assert (await world.gate(pool)).left == 1  # the unit waits for nobody
        (trouble,) = (await world.host.get(f"/api/shops/{world.shop}/troubles")).json()["troubles"]
        assert (trouble["order"], trouble["kind"], trouble["amount_minor"]) == (order, "give_back_refused", 600)
        assert await pg.fetchval("SELECT count(*) FROM outbox WHERE set_aside_at IS NOT NULL") == 0
        provider.willing = True
        await world.settle_all()
        assert await given_back(pg, order) == [600]
        assert await balances(pg, order) == {}
        assert await pg.fetchval("SELECT state FROM payment_attempts WHERE id = $1", order) == "voided"
        assert (await world.host.get(f"/api/shops/{world.shop}/troubles")).json()["troubles"] == []


async def test_what_went_back_at_the_desk_in_part_is_not_given_back_twice(pg, valkey):
    provider = Unwilling(pg)
    async with open_world(pg, valkey, provider=provider) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        await buyer.post(f"/api/orders/{order}/cancel")
        await world.settle_all()
        await at_the_desk(world, order, 250)
        provider.willing = True
        for _ in range(2):
            await world.settle_all()
        assert await given_back(pg, order) == [250, 350]
        assert await balances(pg, order) == {}


class Undecided(SimulatedProvider):
    """Says neither yes nor no to a capture or a void: what it has reserved stays reserved."""

    undecided = True

    async def capture(self, attempt, order):
        return Answer.AUTHORISED if self.undecided else await super().capture(attempt, order)

    async def void(self, attempt):
        return Answer.AUTHORISED if self.undecided else await super().void(attempt)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_what_is_still_reserved_is_booked_neither_as_free_nor_as_taken(pg, valkey, cancelled):
    provider = Undecided(pg, silence_s=0)
    async with open_world(pg, valkey, provider=provider) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        if cancelled:
            await buyer.post(f"/api/orders/{order}/cancel")
        await world.settle_all()
        state = await pg.fetchval("SELECT state FROM payment_attempts WHERE id = $1", order)
        assert state == ("voiding" if cancelled else "committed")
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == ("cancelled" if cancelled else "authorised")
        provider.undecided = False
        await world.settle_all()
        state = await pg.fetchval("SELECT state FROM payment_attempts WHERE id = $1", order)
        assert state == ("voided" if cancelled else "captured")


class Stubborn(SimulatedProvider):
    """Refuses refunds until it is `willing`."""

    willing = False

    async def refund(self, refund):
        return await super().refund(refund) if self.willing else Answer.DECLINED


async def test_a_cancelled_order_whose_refund_is_refused_is_not_shipped_and_can_be_asked_for_again(pg, valkey):
    """It was paid again, and was offered for shipping although its units were on the shelf."""
    provider = Stubborn(pg, silence_s=0)
    async with open_world(pg, valkey, provider=provider) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        assert (await buyer.post(f"/api/orders/{order}/cancel")).json()["state"] == "refunded"
        await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "paid"
        assert (await world.gate(pool)).left == 1
        assert problem(await shop_does(world, order, "ship")) == (409, "order_state")
        provider.willing = True
        assert (await buyer.post(f"/api/orders/{order}/cancel")).json()["state"] == "refunded"
        await world.settle_all()
        assert await given_back(pg, order) == [600]
        assert await balances(pg, order) == {}
        assert (await world.gate(pool)).left == 1
        await world.check(pool)
