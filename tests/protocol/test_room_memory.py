"""What a socket leaves behind, and what the collector may cost."""

import asyncio
import gc
import weakref

import pytest
import websockets
from httptools import HttpRequestParser

from app.http.request_protocol import BoundedRequests
from app.rooms.frames import text_frame
from app.rooms.pauses import short_pauses
from tests.protocol.room_server import room_server
from tests.waiting import eventually_true

WAYS_TO_END = ["closes", "vanishes", "is told to go", "breaks the rules"]


async def test_after_the_upgrade_nothing_is_left_of_the_http_protocol(valkey):
    """It and its parser hold each other, and what is frozen no collector ever frees: each socket left four KiB."""
    async with room_server(valkey) as server:
        gc.collect()
        gc.disable()
        try:
            async with server.joined():
                assert not [one for one in gc.get_objects() if isinstance(one, BoundedRequests | HttpRequestParser)]
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
