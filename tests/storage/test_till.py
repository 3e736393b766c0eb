"""The till: purchases of one pool go through all steps together, and each gets its own answer."""

import asyncio
from collections import Counter

import structlog

from app import clock
from app.checkout import parts
from app.checkout.settle import settle
from app.flash_sales import rounds
from app.flash_sales.gate import WishToPay
from app.flash_sales.hold_index import BUSY_POOLS_KEY
from app.flash_sales.holds import take_to_pay
from app.flash_sales.line_rounds import serve_lines
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.waiting import eventually, eventually_true

GUARD_S = 60


async def test_a_crowd_becomes_orders_in_a_few_statements(pg, valkey, monkeypatch):
    sizes = {"write_attempts": [], "commit_orders": []}
    for name, seen in sizes.items():
        original = getattr(parts, name)

        async def counted(own, batch, original=original, seen=seen):
            seen.append(len(batch))
            return await original(own, batch)

        monkeypatch.setattr(parts, name, counted)
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(40))["pool"]
        buyers = await world.buyers(40)
        answers = await asyncio.gather(*(world.buy_now(buyer, pool) for buyer in buyers))
        assert {one.status_code for one in answers} == {201}
        assert len({one.json()["id"] for one in answers}) == 40
        for seen in sizes.values():
            assert sum(seen) == 40
            assert len(seen) <= 10
        await world.settle_all()
        await world.check(pool)


async def test_each_of_a_crowd_gets_its_own_answer_and_who_hangs_holds_nobody_up(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=GUARD_S, settle_after_s=0) as world:
        pool = (await world.sale(20, per_buyer_limit=3))["pool"]
        hanging, *buyers = await world.buyers(9)
        hung = asyncio.ensure_future(world.buy_now(hanging, pool, method="hangs"))
        wants = [("works", 1)] * 4 + [("declines", 1), ("challenges", 1), ("lent", 1), ("works", 4)]
        asked = [world.buy_now(one, pool, count, method) for one, (method, count) in zip(buyers, wants, strict=True)]
        async with asyncio.timeout(GUARD_S):
            answers = await asyncio.gather(*asked)
        assert not hung.done()
        codes = Counter("order" if one.status_code == 201 else problem(one)[1] for one in answers)
        assert codes == {"order": 5, "payment_declined": 1, "payment_challenge": 1, "over_limit": 1}
        # The bank's question outlives the request, and so does the hold: its buyer finds it again.
        assert len((await buyers[5].get("/api/holds")).json()["holds"]) == 1
        hung.cancel()
        await asyncio.wait([hung])


async def test_a_request_still_worked_on_is_told_so_when_the_door_has_forgotten_it_and_let_others_in(pg, valkey):
    """It was told why it may not buy, and then its order came."""
    async with open_world(pg, valkey, payment_timeout_s=GUARD_S, settle_after_s=0) as world:
        pool = (await world.sale(9, per_address_limit=1))["pool"]
        buyer, other = await world.buyers(2)
        hung = asyncio.ensure_future(world.buy_now(buyer, pool, method="hangs", key="k"))

        async def written() -> bool:
            return await pg.fetchval("SELECT count(*) FROM payment_attempts WHERE account_id = $1", buyer.account) == 1

        await eventually(written, GUARD_S)
        await valkey.flushall()
        await world.held(other, pool)
        assert problem(await world.buy_now(other, pool)) == (409, "address_limit")
        assert problem(await world.buy_now(buyer, pool, method="hangs", key="k")) == (409, "in_progress")
        hung.cancel()
        await asyncio.wait([hung])


