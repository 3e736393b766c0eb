"""Orders that do not stand: cancelled before they are shipped, refunded in parts; by whom, and how often asked."""

import asyncio
from collections import Counter

import pytest

from app import clock
from app.checkout.provider import Answer
from app.checkout.simulated import SimulatedProvider
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world


async def bought(world, buyer, pool: str, quantity=1, *, capture=True) -> str:
    answer = await world.order(buyer, await world.held(buyer, pool, quantity))
    assert answer.status_code == 201, answer.text
    if capture:
        await world.settle_all()
    return answer.json()["id"]


async def refund(world, order: str, amount_minor: int, *, by=None, key=None, currency="EUR", units=()):
    headers = {"Idempotency-Key": key or clock.new_id()}
    body = {"amount_minor": amount_minor, "currency": currency, "units": list(units)}
    return await (by or world.host).post(f"/api/shops/{world.shop}/orders/{order}/refunds", body, headers=headers)


async def shop_does(world, order: str, what: str, *, by=None):
    return await (by or world.host).post(f"/api/shops/{world.shop}/orders/{order}/{what}")


async def balances(pg, order: str) -> dict[str, int]:
    """What each account of the order holds; what moved adds up to nothing, or this fails."""
    rows = await pg.fetch(
        "SELECT account, sum(amount_minor)::bigint AS sum FROM ledger_entries WHERE order_id = $1 GROUP BY 1", order
    )
    assert sum(row["sum"] for row in rows) == 0
    return {row["account"]: row["sum"] for row in rows if row["sum"]}


async def given_back(pg, order: str) -> list[int]:
    """In the provider's books."""
    rows = await pg.fetch("SELECT amount_minor FROM simulated_refunds WHERE attempt_id = $1", order)
    return sorted(row["amount_minor"] for row in rows)


async def test_parts_of_a_payment_are_given_back_and_never_more_than_was_paid(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool, 2)
        assert problem(await refund(world, order, 1201)) == (422, "refund_too_large")
        assert problem(await refund(world, order, 100, currency="USD")) == (422, "refund_currency")
        for amount in (0, -1, 1.5, True, "5", 10**13):
            assert problem(await refund(world, order, amount)) == (400, "malformed")
        first = await refund(world, order, 500, key="k")
        assert first.status_code == 201, first.text
        again = await refund(world, order, 500, key="k")
        assert again.json()["id"] == first.json()["id"]
        assert problem(await refund(world, order, 501, key="k")) == (422, "idempotency_mismatch")
        assert problem(await refund(world, order, 500, key="k", currency="USD")) == (422, "idempotency_mismatch")
        assert problem(await refund(world, order, 701)) == (422, "refund_too_large")
        await world.settle_all()
        seen = (await buyer.get(f"/api/orders/{order}")).json()
        assert (seen["state"], seen["refunded_minor"]) == ("paid", 500)
        assert await balances(pg, order) == {"captured": 700, "owed": -700}
        assert (await refund(world, order, 700)).status_code == 201
        for _ in range(2):
            await world.settle_all()  # the second tells what the first was told by the provider
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "refunded"
        assert problem(await refund(world, order, 1)) == (422, "refund_too_large")
        assert await balances(pg, order) == {}
        assert await given_back(pg, order) == [500, 700]
        # The shop said nothing of units: they are gone.
        assert (await world.gate(pool)).left == 0
        hints = [type(hint).__name__ for _, person, hint in world.rooms.hints if person == buyer.account]
        assert hints == ["OrderPaid", "OrderRefunded", "OrderRefunded"]
        await world.check(pool)


