"""What a socket leaves behind, and what the collector may cost."""

import asyncio
import gc
import types
import weakref
from collections import Counter
from contextlib import AsyncExitStack

import pytest
import websockets
from httptools import HttpRequestParser
from websockets.frames import Opcode

from app.http.request_protocol import BoundedRequests
from app.rooms.frames import text_frame
from app.rooms.limits import Caps
from app.rooms.pauses import short_pauses
from tests.protocol.raw_peers import HEAD, JOIN, frame, raw
from tests.protocol.room_server import room_server
from tests.waiting import eventually_true

WAYS_TO_END = ["closes", "vanishes", "is told to go", "breaks the rules"]


async def test_after_the_upgrade_nothing_is_left_of_the_http_protocol(valkey):
    """It and its parser hold each other, and what is frozen no collector ever frees: each socket left four KiB."""
    async with room_server(valkey) as server:
        gc.collect()
        gc.disable()
        try:
            before = [
                one for one in gc.get_objects() if isinstance(one, BoundedRequests | HttpRequestParser)
            ]  # others'
            known = set(map(id, before))  # of other tests: objects that are kept, so that no id is given twice
            async with server.joined():
                kept = [one for one in gc.get_objects() if isinstance(one, BoundedRequests | HttpRequestParser)]
                assert not [one for one in kept if id(one) not in known]
        finally:
            gc.enable()


async def end(client, viewer, how):
    if how == "closes":
        await client.connection.close()
    elif how == "vanishes":
        client.connection.transport.abort()
    elif how == "is told to go":
        viewer.wire.close(4001, "signed out")
        await client.connection.wait_closed()
    else:
        client.connection.transport.write(text_frame(b"not masked"))
        await client.connection.wait_closed()


@pytest.mark.parametrize("how", WAYS_TO_END)
async def test_a_socket_that_ends_leaves_no_cycle_to_the_collector(valkey, how):
    async with room_server(valkey) as server, server.joined():
        room = server.hub._rooms["show1"].room
        (stays,) = room.viewers
        async with server.joined(who="ann") as client:
            await client.send({"op": "echo", "id": "1", "text": "x"})
            await client.until("re")
            (viewer,) = room.viewers - {stays}
            left = [weakref.ref(one) for one in (viewer.wire, viewer.wire.conn)]
            names = [type(one()).__name__ for one in left]
            gc.collect()
            gc.disable()
            try:
                await end(client, viewer, how)
                del viewer
                await eventually_true(lambda: len(room.viewers) == 1)
                await eventually_true(
                    lambda: not any(one() for one in left),
                    what=f"{names}: {[gc.get_referrers(one()) for one in left if one()]}"[:3000],
                )
            finally:
                gc.enable()


OURS = ("app.", "uvicorn.protocols", "starlette.", "websockets.", "httptools.")
HOWS = {
    "joins and goes": (HEAD % (b"show1", b""), JOIN),
    "is malformed": (HEAD % (b"show1", b""), frame(Opcode.TEXT, b"no json")),
    "breaks the rules": (HEAD % (b"show1", b""), b"\xff" * 10),
    "says rubbish afterwards": (HEAD % (b"show1", b""), JOIN + frame(Opcode.TEXT, b"no json")),
    "comes to no show": (HEAD % (b"nowhere", b""), b""),
    "is no staff": (HEAD % (b"show1/staff", b""), b""),
    "has no ticket": (HEAD % (b"show1?ticket=x", b""), b""),
    "is foreign": (HEAD % (b"show1", b"Origin: https://evil.example\r\n"), b""),
    "has a bad head": (HEAD % (b"show1", b"x: y\r\n" * 200), b""),
    "has a bad key": (HEAD.replace(b"dGhl", b"****") % (b"show1", b""), b""),
    "is one too many": (HEAD % (b"show1", b"Cookie: who=ann\r\n"), b""),
    "is far too many": (HEAD % (b"show1", b"Cookie: who=bob\r\n"), b""),
    "goes at once": (HEAD % (b"show1", b""), None),
}
TIMES = 12


def kept_objects():
    """How many of each type of the server's are there."""
    return Counter(
        f"{type(one).__module__}.{type(one).__qualname__}"
        for one in gc.get_objects()
        if str(type(one).__module__).startswith(OURS) or isinstance(one, types.FrameType | types.CoroutineType)
    )


@pytest.mark.parametrize("how", HOWS)
async def test_however_a_socket_comes_and_goes_nothing_is_left_that_only_a_collector_frees(valkey, how, monkeypatch):
    """Nothing frees what was frozen: a cycle for each refused socket is memory that whoever likes can fill."""
    monkeypatch.setattr("app.rooms.uvicorn_protocol.CLOSE_TIMEOUT_S", 0.05)
    head, then = HOWS[how]
    async with room_server(valkey, caps=Caps(per_person=1)) as server, AsyncExitStack() as stack:
        await stack.enter_async_context(server.joined(who="ann"))
        for _ in range(2):
            await (await stack.enter_async_context(raw(server, HEAD % (b"show1", b"Cookie: who=bob\r\n")))).head()
        places = server.door.crowd._persons["bob"]

        async def come_and_go():
            async with raw(server, head) as peer:
                if then is not None:
                    await peer.head()
                    peer.writer.write(then)
                if how != "joins and goes" and then is not None:
                    await peer.gone()
                elif then is not None:
                    await peer.reader.read(100)
            await eventually_true(lambda: server.connections <= 3 and server.door.crowd._persons["bob"] <= places)

        await come_and_go()
        gc.collect()
        gc.disable()
        try:
            before = kept_objects()
            for _ in range(TIMES):
                await come_and_go()
            await eventually_true(lambda: not [n for n in (kept_objects() - before).values() if n >= TIMES])
        except AssertionError:
            raise AssertionError(kept_objects() - before) from None
        finally:
            gc.enable()


async def test_no_collection_looks_at_sockets_that_are_there(valkey):
    async with room_server(valkey) as server:
        seen = []

        def note(phase, info):
            if phase == "start" and info["generation"] > 0:
                seen.append(len(gc.get_objects()))

        with short_pauses():
            gc.callbacks.append(note)
            try:
                async with asyncio.TaskGroup() as group:
                    sockets = [group.create_task(open_socket(server.port)) for _ in range(300)]
                # Everything that three hundred sockets of both ends are made of is some 60,000 objects.
                assert len(seen) > 1
                assert max(seen) < 30_000
                assert gc.get_freeze_count() > 20_000
            finally:
                gc.callbacks.remove(note)
                for socket in sockets:
                    socket.result().transport.abort()


async def open_socket(port):
    socket = await websockets.connect(f"ws://127.0.0.1:{port}/ws/shows/show1", compression=None)
    await socket.send('{"op":"join"}')
    await socket.recv()
    return socket