async def test_who_comes_while_others_wait_in_line_takes_nothing_past_them(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        holder, waiting, late = await world.buyers(3)
        hold = await world.held(holder, pool)
        assert (await waiting.post("/api/lines", {"pool": pool, "show": world.show})).status_code == 201
        await serve_lines(world.sales)
        assert (await holder.ask("DELETE", f"/api/holds/{hold}")).status_code == 204
        assert problem(await world.buy_now(late, pool)) == (409, "all_held")
        await world.check(pool)


async def test_an_order_that_nobody_was_told_of_is_there_for_the_same_key(pg, valkey):
    async with open_world(pg, valkey, settle_after_s=0) as world:
        pool = (await world.sale(3))["pool"]
        buyer, key = await world.buyer(), clock.new_id()
        commit, lost = world.checkout.commits._decide, []

        async def lose(batch):
            answer = await commit(batch)
            if not lost:
                lost.extend(batch)
                raise ConnectionResetError
            return answer

        world.checkout.commits._decide = lose
        assert problem(await world.buy_now(buyer, pool, key=key)) == (503, "unavailable")
        again = await world.buy_now(buyer, pool, key=key)
        assert (again.status_code, again.json()["id"]) == (201, lost[0])
        await settle(world.checkout)
        await world.settle_all()
        await world.check(pool)


async def test_what_breaks_when_the_gate_is_told_is_told_to_the_log_and_takes_nobodys_order(pg, valkey):
    """It was told to nobody at all."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        buyer = await world.buyer()

        async def broken(*_args):
            raise RuntimeError("a defect")

        world.checkout.gate.confirm_all = broken
        with structlog.testing.capture_logs() as logs:
            assert (await world.buy_now(buyer, pool)).status_code == 201
            await eventually_true(lambda: "checkout.confirm_failed" in [one["event"] for one in logs], GUARD_S, "told")
        assert [one["purchases"] for one in logs if one["event"] == "checkout.confirm_failed"] == [1]
        await world.settle_all()
        await world.check(pool)


async def test_nobody_waits_until_the_gate_knows_of_their_order_which_the_outbox_tells_it_when_the_till_dies(
    pg, valkey
):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        buyer, told = await world.buyer(), []

        async def die(*asked):
            told.append(asked)

        world.checkout.gate.confirm_all = die
        world.checkout.outbox.kick = lambda _count: None  # it dies as well
        assert (await world.buy_now(buyer, pool)).status_code == 201
        gate = await world.gate(pool)
        assert (len(told), gate.held, gate.sold) == (1, 1, 0)
        await world.settle_all()
        gate = await world.gate(pool)
        assert (gate.held, gate.sold) == (0, 1)
        await world.check(pool)


async def test_the_till_closes_when_the_gate_knows_of_all_orders(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        buyer, go_on, known = await world.buyer(), asyncio.Event(), []
        confirm_all = world.checkout.gate.confirm_all

        async def slowly(*asked):
            await go_on.wait()
            known.append(await confirm_all(*asked))

        world.checkout.gate.confirm_all = slowly
        assert (await world.buy_now(buyer, pool)).status_code == 201
        closing = [asyncio.ensure_future(finish()) for finish in world.checkout.before_close]
        await asyncio.wait(closing, timeout=0)
        assert not known
        go_on.set()
        async with asyncio.timeout(GUARD_S):
            await asyncio.gather(*closing)
        assert [one.code for one in known] == ["sold"]
        gate = await world.gate(pool)
        assert (gate.held, gate.sold) == (0, 1)


async def test_a_purchase_that_gave_its_hold_back_is_judged_anew_under_the_same_key(pg, valkey):
    """It was answered `hold_ended` from then on, whatever its buyer agreed to meanwhile."""
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(1)
        buyer, headers = await world.buyer(), {"Idempotency-Key": "k"}
        wrong = {"total_minor": 999, "shipping": "", "policy": 0}
        body = {"pool": pool, "quantity": 1, "method": "works"}
        for _ in range(2):
            answer = await buyer.post("/api/buy-now", body | {"agreed": wrong}, headers=headers)
            assert problem(answer) == (409, "total_changed")
            assert await world.live_holds(pool) == []
        made = await buyer.post("/api/buy-now", body, headers=headers)
        assert made.status_code == 201, made.text
        again = await buyer.post("/api/buy-now", body, headers=headers)
        assert again.json()["id"] == made.json()["id"]
        await world.settle_all()
        await world.check(pool)


async def test_a_hold_whose_purchase_died_before_its_attempt_was_written_ends_by_the_workers_round(pg, valkey):
    async with open_world(pg, valkey, hold_ttl_s=0) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        wish = WishToPay(clock.new_ordered_id(), buyer.account, "now:k", "1:", 1, "")
        (taken,) = await take_to_pay(world.sales, pool, [wish], for_ms=0, total_max_ms=0)
        assert (taken.code, taken.hold.attempt) == ("granted", wish.attempt)
        assert await valkey.zscore(BUSY_POOLS_KEY, pool) == taken.hold.expires_at_ms
        await valkey.zadd(BUSY_POOLS_KEY, {pool: taken.hold.expires_at_ms - 10_000})
        await rounds.end_overdue_holds(world.sales)
        assert await valkey.zscore(BUSY_POOLS_KEY, pool) is None
        assert await world.live_holds(pool) == []
        assert (await world.gate(pool)).left == 1
