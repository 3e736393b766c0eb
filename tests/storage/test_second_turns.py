"""Who comes to a waiting room a second time: a turn is good for one hold, which uses up no other turn."""

import asyncio

from app.checkout.provider import Answer
from app.checkout.simulated import SimulatedProvider
from app.flash_sales import line_store
from app.flash_sales.line_rounds import serve_lines
from app.flash_sales.voice import HoldReleased
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_lines import joined, overdue, places
from tests.storage.test_sale_changes import act
from tests.storage.test_waiting_room import admission, hot_sale
from tests.waiting import eventually, eventually_true


class SlowToDecline(SimulatedProvider):
    """Declines when the test says so."""

    def __init__(self, pg) -> None:
        super().__init__(pg, silence_s=0)
        self.begun, self.end = asyncio.Event(), asyncio.Event()

    async def authorise(self, payment, *asked) -> Answer:
        del payment, asked
        self.begun.set()
        await self.end.wait()
        return Answer.DECLINED

    async def authorise_all(self, payments) -> list[Answer]:
        return [await self.authorise(one) for one in payments]


async def turn(world, buyer, pool: str) -> str:
    """The admission of one more turn."""
    await joined(world, buyer, pool)
    await serve_lines(world.sales)
    return await admission(buyer)


async def take(world, buyer, pool: str, token: str, key: str | None = None) -> str:
    answer = await world.take(buyer, pool, key=key, admission=token)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def lost(_) -> None:
    raise ConnectionError("Postgres was away for a moment")


async def running(world, allotment: int) -> str:
    """The pool of a hot sale that has begun."""
    sale = await hot_sale(world, allotment)
    await act(world, sale, "start")
    return sale["pool"]


async def states(world, pool: str) -> list[str]:
    """Of all turns in the order in which they were joined."""
    rows = await world.pg.fetch("SELECT state FROM line_entries WHERE pool_id = $1 ORDER BY joined_at", pool)
    return [row["state"] for row in rows]


async def unused(world, pool: str) -> int:
    """How many admissions the door takes for unused."""
    return int(await world.valkey.hget(f"{{pool:{pool}}}:admissions", "\0") or 0)


async def test_who_lost_two_holds_with_valkey_waits_again_once_and_at_the_first_place(pg, valkey):
    """Both places were to be had again in one statement: the index refused, and the worker's loops ended."""
    async with open_world(pg, valkey) as world:
        pool, buyer, other = await running(world, 4), await world.buyer(), await world.buyer()
        for one in (buyer, other, buyer):
            await take(world, one, pool, await turn(world, one, pool))
        await valkey.flushall()
        await serve_lines(world.sales)
        assert await states(world, pool) == ["admitted", "admitted", "served"]
        assert [place["place"] for one in (buyer, other) for place in await places(one)] == [1, 2]
        await take(world, buyer, pool, await admission(buyer))
        await serve_lines(world.sales)
        assert await states(world, pool) == ["served", "admitted", "served"]


async def test_of_two_places_that_one_person_has_lost_the_first_is_had_again(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer = await running(world, 4), await world.buyer()
        taken = [await take(world, buyer, pool, await turn(world, buyer, pool)) for _ in range(2)]
        async with pg.acquire() as connection:
            for _ in range(2):
                await line_store.bring_back(connection, taken[::-1])
        assert await states(world, pool) == ["waiting", "served"]


async def test_whose_payment_fails_while_they_are_in_line_again_keeps_that_place_and_hears_of_the_hold(pg, valkey):
    provider = SlowToDecline(pg)
    async with open_world(pg, valkey, provider=provider) as world:
        pool, buyer = await running(world, 4), await world.buyer()
        hold = await take(world, buyer, pool, await turn(world, buyer, pool))
        second = await turn(world, buyer, pool)
        paying = asyncio.create_task(world.order(buyer, hold))
        await provider.begun.wait()
        await serve_lines(world.sales)
        assert await states(world, pool) == ["served", "admitted"]
        provider.end.set()
        assert problem(await paying) == (402, "payment_declined")
        await eventually_true(lambda: (world.show, buyer.account, HoldReleased(hold)) in world.rooms.hints)
        await serve_lines(world.sales)
        assert await states(world, pool) == ["served", "admitted"]
        await take(world, buyer, pool, second)


async def test_who_comes_into_the_line_just_as_their_place_is_had_again_is_in_it_once(pg, valkey):
    """What another transaction writes at that moment is not seen, and the index refused it."""
    async with open_world(pg, valkey) as world:
        pool, (buyer, other) = await running(world, 4), await world.buyers(2)
        taken = [await take(world, one, pool, await turn(world, one, pool)) for one in (buyer, other)]
        async with pg.acquire() as joining, pg.acquire() as round_, round_.transaction():
            begun = joining.transaction()
            await begun.start()
            new = line_store.NewEntry("later", pool, buyer.account, world.show, 3)
            await line_store.insert_entries(joining, [new])
            back = asyncio.create_task(line_store.bring_back(round_, taken))
            pid = round_.get_server_pid()

            async def waits() -> bool:
                return await pg.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid)

            await eventually(waits)
            await begun.commit()
            await back
        assert await states(world, pool) == ["served", "waiting", "waiting"]


