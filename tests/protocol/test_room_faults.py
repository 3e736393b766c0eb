"""Rooms when something breaks: a viewer that does not read, news that is lost, a Valkey that forgot."""

import asyncio
import socket
import struct
from collections import Counter
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from app import clock
from app.rooms.bus import HISTORY_MAX
from app.rooms.frames import text_frame
from app.rooms.hub import LINGER_CHECKS
from app.rooms.keys import channel_of, keys_of
from app.rooms.news import Told
from app.rooms.room import TICK_S
from app.rooms.session import Phase
from app.rooms.uvicorn_protocol import RoomProtocol
from app.rooms.wire import BUFFER_HIGH_BYTES
from tests.protocol.raw_peers import HEAD, frame, raw
from tests.protocol.room_server import GUARD_S, Client, Number, Words, room_server
from tests.waiting import eventually_true

LONG = "x" * 1500
SO_MEMINFO = 55  # linux/sock_diag.h
CLOCK_STEP_S = 0.002  # the loop's timers count milliseconds


@pytest.fixture(autouse=True)
def deaf_for_long(monkeypatch):
    """Who does not read is let go after ten seconds: too soon for what is said meanwhile on a slow machine."""
    monkeypatch.setattr("app.rooms.viewer.STALL_S", 600)


@pytest.fixture
def looks_often(monkeypatch):
    """Valkey's top is looked at each second, its states every third time."""
    monkeypatch.setattr("app.rooms.hub.CHECK_PERIOD_S", 0.2)


