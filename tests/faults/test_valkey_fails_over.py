"""An external Valkey that fails over to a replica without its tail, or comes back from an old file: rooms, gates."""

from contextlib import AsyncExitStack

import pytest

from app import clock
from app.chat.copy import copy_all
from app.outage import EXTERNAL, is_outage
from app.rooms.presence import sum_up
from tests.chat_place import chat_place
from tests.protocol.callers import problem
from tests.protocol.room_server import room_server
from tests.storage.stock_world import open_world
from tests.valkey_servers import client_of, own_valkeys, switch
from tests.waiting import eventually


async def in_sync(primary, replica):
    async def same() -> bool:
        ours, theirs = await primary.info("replication"), await replica.info("replication")
        return (
            theirs["master_link_status"] == "up"
            and not theirs["master_sync_in_progress"]
            and ours["master_repl_offset"] == theirs["slave_repl_offset"]
        )

    await eventually(same, 30, "the replica in step")


class Pair:
    """A primary and a replica of it; the service knows only `front`, which is turned to the one that counts."""

    async def start(self, stack, folder):
        start = stack.enter_context(own_valkeys(folder))
        self.primary = await start()
        self.between = await stack.enter_async_context(switch(self.primary.port))
        self.replica = await start("--replicaof", "127.0.0.1", str(self.between.port))
        self.front = await stack.enter_async_context(switch(self.primary.port))
        self.one = await stack.enter_async_context(client_of(self.primary.url))
        self.other = await stack.enter_async_context(client_of(self.replica.url))
        await in_sync(self.one, self.other)

    async def hold(self):
        """From now on the replica gets nothing."""
        await in_sync(self.one, self.other)
        self.between.flowing.clear()

    async def fail_over(self):
        """The primary dies with what the replica lacks."""
        self.primary.kill()
        await self.other.replicaof("NO", "ONE")
        self.front.turn(self.replica.port)


@pytest.fixture
async def pair(tmp_path):
    async with AsyncExitStack() as stack:
        pair = Pair()
        await pair.start(stack, tmp_path)
        yield pair


async def said_in(viewer, last):
    return [event["text"] for _, event in await viewer.events(last)]


async def say_at_last(place, text):
    """Says it as soon as Valkey is back."""
    key = clock.new_id()

    async def attempt():
        try:
            return await place.say(text, key)
        except EXTERNAL as error:
            if not is_outage(error):
                raise

    return await eventually(attempt)


async def test_after_a_failover_without_the_tail_no_offset_is_given_twice_and_viewers_start_afresh(pair, pg):
    """Offsets 3 and 4 went to words that the replica lacked, and then to others under the same epoch: who had seen
    the first ones never got the others.
    """
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(pair.front.url)) for _ in range(3)]
        place = await chat_place(pg, clients[0])
        sources = place.rooms.sources
        servers = [await stack.enter_async_context(room_server(one, sources=sources)) for one in clients[1:]]
        viewers = [await stack.enter_async_context(server.joined(place.show)) for server in servers for _ in range(2)]
        for n in (1, 2):
            await place.say(f"m{n}")
        await pair.hold()
        for n in (3, 4):
            await place.say(f"m{n}")
        await copy_all(place.chat)
        assert [await said_in(viewer, 4) for viewer in viewers] == [["m1", "m2", "m3", "m4"]] * 4
        await pair.fail_over()
        for n in (5, 6, 7):  # at once: as many as were lost and one more, so that no top tells
            await say_at_last(place, f"m{n}")
        epochs = set()
        for viewer in viewers:
            fresh = (await viewer.until("joined"))["joined"]
            assert (fresh["recovered"], fresh["e"] != viewer.reply["e"]) == (False, True)
            texts = [event["text"] for event in fresh["m"]]
            texts += await said_in(viewer, 7) if fresh["o"] < 7 else []
            assert texts == [f"m{n}" for n in range(1, 8)]
            epochs.add(fresh["e"])
        assert len(epochs) == 1
        async with servers[0].joined(place.show, epoch=viewers[0].reply["e"], since=4) as back:
            assert not back.reply["recovered"]


async def test_a_room_that_nobody_has_open_is_not_continued_by_another_server_nor_when_the_first_comes_back(pair, pg):
    """The room's keys on the replica name the primary; a primary that is made a replica and then the first again
    would find its own name on a room without its tail.
    """
    async with AsyncExitStack() as stack:
        place = await chat_place(pg, await stack.enter_async_context(client_of(pair.front.url)))
        await place.say("m1")
        await pair.hold()
        first = (await place.rooms.story(place.show)).e
        await pair.other.replicaof("NO", "ONE")
        await sum_up(pair.other)
        await pair.one.replicaof("127.0.0.1", pair.replica.port)
        await in_sync(pair.other, pair.one)
        await pair.one.replicaof("NO", "ONE")
        assert (await place.rooms.story(place.show)).e != first


async def test_a_valkey_that_restarts_from_an_old_file_gives_rooms_a_new_epoch(pg, tmp_path):
    async with AsyncExitStack() as stack:
        start = stack.enter_context(own_valkeys(tmp_path))
        first = await start()
        front = await stack.enter_async_context(switch(first.port))
        place = await chat_place(pg, await stack.enter_async_context(client_of(front.url)))
        await place.say("m1")
        before = (await place.rooms.story(place.show)).e
        await place.valkey.save()
        await place.say("m2")
        await copy_all(place.chat)
        first.kill()
        second = await start("--dir", str(first.folder))
        front.turn(second.port)
        await say_at_last(place, "m3")
        assert [event["text"] for event in await place.story()] == ["m1", "m2", "m3"]
        assert (await place.rooms.story(place.show)).e != before


async def test_after_a_failover_without_the_tail_no_hold_is_of_a_unit_that_was_sold(pair, pg):
    """The replica's gate has the right epoch and lacks an order and a hold: it would grant their units again."""
    async with client_of(pair.front.url) as valkey, open_world(pg, valkey) as world:
        pool = (await world.sale(3, per_buyer_limit=1))["pool"]
        buyer, holder, other, last = await world.buyers(4)
        before = (await world.gate(pool)).epoch
        await pair.hold()
        assert (await world.order(buyer, await world.held(buyer, pool))).status_code == 201
        await world.settle_all()
        lost = await world.held(holder, pool)
        await pair.fail_over()

        async def taken():
            answer = await world.take(other, pool)
            return answer if answer.status_code != 503 else None

        assert (await eventually(taken)).status_code == 201
        assert problem(await world.take(buyer, pool)) == (409, "over_limit")
        assert problem(await world.order(holder, lost)) == (404, "not_found")
        assert (await world.take(holder, pool)).status_code == 201
        assert problem(await world.take(last, pool)) == (409, "all_held")
        gate = await world.gate(pool)
        assert (gate.epoch, gate.left, gate.held, gate.sold) == (before + 1, 0, 2, 1)