async def test_twenty_refunds_at_once_give_back_what_was_paid_and_no_more(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        order = await bought(world, await world.buyer(), pool)
        answers = await asyncio.gather(*(refund(world, order, 100) for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {201: 6, 422: 14}
        keyed = await asyncio.gather(*(refund(world, order, 100, key="same") for _ in range(4)))
        assert {answer.status_code for answer in keyed} == {422}
        await world.settle_all()
        assert sum(await given_back(pg, order)) == 600
        assert await balances(pg, order) == {}


async def test_units_come_back_only_when_the_shop_says_so_and_only_once(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2, per_buyer_limit=2))["pool"]
        buyer, other = await world.buyers(2)
        order = await bought(world, buyer, pool, 2)
        for wrong in ([(1, 3)], [(1, 0)], [(2, 1)], [(1, 1), (1, 1)]):
            units = [{"line": line, "quantity": quantity} for line, quantity in wrong]
            assert problem(await refund(world, order, 1, units=units)) == (422, "refund_units")
        key = clock.new_id()
        for _ in range(2):
            assert (await refund(world, order, 600, key=key, units=[{"line": 1, "quantity": 1}])).status_code == 201
        await world.settle_all()
        await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'units.returned'")
        await world.settle_all()
        assert (await world.gate(pool)).left == 1
        assert (await buyer.get(f"/api/orders/{order}")).json()["lines"][0]["returned"] == 1
        await world.check(pool)
        hold = await world.held(buyer, pool)
        assert problem(await world.take(other, pool)) == (409, "all_held")
        assert (await world.order(buyer, hold)).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_a_return_that_a_rebuilt_gate_has_counted_is_not_counted_again(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        order = await bought(world, await world.buyer(), pool, 2)
        assert (await refund(world, order, 600, units=[{"line": 1, "quantity": 1}])).status_code == 201
        await world.checkout.outbox.close()
        await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'units.returned'")
        await valkey.flushall()
        assert (await world.gate(pool)).left == 1
        await world.settle_all()
        await world.check(pool)


@pytest.mark.parametrize("captured", [True, False])
@pytest.mark.parametrize("who", ["buyer", "shop"])
async def test_an_order_is_cancelled_before_it_is_shipped_and_money_and_units_return(pg, valkey, captured, who):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2, per_buyer_limit=2))["pool"]
        buyer = await world.buyer()
        if not captured:
            await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT 'infinity'")
        try:
            order = await bought(world, buyer, pool, 2, capture=captured)
        finally:
            await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT now()")
        for _ in range(2):
            ask = buyer.post(f"/api/orders/{order}/cancel") if who == "buyer" else shop_does(world, order, "cancel")
            answer = await ask
            assert answer.status_code == 200, answer.text
            assert answer.json()["state"] == ("refunded" if captured else "cancelled")
        for _ in range(2):
            await world.settle_all()
        assert await given_back(pg, order) == ([1200] if captured else [])
        state = await pg.fetchval("SELECT state FROM simulated_payments WHERE attempt_id = $1", order)
        assert state == ("captured" if captured else "voided")
        assert await balances(pg, order) == {}
        assert (await world.gate(pool)).left == 2
        await world.check(pool)
        assert (await world.take(buyer, pool, 2)).status_code == 201
        assert problem(await refund(world, order, 1)) == (
            (422, "refund_too_large") if captured else (409, "order_state")
        )


async def test_what_is_shipped_is_not_cancelled_and_still_refunded(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        for _ in range(2):
            assert (await shop_does(world, order, "ship")).json()["shipped"] is True
        assert problem(await buyer.post(f"/api/orders/{order}/cancel")) == (409, "order_state")
        assert problem(await shop_does(world, order, "cancel")) == (409, "order_state")
        assert (await refund(world, order, 600)).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_somebody_elses_order_is_not_there(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        order = await bought(world, buyer, pool)
        assert problem(await other.post(f"/api/orders/{order}/cancel")) == (404, "not_found")
        for what in ("cancel", "ship"):
            assert problem(await shop_does(elsewhere, order, what)) == (404, "not_found")
            assert problem(await shop_does(world, order, what, by=buyer)) == (403, "forbidden")
        assert problem(await refund(elsewhere, order, 1)) == (404, "not_found")
        assert problem(await refund(world, order, 1, by=elsewhere.host)) == (404, "not_found")
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "paid"


class LostCapture(SimulatedProvider):
    """Captures, and the answer is lost."""

    lost = True

    async def capture(self, attempt, order):
        answer = await super().capture(attempt, order)
        return Answer.SILENT if self.lost else answer


async def test_an_order_that_is_cancelled_while_it_is_captured_costs_nothing(pg, valkey):
    async with open_world(pg, valkey, provider=LostCapture(pg, silence_s=0)) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        assert (await buyer.post(f"/api/orders/{order}/cancel")).json()["state"] == "cancelled"
        for _ in range(2):
            await world.settle_all()
        assert await given_back(pg, order) == [600]
        assert await balances(pg, order) == {}
        assert await pg.fetchval("SELECT state FROM payment_attempts WHERE id = $1", order) == "voided"
        assert (await world.gate(pool)).left == 1


class Stingy(SimulatedProvider):
    """Gives nothing back."""

    async def refund(self, refund):
        del refund
        return Answer.DECLINED


async def test_a_refund_that_the_provider_refuses_leaves_the_order_paid(pg, valkey):
    async with open_world(pg, valkey, provider=Stingy(pg, silence_s=0)) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        for key in ("one", "two"):
            asked = await refund(world, order, 600, key=key)
            assert asked.json()["state"] == "asked"
            await world.settle_all()
            assert (await refund(world, order, 600, key=key)).json()["state"] == "refused"
        seen = (await buyer.get(f"/api/orders/{order}")).json()
        assert (seen["state"], seen.get("refunded_minor")) == ("paid", None)
        assert await balances(pg, order) == {"captured": 600, "owed": -600}
        (trouble,) = (await world.host.get(f"/api/shops/{world.shop}/troubles")).json()["troubles"]
        assert (trouble["order"], trouble["kind"], trouble["amount_minor"]) == (order, "refund_refused", 600)
        assert (await refund(world, order, 600, key="three")).status_code == 201  # while that is asked, none is due
        assert (await world.host.get(f"/api/shops/{world.shop}/troubles")).json()["troubles"] == []


async def at_the_desk(world, order: str, amount_minor: int) -> str:
    """Gives back in the provider's own books, and tells us of it."""
    refund = f"desk_{clock.new_id()}"
    await world.pg.execute("INSERT INTO simulated_refunds VALUES ($1, $2, $3)", refund, order, amount_minor)
    await world.pg.execute("INSERT INTO outbox (topic, subject) VALUES ('refunds.look', $1)", order)
    return refund


async def test_what_was_given_back_at_the_providers_desk_is_booked_once_and_counts(pg, valkey):
    """It was in no ledger: the order stayed paid in full, and was offered for a refund of money that had gone."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        desk = await at_the_desk(world, order, 250)
        for _ in range(2):
            await world.settle_all()
            await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'refunds.look'")
        seen = (await buyer.get(f"/api/orders/{order}")).json()
        assert (seen["state"], seen["refunded_minor"]) == ("paid", 250)
        assert await balances(pg, order) == {"captured": 350, "owed": -350}
        assert await pg.fetchval("SELECT count(*) FROM ledger WHERE event = $1", f"refunded {desk}") == 1
        assert problem(await refund(world, order, 351)) == (422, "refund_too_large")
        assert (await refund(world, order, 50)).status_code == 201
        await world.settle_all()
        await at_the_desk(world, order, 300)
        for _ in range(2):
            await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "refunded"
        assert await balances(pg, order) == {}
        hints = [type(hint).__name__ for _, person, hint in world.rooms.hints if person == buyer.account]
        assert hints == ["OrderPaid"] + ["OrderRefunded"] * 3
        assert (await world.gate(pool)).left == 0
        await world.check(pool)


async def test_a_refund_at_the_desk_that_comes_before_ours_leaves_nothing_to_refund(pg, valkey):
    """Ours was asked for and not done yet; the provider then refuses it, since nothing is left."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        await world.checkout.outbox.close()
        await at_the_desk(world, order, 600)
        assert (await refund(world, order, 600)).status_code == 201
        for _ in range(3):
            await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "refunded"
        assert await balances(pg, order) == {}
        assert await given_back(pg, order) == [600]


async def test_a_refund_that_is_told_before_its_capture_waits_for_it(pg, valkey):
    async with open_world(pg, valkey, provider=LostCapture(pg, silence_s=0)) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        order = await bought(world, buyer, pool)
        await at_the_desk(world, order, 600)
        await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "authorised"
        world.checkout.provider._provider.lost = False
        for _ in range(3):
            await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order}")).json()["state"] == "refunded"
        assert await balances(pg, order) == {}


async def test_units_of_a_sale_that_is_over_come_back_to_ordinary_stock(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(3)
        body = {"variant": variant, "price_minor": 600, "allotment": 3, "per_buyer_limit": 5, "duration_s": 600}
        sale = (await world.host.post(f"/api/shows/{world.show}/flash-sales", body)).json()
        buyer = await world.buyer()
        order = await bought(world, buyer, sale["pool"], 2)
        assert (await world.host.post(f"/api/shows/{world.show}/flash-sales/{sale['id']}/end")).status_code == 200
        assert (await buyer.post(f"/api/orders/{order}/cancel")).status_code == 200
        await world.settle_all()
        rows = [await world.pool_row(pool) for pool in (sale["pool"], ordinary)]
        assert [(row["allotment"], row["sold"]) for row in rows] == [(0, 0), (3, 0)]
        assert (await world.take(buyer, ordinary, 3)).status_code == 201
        await world.check(ordinary)