@asynccontextmanager
async def deaf_viewer(server, who=""):
    """A joined viewer whose socket takes little and is not read until `reader` is used."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", server.port))
    async with server.joined(sock=plain, who=who) as viewer:
        viewer.connection.transport.pause_reading()
        try:
            yield viewer
        finally:
            viewer.connection.transport.abort()  # a closing handshake would wait for its own deaf ears


@asynccontextmanager
async def deaf_joiner(server, epoch):
    """Who asks for everything since the beginning of the epoch and reads nothing, not even the join reply."""
    async with raw(server, HEAD % (b"show1", b""), receive_buffer=4096) as peer:
        await peer.head()
        peer.writer.transport.pause_reading()
        peer.writer.write(frame(Opcode.TEXT, b'{"op":"join","epoch":"%b","since":0}' % epoch.encode()))
        yield peer


def local_room(server, name="show1"):
    return server.hub._rooms[name].room


def demoted(room):
    return [viewer for viewer in room.viewers if viewer.session.phase is Phase.DEMOTED]


async def say(server, count, text=LONG, start=0):
    for n in range(start, start + count):
        await server.bus.append("show1", Words(f"{n} {text}"))


async def say_until_somebody_stalls(server, good):
    """How much that was."""
    spoken = 0
    while not demoted(local_room(server)):
        await say(server, 20, start=spoken)
        spoken += 20
        await good.events(spoken)
    return spoken


@pytest.mark.parametrize("direct", [True, False], ids=["direct wire", "task wire"])
async def test_a_deaf_viewer_is_demoted_keeps_no_queue_and_is_caught_up_from_the_ring(valkey, direct):
    async with room_server(valkey, direct=direct) as server, server.joined() as good, deaf_viewer(server) as deaf:
        room = local_room(server)
        spoken = await say_until_somebody_stalls(server, good)
        (stalled,) = demoted(room)
        held = stalled.wire.transport.get_write_buffer_size() if direct else stalled.wire._size
        await say(server, 100, start=spoken)
        await good.events(spoken + 100)
        now_held = stalled.wire.transport.get_write_buffer_size() if direct else stalled.wire._size
        assert now_held <= held < 3 * BUFFER_HIGH_BYTES
        await server.bus.set_state("show1", "pin", 1, Number(1))
        deaf.connection.transport.resume_reading()
        seen, state = [], {}
        while len(seen) < spoken + 100 or not state:
            frame = await deaf.frame()
            assert "joined" not in frame
            seen += [(frame["o"] + n, event["text"].split()[0]) for n, event in enumerate(frame.get("m", ()))]
            state |= frame.get("k", {})
        assert seen == [(n + 1, str(n)) for n in range(spoken + 100)]
        assert state == {"pin": [1, {"n": 1}]}
        await eventually_true(lambda: not demoted(room))
        await say(server, 1, start=spoken + 100)
        assert (await deaf.events(spoken + 101))[-1][0] == spoken + 101


async def test_a_viewer_that_fell_out_of_the_ring_gets_a_fresh_start(valkey):
    async with room_server(valkey) as server, server.joined() as good, deaf_viewer(server) as deaf:
        room = local_room(server)
        spoken = await say_until_somebody_stalls(server, good)
        await say(server, 1100, "short", start=spoken)
        await good.events(spoken + 1100)
        assert len(demoted(room)) == 1
        deaf.connection.transport.resume_reading()
        frame = await deaf.frame()
        offset = 0
        while "joined" not in frame:
            assert frame["o"] == offset + 1
            offset += len(frame["m"])
            frame = await deaf.frame()
        fresh = frame["joined"]
        assert (fresh["recovered"], fresh["o"]) == (False, spoken + 1100)
        assert len(fresh["m"]) == fresh["o"] - fresh["first"] + 1
        await say(server, 1)
        assert (await deaf.frame())["o"] == spoken + 1101


async def test_a_peer_that_never_reads_is_dropped(valkey, monkeypatch):
    monkeypatch.setattr("app.rooms.viewer.STALL_S", 0.05)
    async with room_server(valkey) as server, server.joined() as good, deaf_viewer(server):
        room = local_room(server)
        await say_until_somebody_stalls(server, good)
        await eventually_true(lambda: len(room.viewers) == 1)


async def test_a_hint_that_could_not_be_given_makes_the_viewer_join_again(valkey):
    async with room_server(valkey) as server, server.joined() as good, deaf_viewer(server, "ann") as deaf:
        room = local_room(server)
        await say_until_somebody_stalls(server, good)
        await server.bus.tell("show1", "ann", Number(1))
        await eventually_true(lambda: [viewer for viewer in room.viewers if viewer.missed_hint])
        deaf.connection.transport.resume_reading()
        with suppress(ConnectionClosed):
            while True:  # the client holds so many frames, and stops reading when they are not taken
                await deaf.frame()
        assert (await deaf.closed())[0] == 4108


async def test_a_frame_is_encoded_once_and_leaves_at_most_once_per_tick_for_all(valkey, monkeypatch):
    monkeypatch.setattr("app.rooms.room.TICK_S", 0.3)  # longer than fifty messages take
    async with room_server(valkey) as server, server.joined() as one, server.joined() as two:
        room = local_room(server)
        await asyncio.gather(*(server.bus.append("show1", Words("x")) for _ in range(50)))
        await one.events(50)
        await two.events(50)
        assert room.frames <= 10


async def test_a_message_is_in_one_frame_and_a_viewer_gets_one_write_a_tick(valkey, monkeypatch):
    made, at, writes = [], [], Counter()

    def make(body):
        made.append(body)
        at.append(clock.monotonic_s())
        return text_frame(body)

    def count(protocol, frame):
        writes[protocol] += 1
        protocol.transport.write(frame)

    monkeypatch.setattr(RoomProtocol, "writer", lambda protocol: (count, protocol))
    async with room_server(valkey) as server, server.joined() as one, server.joined() as two, server.joined() as three:
        monkeypatch.setattr("app.rooms.room.text_frame", make)
        for burst in range(5):  # of fewer than fill a frame
            await asyncio.gather(*(server.bus.append("show1", Words("x")) for _ in range(12)))
            for viewer in (one, two, three):
                await viewer.events(12 * (burst + 1))
        assert sum(body.count(b'"text"') for body in made) == 60
        assert set(writes.values()) == {len(made)}
        assert len(writes) == 3
        assert all(later - before > TICK_S - CLOCK_STEP_S for before, later in pairwise(at))


def held_for(viewer):
    """Bytes that wait for a viewer: ours, and what the kernel has taken (wmem_queued, its overhead included)."""
    bare = viewer.wire.transport.get_extra_info("socket")
    kernel = struct.unpack("9I", bare.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[5]
    return viewer.wire.transport.get_write_buffer_size() + kernel


async def test_a_deaf_viewer_costs_so_many_bytes_and_no_more(valkey):
    """Less than 128 KiB with what the kernel holds for it, however much is said."""
    async with room_server(valkey) as server, server.joined() as good, deaf_viewer(server):
        room = local_room(server)
        spoken = await say_until_somebody_stalls(server, good)
        (stalled,) = demoted(room)
        held = held_for(stalled)
        assert BUFFER_HIGH_BYTES < held < 128 * 1024
        await say(server, HISTORY_MAX, start=spoken)
        await good.events(spoken + HISTORY_MAX)
        assert held_for(stalled) <= held


async def test_a_viewer_who_comes_back_to_a_long_history_and_does_not_read_it_costs_no_more(valkey):
    """It is fed portion by portion; a portion is the most that is written beyond the mark."""
    async with room_server(valkey) as server, server.joined() as good:
        await say(server, HISTORY_MAX)
        await good.events(HISTORY_MAX)
        room = local_room(server)
        async with deaf_joiner(server, good.reply["e"]):
            await eventually_true(lambda: demoted(room))
            (stalled,) = demoted(room)
            assert stalled.wire.stalled
            assert held_for(stalled) < 128 * 1024


async def test_news_lost_in_the_middle_is_read_before_anything_passes(valkey):
    async with room_server(valkey) as server, server.joined() as viewer:
        room = local_room(server)
        hear = server.hub._receive
        server.hub._receive = lambda tracked, news: None if isinstance(news, Told) else hear(tracked, news)
        await say(server, 3, "lost")
        await server.bus.tell("show1", "nobody", Number(1))
        server.hub._receive = hear
        await say(server, 1, "heard", start=3)
        seen = await viewer.events(4)
        assert [(offset, event["text"].split()[0]) for offset, event in seen] == list(enumerate("0123", 1))
        assert room.ring.top == 4


@pytest.mark.usefixtures("looks_often")
async def test_a_lost_last_message_is_found_by_the_check_of_the_top(valkey):
    """It leaves no hole: nothing comes after it."""
    async with room_server(valkey) as server, server.joined() as viewer:
        keys = keys_of("show1")
        await valkey.rpush(keys.log, msgspec.json.encode(Words("unheard")))
        await valkey.hincrby(keys.head, "top", 1)
        await valkey.hset(keys.state, "pin", '3 {"n":3}')
        frame = await viewer.until("m")
        assert frame["m"] == [{"t": "chat", "text": "unheard"}]
        if "k" not in frame:
            frame = await viewer.until("k")
        assert frame["k"] == {"pin": [3, {"n": 3}]}


@pytest.mark.usefixtures("looks_often")
async def test_state_lost_on_the_bus_is_read_again(valkey):
    async with room_server(valkey) as server, server.joined() as viewer:
        await valkey.hset(keys_of("show1").state, "pin", '3 {"n":3}')
        assert (await viewer.until("k"))["k"] == {"pin": [3, {"n": 3}]}


@pytest.mark.usefixtures("looks_often")
async def test_after_a_wipe_viewers_are_told_the_new_epoch_and_get_a_snapshot(valkey):
    async with room_server(valkey) as server, server.joined() as viewer:
        await say(server, 5, "before")
        await viewer.events(5)
        await valkey.flushall()
        fresh = (await viewer.until("joined"))["joined"]
        assert fresh["e"] != viewer.reply["e"]
        assert (fresh["recovered"], fresh["o"], fresh["m"]) == (False, 0, [])
        assert "me" not in fresh
        await say(server, 1, "after")
        assert [event["text"] for _, event in await viewer.events(1)] == ["0 after"]
        async with server.joined(epoch=viewer.reply["e"], since=5) as old:
            assert (old.reply["recovered"], old.reply["e"]) == (False, fresh["e"])


@pytest.mark.usefixtures("looks_often")
async def test_after_valkey_lost_its_tail_the_epoch_changes(valkey):
    async with room_server(valkey) as server, server.joined() as viewer:
        await say(server, 5, "before")
        await viewer.events(5)
        async with valkey.pipeline(transaction=True) as pipeline:
            pipeline.hset(keys_of("show1").head, "top", 3)
            pipeline.ltrim(keys_of("show1").log, 0, 2)
            await pipeline.execute()
        fresh = (await viewer.until("joined"))["joined"]
        assert fresh["e"] != viewer.reply["e"]


async def test_when_the_subscription_breaks_nothing_is_missing_afterwards(valkey, valkey_url):
    async with room_server(valkey) as server, server.joined() as viewer:
        await say(server, 2)
        await viewer.events(2)
        other = Redis.from_url(valkey_url)
        await other.client_kill_filter(_type="pubsub")
        await say(server, 2, start=2)
        await other.aclose()
        seen = await viewer.events(4)
        assert [offset for offset, _ in seen] == [3, 4]
        await eventually_true(lambda: server.hub._pubsub is not None)
        assert (await valkey.execute_command("PUBSUB SHARDNUMSUB", channel_of("show1")))[0][1] == 1


async def test_viewers_of_two_workers_see_the_same_order(valkey):
    async with (
        room_server(valkey) as one,
        room_server(valkey) as two,
        one.joined() as left,
        two.joined() as right,
    ):
        await asyncio.gather(*((one, two)[n % 2].bus.append("show1", Words(f"{n}")) for n in range(60)))
        assert await left.events(60) == await right.events(60)


async def test_at_shutdown_sockets_are_told_when_to_come_back(valkey):
    async with room_server(valkey) as server, server.dial() as connection:
        await connection.send('{"op":"join"}')
        await connection.recv()
        server.stop()
        await asyncio.wait_for(connection.wait_closed(), GUARD_S)
        assert connection.close_code == 1012
        assert 0 <= int(connection.close_reason) < 2000


async def test_a_deleted_text_is_in_no_resume(valkey):
    async with room_server(valkey) as server, server.joined() as viewer:
        first = await server.bus.append("show1", Words("regretted"))
        await viewer.events(1)
        await server.bus.replace("show1", first, Number(0), Number(1))
        await viewer.events(2)
        async with server.joined(epoch=first.e, since=0) as again, server.joined() as newcomer:
            assert again.reply["m"] == newcomer.reply["m"] == [{"n": 0}, {"n": 1}]


async def test_a_viewer_who_comes_while_the_hub_is_still_subscribing_is_not_forgotten(valkey, monkeypatch):
    """The room entered while the subscription was under way was in nobody's list, and its viewer waited for ever."""
    under_way, go = asyncio.Event(), asyncio.Event()
    subscribe = PubSub.subscribe

    async def slow_subscribe(self, *channels):
        if "rooms:people" in channels:
            under_way.set()
            await go.wait()
        await subscribe(self, *channels)

    monkeypatch.setattr(PubSub, "subscribe", slow_subscribe)
    async with room_server(valkey) as server, server.dial() as connection:
        await asyncio.wait_for(under_way.wait(), GUARD_S)
        await connection.send('{"op":"join"}')
        await eventually_true(lambda: "show1" in server.hub._rooms)
        go.set()
        assert b"joined" in await asyncio.wait_for(connection.recv(decode=False), GUARD_S)


