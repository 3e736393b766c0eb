"""What a buyer disputes at their bank: shown, booked and told once each, whatever comes first and however often."""

from itertools import permutations

import pytest

from app import clock
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_refunds import LostCapture, balances, bought, refund

PAID = {"captured": 600, "owed": -600}
TAKEN = {"disputed": 600, "owed": -600}


class Bank:
    """A payment's dispute in the simulated bank's books, of which we are told again and again."""

    def __init__(self, world, order: str, amount_minor=600) -> None:
        self.world, self.order, self.amount_minor = world, order, amount_minor
        self.id = f"dp_{clock.new_id()}"

    async def says(self, state: str, *, times=2) -> None:
        """Writes it, and tells us."""
        await self.world.pg.execute(
            """INSERT INTO simulated_disputes VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET state = $3""",
            self.id,
            self.order,
            state,
            self.amount_minor,
        )
        for _ in range(times):
            await self.world.pg.execute("INSERT INTO outbox (topic, subject) VALUES ('disputes.look', $1)", self.order)
            await self.world.settle_all()
        await self.world.settle_all()


async def seen(buyer, order: str) -> tuple[str, str]:
    found = (await buyer.get(f"/api/orders/{order}")).json()
    return found["state"], found.get("dispute", "")


async def kinds(world) -> list[str]:
    found = (await world.host.get(f"/api/shops/{world.shop}/troubles")).json()["troubles"]
    return [one["kind"] for one in found]


async def listen(world) -> None:
    """The shop's own server wants to hear of all that becomes of disputes."""
    events = [f"dispute.{state}" for state in ("inquiry", "open", "won", "lost", "closed")]
    await world.pg.execute(
        """INSERT INTO webhook_endpoints (id, shop_id, url, events, secret)
           VALUES ($1, $2, 'https://shop.example', $3, 'x')""",
        clock.new_id(),
        world.shop,
        events,
    )


async def told(world) -> list[str]:
    rows = await world.pg.fetch("SELECT type FROM webhook_events WHERE shop_id = $1 ORDER BY at", world.shop)
    return [row["type"] for row in rows]


@pytest.mark.parametrize(("end", "left"), [("won", PAID), ("lost", {"lost": 600, "owed": -600})])
async def test_a_dispute_is_shown_and_booked_and_its_end_too_each_once(pg, valkey, end, left):
    async with open_world(pg, valkey) as world:
        await listen(world)
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        bank = Bank(world, order)
        await bank.says("inquiry")
        assert (await seen(buyer, order), await balances(pg, order)) == (("paid", "inquiry"), PAID)
        await bank.says("open")
        assert (await seen(buyer, order), await balances(pg, order)) == (("paid", "open"), TAKEN)
        assert await kinds(world) == ["dispute_open"]
        (of_shop,) = (await world.host.get(f"/api/shops/{world.shop}/orders")).json()["orders"]
        assert of_shop["dispute"] == "open"
        staff = [event for room, event in world.rooms.events if type(event).__name__ == "StaffOrder"]
        assert [one.order.dispute for one in staff if one.order.id == order] == ["", "inquiry", "open"]
        assert problem(await refund(world, order, 600)) == (409, "order_state")
        assert problem(await buyer.post(f"/api/orders/{order}/cancel")) == (409, "order_state")
        await bank.says(end)
        assert (await seen(buyer, order), await balances(pg, order)) == (("paid", end), left)
        assert await kinds(world) == []
        assert await told(world) == ["dispute.inquiry", "dispute.open", f"dispute.{end}"]
        await bank.says("open")  # late news of what is decided
        assert (await seen(buyer, order), await balances(pg, order)) == (("paid", end), left)
        again = await refund(world, order, 600)
        assert (again.status_code == 201) is (end == "won")
        if end == "lost":
            assert problem(again) == (422, "refund_too_large")
            assert problem(await buyer.post(f"/api/orders/{order}/cancel")) == (409, "order_state")


async def test_who_hears_of_the_end_alone_books_the_whole(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        await Bank(world, order).says("lost")
        assert await balances(pg, order) == {"lost": 600, "owed": -600}
        rows = await pg.fetch("SELECT event FROM ledger WHERE order_id = $1", order)
        assert sorted(row["event"].rpartition(" ")[0] for row in rows) == ["", "", "dispute lost", "disputed"]


async def test_a_part_that_is_disputed_leaves_the_rest_to_be_refunded(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        await Bank(world, order, 250).says("open")
        assert problem(await refund(world, order, 351)) == (409, "order_state")
        assert problem(await refund(world, order, 601)) == (422, "refund_too_large")
        assert (await refund(world, order, 350)).status_code == 201
        await world.settle_all()
        assert await balances(pg, order) == {"disputed": 250, "owed": -250}
        assert (await seen(buyer, order))[0] == "paid"


async def test_news_in_any_order_ends_in_the_same_books(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(9, per_buyer_limit=9))["pool"]
        buyer = await world.buyer()
        for states in permutations(["inquiry", "open", "lost"]):
            order = await bought(world, buyer, pool)
            bank = Bank(world, order)
            for state in states:
                await bank.says(state, times=1)
            assert await balances(pg, order) == {"lost": 600, "owed": -600}, states


async def test_a_dispute_that_is_told_before_its_capture_waits_for_it(pg, valkey):
    provider = LostCapture(pg, silence_s=0)
    async with open_world(pg, valkey, provider=provider) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        await Bank(world, order).says("open")
        assert await seen(buyer, order) == ("authorised", "")
        provider.lost = False
        for _ in range(2):
            await world.settle_all()
        assert (await seen(buyer, order), await balances(pg, order)) == (("paid", "open"), TAKEN)
