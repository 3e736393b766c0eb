"""What a worker's rooms tell Prometheus."""

from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed

from app.http.figures import render
from app.rooms.figures import room_figures
from app.rooms.limits import Caps
from tests.protocol.room_server import Words, room_server
from tests.waiting import eventually_true


def read(text):
    return {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}


async def test_sockets_joins_frames_demotions_fresh_starts_and_shed_ones_are_counted(valkey):
    async with room_server(valkey, caps=Caps(per_show=2)) as server:

        def figures():
            return read(render(lambda: room_figures(server.hub, server.door.crowd)).decode())

        async with server.joined() as one, server.joined(epoch="old", since=3) as two:
            try:
                async with server.joined():
                    raise AssertionError("one too many was let in")
            except ConnectionClosed:
                pass
            spoken = await server.bus.append("show1", Words("x"))
            await one.events(1)
            await two.events(1)
            now = figures()
            assert (now["hawker_sockets"], now["hawker_room_viewers"], now["hawker_rooms"]) == (2, 2, 1)
            assert (now["hawker_sockets_offered_total"], now["hawker_sockets_shed_total"]) == (3, 1)
            assert (now["hawker_room_joins_total"], now["hawker_room_resumes_total"]) == (2, 0)
            assert (now["hawker_room_sweeps_total"], now["hawker_room_readings_total"]) == (1, 1)
            assert 0 < now["hawker_room_sweep_seconds_total"] < 1
            next(iter(server.hub._rooms["show1"].room.viewers)).stalled()
            assert figures()["hawker_room_demotions_total"] == 1
            await valkey.flushall()
            await eventually_true(lambda: figures()["hawker_room_fresh_starts_total"] == 1)
        await eventually_true(lambda: figures()["hawker_sockets"] == 0)
        async with server.joined(epoch=spoken.e, since=1):
            assert figures()["hawker_room_joins_total"] == 3
        fresh = (await server.bus.read("show1")).e
        async with server.joined(epoch=fresh, since=0):
            assert figures()["hawker_room_resumes_total"] == 1
