"""The waiting room: those who come before the start are drawn, then first come first served, by admission alone."""

import asyncio
from collections import Counter

import pytest
from msgspec import structs

from app.flash_sales import rounds
from app.flash_sales.door import Verdict, Wish
from app.flash_sales.draw_rules import commitment_of, crowd_of, draw_order
from app.flash_sales.draws import check_draw
from app.flash_sales.line_rounds import serve_lines
from tests.protocol.callers import Caller, problem
from tests.storage.stock_world import open_world
from tests.storage.test_lines import holds, join, joined, let_go, overdue, places, told
from tests.storage.test_sale_changes import act
from tests.waiting import eventually


async def hot_sale(world, allotment: int, **wanted) -> dict:
    variant, _ = await world.variant(allotment)
    body = {"variant": variant, "price_minor": 600, "allotment": allotment, "per_buyer_limit": 2, "duration_s": 600}
    body |= {"countdown_s": 60, "waiting_room": True} | wanted
    answer = await world.host.post(f"/api/shows/{world.show}/flash-sales", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def draw_of(world, sale: dict) -> dict:
    return (await world.host.get(f"/api/shows/{world.show}/flash-sales/{sale['id']}/draw")).json()


async def admission(buyer) -> str:
    (place,) = await places(buyer)
    assert place["state"] == "admitted", place
    return place["admission"]


async def test_those_before_the_start_are_drawn_and_served_in_that_order_and_the_late_ones_after(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 3)
        crowd = await world.buyers(6)
        entries = {(await joined(world, one, sale["pool"]))["entry"]: one for one in crowd}
        assert [place["place"] for one in crowd for place in await places(one)] == [None] * 6
        await serve_lines(world.sales)
        assert world.rooms.value(world.show, f"line:{sale['pool']}").waiting == 6
        await act(world, sale, "start")
        await serve_lines(world.sales)
        late = await world.buyer()
        assert (await joined(world, late, sale["pool"]))["place"] == 7
        published = await draw_of(world, sale)
        order = draw_order(bytes.fromhex(published["seed"]), list(entries))
        assert published["order"] == order
        ranked = [entries[entry] for entry in order]
        assert [told(world, one) for one in ranked] == [["admitted"]] * 3 + [["waiting"]] * 3
        assert [(await places(one))[0]["place"] for one in ranked] == [1, 2, 3, 4, 5, 6]
        for one in ranked[:3]:
            taken = await world.take(one, sale["pool"], admission=await admission(one))
            assert taken.status_code == 201, taken.text
        await serve_lines(world.sales)

        async def three_before() -> bool:
            return [place["ahead"] for place in await places(late)] == [3]

        await eventually(three_before)  # a process knows how a line stood a moment ago
        assert [place["state"] for place in await places(ranked[3])] == ["waiting"]


async def test_the_seed_is_committed_to_in_the_room_before_and_revealed_after_and_anybody_can_check(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 1)
        said = [event.commitment for _, event in world.rooms.events if getattr(event, "sale", "") == sale["id"]]
        assert said == [sale["commitment"]] == [world.rooms.value(world.show, f"sale:{sale['id']}").commitment]
        for one in await world.buyers(20):
            await joined(world, one, sale["pool"])
        before = await draw_of(world, sale)
        assert (before["seed"], before["order"], sale["seed"]) == (None, [], None)
        await act(world, sale, "start")
        await serve_lines(world.sales)
        await serve_lines(world.sales)
        answer = await Caller(world.app).get(f"/api/shows/{world.show}/flash-sales/{sale['id']}/draw")
        assert commitment_of(bytes.fromhex(answer.json()["seed"])) == sale["commitment"]
        assert "20 entries" in check_draw(answer.content, sale["commitment"])
        seeds = [
            getattr(event, "seed", None) for _, event in world.rooms.events if getattr(event, "sale", "") == sale["id"]
        ]
        assert seeds == [None, None, answer.json()["seed"]]
        (crowd,) = [event.crowd for _, event in world.rooms.events if getattr(event, "crowd", "")]
        assert crowd == answer.json()["crowd"] == crowd_of(answer.json()["order"]).hex()
        with pytest.raises(ValueError, match="not the one whose hash"):
            check_draw(answer.content, "00" * 32)
        swapped = answer.json()["order"]
        swapped[0], swapped[1] = swapped[1], swapped[0]
        tampered = answer.text.replace(str(answer.json()["order"]).replace("'", '"').replace(" ", ""), "[]")
        with pytest.raises(ValueError, match="not the one that the seed gives"):
            check_draw(tampered.replace("[]", str(swapped).replace("'", '"')).encode())


async def test_the_gate_opens_for_an_admission_once_for_its_person_and_its_sale_only(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale, other_sale = await hot_sale(world, 2), await hot_sale(world, 2)
        pool = sale["pool"]
        admitted, stranger = await world.buyers(2)
        await joined(world, admitted, pool)
        for one in (sale, other_sale):
            await act(world, one, "start")
        await serve_lines(world.sales)
        token = await admission(admitted)
        assert problem(await world.take(admitted, pool)) == (403, "not_admitted")
        assert problem(await world.take(admitted, pool, admission="guess")) == (403, "not_admitted")
        assert problem(await world.take(stranger, pool, admission=token)) == (403, "not_admitted")
        assert problem(await world.take(admitted, other_sale["pool"], admission=token)) == (403, "not_admitted")
        answers = await asyncio.gather(*(world.take(admitted, pool, admission=token) for _ in range(5)))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 4}
        assert {problem(answer)[1] for answer in answers if answer.status_code == 409} == {"admission_used"}
        (hold,) = await holds(admitted)
        await let_go(admitted, hold["id"])
        assert problem(await world.take(admitted, pool, admission=token)) == (409, "admission_used")


async def test_a_double_click_and_a_refused_wish_use_no_second_admission(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 2)
        buyer = await world.buyer()
        await joined(world, buyer, sale["pool"])
        await act(world, sale, "start")
        await serve_lines(world.sales)
        token = await admission(buyer)
        assert problem(await world.take(buyer, sale["pool"], 9, admission=token)) == (409, "over_limit")
        clicks = await asyncio.gather(*(world.take(buyer, sale["pool"], key="k", admission=token) for _ in range(3)))
        assert {(click.status_code, click.json()["id"]) for click in clicks} == {(201, clicks[0].json()["id"])}
        assert problem(await world.take(buyer, sale["pool"], 2, key="k", admission=token)) == (
            422,
            "idempotency_mismatch",
        )
        assert problem(await world.take(buyer, sale["pool"], admission=token)) == (409, "admission_used")


async def test_a_declined_payment_admits_its_buyer_again(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 1)
        buyer, other = await world.buyers(2)
        for one in (buyer, other):
            await joined(world, one, sale["pool"])
        await act(world, sale, "start")
        await serve_lines(world.sales)
        first, second = (buyer, other) if told(world, buyer) == ["admitted"] else (other, buyer)
        hold = (await world.take(first, sale["pool"], admission=await admission(first))).json()["id"]
        assert problem(await world.order(first, hold, "declines")) == (402, "payment_declined")
        await world.sales.voice.drain()
        await serve_lines(world.sales)
        again = await world.take(first, sale["pool"], admission=await admission(first))
        assert (await world.order(first, again.json()["id"])).status_code == 201
        assert told(world, second) == ["waiting"]


async def test_a_declined_payment_keeps_its_buyers_turn_although_a_round_comes_first(pg, valkey, monkeypatch):
    """The unit was free in Valkey before the place was theirs again in Postgres: in between the next one got it."""
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 1)
        pool, crowd = sale["pool"], await world.buyers(2)
        for one in crowd:
            await joined(world, one, pool)
        await act(world, sale, "start")
        await serve_lines(world.sales)
        first, second = sorted(crowd, key=lambda one: told(world, one))
        hold = (await world.take(first, pool, admission=await admission(first))).json()["id"]

        async def not_yet(*_):
            """What the gate told has not been acted on."""

        monkeypatch.setattr(world.sales.voice, "_ended", not_yet)
        assert problem(await world.order(first, hold, "declines")) == (402, "payment_declined")
        for _ in range(2):
            await serve_lines(world.sales)
        assert (told(world, first), told(world, second)) == (["admitted", "admitted"], ["waiting"])
        assert (await world.take(first, pool, admission=await admission(first))).status_code == 201


