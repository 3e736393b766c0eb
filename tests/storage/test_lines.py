"""The waitlist: what comes back goes to those who wait, in their order, each with a countdown of their own."""

import asyncio

import pytest

from app.flash_sales import line_store, rounds
from app.flash_sales.line_rounds import serve_lines
from app.flash_sales.moment import from_ms
from app.flash_sales.sources import SaleSource
from app.person import Person
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_sale_changes import act, shelf


async def join(world, buyer, pool: str):
    return await buyer.post("/api/lines", {"pool": pool, "show": world.show})


async def joined(world, buyer, pool: str) -> dict:
    answer = await join(world, buyer, pool)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def holds(buyer) -> list[dict]:
    return (await buyer.get("/api/holds")).json()["holds"]


async def places(buyer) -> list[dict]:
    return (await buyer.get("/api/lines")).json()["lines"]


async def let_go(buyer, hold: str) -> None:
    assert (await buyer.ask("DELETE", f"/api/holds/{hold}")).status_code == 204


def told(world, buyer) -> list[str]:
    """The states that the person's place was said to be in."""
    return [
        hint.place.state for _, person, hint in world.rooms.hints if person == buyer.account and hasattr(hint, "place")
    ]


async def overdue(world, pool: str) -> None:
    """Makes every offer and admission of the line one that nobody took in time."""
    await world.pg.execute("UPDATE line_entries SET until = $2 WHERE pool_id = $1", pool, from_ms(1))


