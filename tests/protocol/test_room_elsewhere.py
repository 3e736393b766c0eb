"""Rooms under a server that offers no wire of ours: a bounded queue and a writer task per viewer take over.

The servers are uvicorn's two other implementations of the protocol: one on the same parser, one wholly different.
"""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import websockets

from app.rooms.bus import HISTORY_MAX
from app.rooms.limits import COMMANDS_BURST, Caps
from app.rooms.wire import BUFFER_HIGH_BYTES, TaskWire
from tests.protocol.raw_peers import heard_in_order
from tests.protocol.room_server import Words, room_server
from tests.waiting import eventually_true

WORD_BYTES = 8000
STALL_S = 600  # by itself it is ten seconds: too soon for what is said meanwhile on a slow machine
# The older implementation is the wholly different one; that it is on its way out is no news here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*deprecated"),
]


@pytest.fixture(params=["websockets-sansio", "websockets"])
def serve(request, valkey):
    """A room server of that kind."""
    return lambda **options: room_server(valkey, direct=False, plain=request.param, **options)


@asynccontextmanager
async def deaf(server):
    """A joined viewer that reads nothing more."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", server.port))
    async with server.joined(sock=plain) as viewer:
        viewer.connection.transport.pause_reading()
        try:
            yield viewer
        finally:
            viewer.connection.transport.abort()


async def test_who_joins_is_served_by_a_task_wire_and_resumes(serve):
    async with serve() as server:
        async with server.joined(who="ann") as viewer:
            (known,) = server.hub._rooms["show1"].room.viewers
            assert isinstance(known.wire, TaskWire)
            await server.bus.append("show1", Words("1"))
            await viewer.events(1)
        await server.bus.append("show1", Words("2"))
        async with server.joined(who="ann", epoch=viewer.reply["e"], since=1) as again:
            texts = again.reply["m"] or [event for _, event in await again.events(2)]
            assert (again.reply["recovered"], [event["text"] for event in texts]) == (True, ["2"])
        await eventually_true(server.door.crowd.is_empty)


async def test_a_flood_is_slowed_and_the_others_hear_everything(serve, monkeypatch):
    monkeypatch.setattr("app.rooms.limits.COMMANDS_PER_S", 1)  # a slow machine's flood is one, too
    async with serve() as server, heard_in_order(server), server.joined() as flooder:
        replies = []
        asked = COMMANDS_BURST * 2
        for n in range(asked):
            await flooder.send({"op": "echo", "id": f"{n}", "text": "x"})
        while len(replies) < asked:
            replies.append(await flooder.until("re"))
        assert [reply["re"] for reply in replies] == [f"{n}" for n in range(asked)]
        assert sum("error" in reply for reply in replies) > COMMANDS_BURST / 2


async def test_who_does_not_read_has_a_bounded_queue_and_is_let_go(serve, monkeypatch):
    monkeypatch.setattr("app.rooms.viewer.STALL_S", STALL_S)
    async with serve() as server, server.joined() as good, deaf(server):
        room = server.hub._rooms["show1"].room
        spoken = 0
        while not any(one.wire.stalled for one in room.viewers):
            for n in range(20):
                await server.bus.append("show1", Words(f"{spoken + n} " + "x" * WORD_BYTES))
            spoken += 20
            await good.events(spoken)
        (stalled,) = [one for one in room.viewers if one.wire.stalled]
        held = stalled.wire._size
        assert held < BUFFER_HIGH_BYTES + 25 * WORD_BYTES  # the mark, and the frame that went over it
        for n in range(HISTORY_MAX // 4):
            await server.bus.append("show1", Words(f"{spoken + n} " + "x" * WORD_BYTES))
        await good.events(spoken + HISTORY_MAX // 4)
        assert stalled.wire._size <= held
        due_s = stalled._stall_timer.when() - asyncio.get_running_loop().time()
        assert 0 < due_s <= STALL_S
        stalled.wire.abort()  # what the timer does
        await eventually_true(lambda: len(room.viewers) == 1)
        await eventually_true(lambda: server.door.crowd._inside == 1)
        await server.bus.append("show1", Words("calm"))
        assert (await good.events(spoken + HISTORY_MAX // 4 + 1))[-1][1]["text"] == "calm"


async def test_too_many_are_told_to_come_back(serve):
    async with serve(caps=Caps(per_worker=1)) as server, server.joined(), server.dial() as second:
        with suppress(websockets.ConnectionClosed):
            await second.recv()
        assert second.close_code == 1013
        assert 1000 <= int(second.close_reason) <= 5000