async def test_an_admission_that_is_not_used_in_time_goes_to_the_next(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 1)
        crowd = await world.buyers(2)
        for one in crowd:
            await joined(world, one, sale["pool"])
        await act(world, sale, "start")
        await serve_lines(world.sales)
        first, second = crowd if told(world, crowd[0]) == ["admitted"] else crowd[::-1]
        token = await admission(first)
        await overdue(world, sale["pool"])
        await serve_lines(world.sales)
        assert problem(await world.take(first, sale["pool"], admission=token)) == (403, "not_admitted")
        assert (await world.take(second, sale["pool"], admission=await admission(second))).status_code == 201


async def test_nobody_is_admitted_before_the_start_by_the_servers_clock(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 2)
        buyer = await world.buyer()
        await joined(world, buyer, sale["pool"])
        await rounds.move_sales(world.sales)
        await serve_lines(world.sales)
        assert (told(world, buyer), (await draw_of(world, sale))["seed"]) == ([], None)
        assert problem(await world.take(buyer, sale["pool"], admission="early")) == (403, "not_admitted")


async def test_a_waiting_room_needs_time_before_the_start(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(2)
        body = {"variant": variant, "price_minor": 600, "allotment": 2, "per_buyer_limit": 1, "duration_s": 60}
        wrong = await world.host.post(f"/api/shows/{world.show}/flash-sales", body | {"waiting_room": True})
        assert problem(wrong) == (400, "malformed")
        plain = (await world.host.post(f"/api/shows/{world.show}/flash-sales", body | {"countdown_s": 10})).json()
        assert (plain["waiting_room"], plain["commitment"]) == (False, None)
        found = await world.host.get(f"/api/shows/{world.show}/flash-sales/{plain['id']}/draw")
        assert problem(found) == (404, "not_found")
        assert problem(await join(world, await world.buyer(), plain["pool"])) == (409, "not_started")


def far(buyer: Caller, app, address: str) -> Caller:
    """The same person, calling from another address."""
    return Caller(app, buyer.secret, account=buyer.account, address=address)


async def test_one_network_has_no_more_units_than_it_may_and_gets_them_back_with_its_holds(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=3, per_buyer_limit=9))["pool"]
        people = await world.buyers(4)
        here = [far(one, world.app, f"198.51.100.{n}") for n, one in enumerate(people)]
        first = await world.held(here[0], pool, 2)
        answers = await asyncio.gather(*(world.take(one, pool) for one in here[1:]))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 2}
        assert {problem(one)[1] for one in answers if one.status_code == 409} == {"address_limit"}
        there = far(people[3], world.app, "198.51.101.1")
        assert (await world.take(there, pool, 3)).status_code == 201
        six = [far(people[3], world.app, f"2001:db8:0:1::{n}") for n in range(2)]
        assert (await world.take(six[0], pool, 3)).status_code == 201
        assert problem(await world.take(six[1], pool)) == (409, "address_limit")
        await let_go(here[0], first)
        assert (await world.take(here[2], pool, 2)).status_code == 201
        assert (await world.take(far(people[0], world.app, "127.0.0.1"), pool, 9)).status_code == 201