async def test_a_viewer_whose_join_is_prepared_for_long_joins_a_room_that_is_still_kept(valkey):
    """While Postgres was slow the hub dropped the room as one without viewers; who had waited then sat in a room
    that hears nothing, for good.
    """
    async with room_server(valkey) as server:
        server.stage.tell_me.clear()
        async with server.dial(who="ann") as connection:
            await connection.send('{"op":"join"}')
            await asyncio.wait_for(server.stage.asked_me.wait(), GUARD_S)
            for _ in range(LINGER_CHECKS + 2):
                await server.hub.check()
            server.stage.tell_me.set()
            viewer = Client(connection)
            assert "joined" in await viewer.frame()
            await server.bus.append("show1", Words("hello"))
            assert [event["text"] for _, event in await viewer.events(1)] == ["hello"]


async def test_what_comes_while_a_room_is_being_read_is_kept_up_to_a_bound(valkey, monkeypatch):
    """All of it was kept, for as long as Valkey took to answer."""
    monkeypatch.setattr("app.rooms.hub.BACKLOG_MAX", 20)
    async with room_server(valkey) as server, server.joined() as viewer:
        tracked, read, may_read = server.hub._rooms["show1"], server.bus.read, asyncio.Event()

        async def read_late(room):
            view = await read(room)
            await may_read.wait()
            return view

        monkeypatch.setattr(server.bus, "read", read_late)
        server.hub._load(tracked)
        await say(server, 100, "short")
        await server.bus.react("show1", {"heart": 1})
        await viewer.until("r")  # so all that was said before it is here
        assert len(tracked.backlog) == 21
        may_read.set()
        assert [offset for offset, _ in await viewer.events(100)] == list(range(1, 101))