async def test_a_payment_for_the_hold_of_the_first_turn_leaves_the_second_admission(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer, other = await running(world, 4), await world.buyer(), await world.buyer()
        hold = await take(world, buyer, pool, await turn(world, buyer, pool))
        second = await turn(world, buyer, pool)
        assert (await world.order(buyer, hold)).status_code == 201
        await serve_lines(world.sales)
        assert await states(world, pool) == ["served", "admitted"]
        await take(world, buyer, pool, second)
        assert await unused(world, pool) == 0
        # And no unit is kept for anybody who has had it.
        token = await turn(world, other, pool)
        assert (await world.take(other, pool, 2, admission=token)).status_code == 201


async def test_an_admission_that_a_payment_ends_is_taken_back_at_the_door(pg, valkey, monkeypatch):
    """It kept a unit there, and let in whoever had it, long after its time."""
    async with open_world(pg, valkey) as world:
        pool, buyer = await running(world, 4), await world.buyer()
        token = await turn(world, buyer, pool)
        with monkeypatch.context() as without:
            without.setattr(world.sales.served, "submit", lost)
            hold = await take(world, buyer, pool, token)
        await overdue(world, pool)
        await serve_lines(world.sales)
        # Of two turns neither has this hold: whose it is nobody can tell, and one admission is for one hold.
        second = await turn(world, buyer, pool)
        assert (await states(world, pool), await unused(world, pool)) == (["lapsed", "admitted"], 1)
        assert (await world.order(buyer, hold)).status_code == 201
        await serve_lines(world.sales)
        assert (await states(world, pool), await unused(world, pool)) == (["lapsed", "served"], 0)
        assert problem(await world.take(buyer, pool, admission=second)) == (403, "not_admitted")


async def test_the_request_of_the_first_turn_sent_again_leaves_the_second_admission(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool, buyer = await running(world, 4), await world.buyer()
        first = await turn(world, buyer, pool)
        hold = await take(world, buyer, pool, first, key="once")
        second = await turn(world, buyer, pool)
        for token in (first, second):
            assert await take(world, buyer, pool, token, key="once") == hold
            assert await states(world, pool) == ["served", "admitted"]
        assert await take(world, buyer, pool, second) != hold
        assert await states(world, pool) == ["served", "served"]


async def test_a_note_that_was_lost_is_made_when_the_request_is_sent_again(pg, valkey, monkeypatch):
    async with open_world(pg, valkey) as world:
        pool, buyer = await running(world, 4), await world.buyer()
        token = await turn(world, buyer, pool)
        with monkeypatch.context() as without:
            without.setattr(world.sales.served, "submit", lost)
            hold = await take(world, buyer, pool, token, key="once")
        assert await states(world, pool) == ["admitted"]
        assert await take(world, buyer, pool, token, key="once") == hold
        assert await states(world, pool) == ["served"]


async def test_a_note_that_was_lost_is_not_made_in_a_later_turn(pg, valkey, monkeypatch):
    async with open_world(pg, valkey) as world:
        pool, buyer = await running(world, 4), await world.buyer()
        first = await turn(world, buyer, pool)
        with monkeypatch.context() as without:
            without.setattr(world.sales.served, "submit", lost)
            hold = await take(world, buyer, pool, first, key="once")
        await overdue(world, pool)
        await serve_lines(world.sales)
        await turn(world, buyer, pool)
        assert await take(world, buyer, pool, first, key="once") == hold
        assert await states(world, pool) == ["lapsed", "admitted"]