async def test_units_of_a_network_come_back_when_a_hold_runs_out_or_a_payment_fails(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=1, per_buyer_limit=9))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        assert problem(await world.take(buyer, pool)) == (409, "address_limit")
        assert problem(await world.order(buyer, hold, "declines")) == (402, "payment_declined")
        await world.sales.voice.drain()
        hold = await world.held(buyer, pool)
        assert (await world.order(buyer, hold)).status_code == 201
        assert problem(await world.take(buyer, pool)) == (409, "address_limit")


async def test_a_key_whose_hold_is_over_counts_nothing_for_its_network_however_often_it_is_sent_again(pg, valkey):
    """Each repeat left its units counted: who held nothing shut everybody of their network out of the sale."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=2, per_buyer_limit=9))["pool"]
        buyer, networks = await world.buyer(), f"{{pool:{pool}}}:networks"
        hold = (await world.take(buyer, pool, 2, key="k")).json()["id"]
        assert (await world.take(buyer, pool, 2, key="k")).json()["id"] == hold
        assert problem(await world.take(buyer, pool, key="k")) == (422, "idempotency_mismatch")
        assert await valkey.hvals(networks) == [b"2"]
        await let_go(buyer, hold)
        again = await world.take(buyer, pool, 2, key="k")
        assert (again.json()["id"], again.json()["state"]) == (hold, "released")
        assert problem(await world.take(buyer, pool, key="k")) == (422, "idempotency_mismatch")
        assert await valkey.hgetall(networks) == {}
        for _ in range(3):  # the till's: of a pool without a waiting room
            assert problem(await world.buy_now(buyer, pool, method="declines", key="now")) == (402, "payment_declined")
            await world.sales.voice.drain()
            assert await valkey.hgetall(networks) == {}
        assert problem(await world.buy_now(buyer, pool, 2, "declines", key="now")) == (422, "idempotency_mismatch")
        assert await valkey.hgetall(networks) == {}
        await world.held(buyer, pool, 2)


async def test_units_of_a_network_come_back_when_an_order_is_cancelled(pg, valkey):
    """They stayed counted: a household that had changed its mind could not buy again."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=2, per_buyer_limit=9))["pool"]
        buyer = await world.buyer()
        order = (await world.order(buyer, await world.held(buyer, pool, 2))).json()["id"]
        await world.settle_all()
        assert problem(await world.take(buyer, pool)) == (409, "address_limit")
        assert (await buyer.post(f"/api/orders/{order}/cancel")).status_code == 200
        for _ in range(2):  # a repeated note changes nothing more
            await world.settle_all()
            await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'units.returned'")
        await world.held(buyer, pool, 2)
        assert problem(await world.take(buyer, pool)) == (409, "address_limit")