async def test_units_that_come_back_are_offered_in_order_one_each_and_to_nobody_else(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        first, second, *waiting, late = await world.buyers(6)
        taken = [await world.held(first, pool), await world.held(second, pool)]
        assert [(await joined(world, one, pool))["place"] for one in waiting] == [1, 2, 3]
        assert [place["ahead"] for one in waiting for place in await places(one)] == [0, 1, 2]
        await serve_lines(world.sales)
        assert [await holds(one) for one in waiting] == [[], [], []]
        await asyncio.gather(*(let_go(one, hold) for one, hold in zip((first, second), taken, strict=True)))
        assert problem(await world.take(late, pool)) == (409, "all_held")
        await serve_lines(world.sales)
        assert [len(await holds(one)) for one in waiting] == [1, 1, 0]
        assert [told(world, one) for one in waiting] == [["offered"], ["offered"], []]
        (offered,) = await places(waiting[0])
        (hold,) = await holds(waiting[0])
        assert (offered["state"], offered["hold"], offered["until_ms"]) == (
            "offered",
            hold["id"],
            hold["expires_at_ms"],
        )
        assert 0 < hold["expires_in_ms"] <= 60_000
        assert (await world.order(waiting[0], hold["id"])).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_an_offer_that_nobody_takes_in_time_goes_to_the_next(pg, valkey):
    async with open_world(pg, valkey, offer_ttl_s=0) as world:
        pool = (await world.sale(1))["pool"]
        holder, first, second = await world.buyers(3)
        hold = await world.held(holder, pool)
        await joined(world, first, pool)
        await joined(world, second, pool)
        await let_go(holder, hold)
        await serve_lines(world.sales)
        await overdue(world, pool)
        await serve_lines(world.sales)
        assert (told(world, first), told(world, second)) == (["offered", "lapsed"], ["offered"])
        assert (await joined(world, first, pool))["place"] == 3


async def test_a_double_click_has_one_place_and_many_who_press_at_once_have_one_each(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        await world.held(await world.buyer(), pool)
        crowd = await world.buyers(30)
        answers = await asyncio.gather(*(join(world, one, pool) for one in [*crowd, *crowd]))
        entries = {answer.json()["entry"]: answer.json()["place"] for answer in answers}
        assert sorted(entries.values()) == list(range(1, 31))


async def test_a_declined_payment_of_an_offer_keeps_its_buyer_first_in_line_three_times(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        holder, first, second = await world.buyers(3)
        hold = await world.held(holder, pool)
        for one in (first, second):
            await joined(world, one, pool)
        await let_go(holder, hold)
        for _ in range(4):
            await serve_lines(world.sales)
            (offer,) = await holds(first)
            assert problem(await world.order(first, offer["id"], "declines")) == (402, "payment_declined")
            await world.sales.voice.drain()
        await serve_lines(world.sales)
        assert (len(await holds(first)), len(await holds(second))) == (0, 1)


async def test_who_has_all_that_one_may_have_is_passed_over_and_told(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3, per_buyer_limit=1))["pool"]
        full, other, next_one, helper = await world.buyers(4)
        mine, theirs = await world.held(full, pool), await world.held(other, pool)
        spare = await world.held(helper, pool)
        await joined(world, full, pool)
        await joined(world, next_one, pool)
        await let_go(other, theirs)
        await serve_lines(world.sales)
        await serve_lines(world.sales)
        assert told(world, full) == ["over"]
        assert ([one["id"] for one in await holds(full)], len(await holds(next_one))) == ([mine], 1)
        assert spare


async def test_leaving_a_line_gives_the_offer_to_the_next_and_signing_out_leaves_every_line(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        holder, first, second, third = await world.buyers(4)
        hold = await world.held(holder, pool)
        for one in (first, second, third):
            await joined(world, one, pool)
        await let_go(holder, hold)
        await serve_lines(world.sales)
        (offer,) = await holds(first)
        await let_go(first, offer["id"])
        assert await places(first) == []
        await joined(world, first, pool)
        assert (await first.ask("DELETE", f"/api/lines/{pool}")).status_code == 204
        assert problem(await first.ask("DELETE", f"/api/lines/{pool}")) == (404, "not_found")
        await serve_lines(world.sales)
        assert (await holds(first), len(await holds(second))) == ([], 1)
        assert (await second.ask("DELETE", "/api/session")).status_code == 204
        await serve_lines(world.sales)
        assert len(await holds(third)) == 1


async def test_units_added_to_a_sold_out_sale_go_to_those_who_wait_and_the_rest_to_anybody(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(1)
        await shelf(world, sale, 5)
        buyer, waiting, late = await world.buyers(3)
        assert (await world.order(buyer, await world.held(buyer, sale["pool"]))).status_code == 201
        await rounds.move_sales(world.sales)
        await joined(world, waiting, sale["pool"])
        await serve_lines(world.sales)
        await act(world, sale, "stock", units=2)
        assert problem(await world.take(late, sale["pool"])) == (409, "all_held")
        await serve_lines(world.sales)
        assert len(await holds(waiting)) == 1
        assert (await world.take(late, sale["pool"])).status_code == 201


async def test_a_line_ends_with_its_sale_and_takes_nobody_before_it_begins(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(1)
        variant, _ = await world.variant(2)
        body = {"variant": variant, "price_minor": 600, "allotment": 2, "per_buyer_limit": 1, "duration_s": 60}
        coming = (await world.host.post(f"/api/shows/{world.show}/flash-sales", body | {"countdown_s": 60})).json()
        buyer = await world.buyer()
        assert problem(await join(world, buyer, coming["pool"])) == (409, "not_started")
        assert problem(await join(world, buyer, "nopool")) == (404, "not_found")
        await joined(world, buyer, sale["pool"])
        await act(world, sale, "end")
        assert problem(await join(world, await world.buyer(), sale["pool"])) == (409, "ended")
        await serve_lines(world.sales)
        assert told(world, buyer) == ["over"]
        assert await places(buyer) == []


async def test_the_join_reply_tells_holds_places_and_offers_and_the_room_how_the_line_stands(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        holder, waiting, other = await world.buyers(3)
        hold = await world.held(holder, pool)
        await joined(world, waiting, pool)
        await joined(world, other, pool)
        await serve_lines(world.sales)
        source = SaleSource(world.sales)
        me = await source.me_of(world.show, Person(other.account, "Other"))
        assert [(place.state, place.place, place.ahead) for place in me["lines"]] == [("waiting", 2, 1)]
        assert (me["holds"], me["offers"]) == ([], [])
        line = world.rooms.value(world.show, f"line:{pool}")
        assert (line.waiting, line.first, line.each_ms) == (2, 1, None)
        await let_go(holder, hold)
        await serve_lines(world.sales)
        me = await source.me_of(world.show, Person(waiting.account, "Waiting"))
        assert [(offer.place.state, offer.hold.id) for offer in me["offers"]] == [("offered", me["holds"][0].id)]
        line = world.rooms.value(world.show, f"line:{pool}")
        assert (line.waiting, line.first) == (1, 2)
        assert line.each_ms is not None
        state = {key: value for key, _, value in await source.state_of(world.show)}
        assert state[f"line:{pool}"].waiting == 1


async def test_however_many_join_the_room_hears_of_the_line_once_a_round(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        await world.held(await world.buyer(), pool)
        crowd = await world.buyers(40)
        await asyncio.gather(*(join(world, one, pool) for one in crowd))
        await serve_lines(world.sales)
        await serve_lines(world.sales)
        said = [key for _, key, _, _ in world.rooms.published if key == f"line:{pool}"]
        assert len(said) == 1
        assert world.rooms.value(world.show, f"line:{pool}").waiting == 40


async def test_a_valkey_that_was_lost_keeps_every_place_and_lets_nobody_past_the_line(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        holder, waiting, late = await world.buyers(3)
        await world.held(holder, pool)
        await joined(world, waiting, pool)
        await valkey.flushall()
        await serve_lines(world.sales)  # the gate is rebuilt: nobody's payment was open, so the unit is free
        assert len(await holds(waiting)) == 1
        assert problem(await world.take(late, pool)) == (409, "all_held")
        await world.check(pool)


async def test_who_has_bought_what_was_offered_is_not_told_that_their_turn_has_passed(pg, valkey):
    """A minute after the purchase the page said that it had gone to the next in line."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        holder, buyer, slow, last = await world.buyers(4)
        hold = await world.held(holder, pool, 2)
        for one in (buyer, slow, last):
            await joined(world, one, pool)
        await let_go(holder, hold)
        await serve_lines(world.sales)
        (offer,) = await holds(buyer)
        assert (await world.order(buyer, offer["id"])).status_code == 201
        await overdue(world, pool)
        await serve_lines(world.sales)
        assert (told(world, buyer), told(world, slow)) == (["offered"], ["offered", "lapsed"])
        assert await places(buyer) == []
        assert (await joined(world, buyer, pool))["place"] == 4


async def test_what_was_offered_and_lost_with_valkey_is_offered_again_to_whom_it_was(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        holder, buyer, first, second = await world.buyers(4)
        hold = await world.held(holder, pool, 2)
        for one in (buyer, first, second):
            await joined(world, one, pool)
        await let_go(holder, hold)
        await serve_lines(world.sales)
        (offer,) = await holds(buyer)
        assert (await world.order(buyer, offer["id"])).status_code == 201
        await valkey.flushall()
        for _ in range(2):
            await serve_lines(world.sales)
        assert [len(await holds(one)) for one in (buyer, first, second)] == [0, 1, 0]
        assert (told(world, first), told(world, second)) == (["offered", "offered"], [])
        await world.settle_all()
        await world.check(pool)


async def test_a_key_that_was_granted_before_others_waited_still_has_its_hold(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        holder, waiting = await world.buyers(2)
        hold = (await world.take(holder, pool, key="mine")).json()["id"]
        await joined(world, waiting, pool)
        await serve_lines(world.sales)
        assert (await world.take(holder, pool, key="mine")).json()["id"] == hold
        assert problem(await world.take(holder, pool)) == (409, "all_held")


@pytest.mark.parametrize("workers", [2, 3])
async def test_two_workers_offer_each_unit_once(pg, valkey, workers):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        holder = await world.buyer()
        hold = await world.held(holder, pool, 3)
        crowd = await world.buyers(6)
        for one in crowd:
            await joined(world, one, pool)
        await let_go(holder, hold)
        await asyncio.gather(*(serve_lines(world.sales) for _ in range(workers)))
        assert [len(await holds(one)) for one in crowd] == [1, 1, 1, 0, 0, 0]
        counts = await line_store.count_line(pg, pool)
        assert (counts.waiting, counts.first, counts.served) == (3, 4, 3)