async def test_who_is_inside_is_still_asked_for_the_admission_that_let_them_in(pg, valkey):
    """A place inside let in whoever named its key, also when the admission had been taken back."""
    async with open_world(pg, valkey) as world:
        pool = (await hot_sale(world, 3))["pool"]
        door, epoch = world.sales.door, (await world.gate(pool)).epoch
        wish = Wish("ana", "k", "203.0.113.0/24", 2, 3, True, "first")
        await door.admit(pool, "ana", "first", epoch)
        assert [await door.enter(pool, wish) for _ in range(2)] == [Verdict.IN] * 2
        assert await door.enter(pool, structs.replace(wish, admission="guess")) is Verdict.NOT_ADMITTED
        await door.expel(pool, "ana")
        assert await door.enter(pool, wish) is Verdict.NOT_ADMITTED
        await door.admit(pool, "ana", "second", epoch)
        again = structs.replace(wish, admission="second")
        assert await door.enter(pool, again) is Verdict.NOT_ADMITTED
        other = structs.replace(again, place="other", units=1)
        assert [await door.enter(pool, other) for _ in range(2)] == [Verdict.IN] * 2
        assert (await valkey.hgetall(f"{{pool:{pool}}}:networks")) == {b"203.0.113.0/24": b"3"}


async def test_the_door_counts_a_wish_of_one_key_once(pg, valkey):
    async with open_world(pg, valkey) as world:
        door, wish = world.sales.door, Wish("ana", "k", "203.0.113.0/24", 2, 3, False, "")
        assert await asyncio.gather(*(door.enter("p", wish) for _ in range(3))) == [Verdict.IN] * 3
        assert await valkey.hgetall("{pool:p}:networks") == {b"203.0.113.0/24": b"2"}
        for _ in range(2):
            await door.back("p", "ana", "k", reuse=False)
        assert await valkey.hgetall("{pool:p}:networks") == {}
