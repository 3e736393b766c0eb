"""Rude and broken clients: a clear refusal or close code each, and the others go on unharmed."""

import asyncio
from contextlib import suppress

import pytest
import websockets
from websockets.frames import Frame, Opcode

from app.person import Person
from app.rooms.limits import COMMANDS_BURST, FLOOD_MAX, Caps
from tests.protocol.room_server import GUARD_S, Client, Words, room_server

WAVE = 20

pytestmark = pytest.mark.parametrize("direct", [True, False], ids=["direct wire", "task wire"])


async def close_of(connection):
    await asyncio.wait_for(connection.wait_closed(), GUARD_S)
    return connection.close_code


async def test_others_go_on_while_somebody_breaks_every_rule(valkey, direct):
    too_large = '{"op":"echo","id":"1","text":"' + "x" * 16_384 + '"}'
    async with room_server(valkey, direct=direct) as server, server.joined() as neighbour:
        for number, (sent, code) in enumerate([
            ("no json", 4000),
            ("[]", 4000),
            ("{}", 4000),
            ('{"op":"echo"}', 4000),
            ('{"op":"echo","id":7,"text":"x"}', 4000),
            ('{"op":"echo","id":"","text":"x"}', 4000),
            ('{"op":"echo","id":"' + "i" * 65 + '","text":"x"}', 4000),
            ('{"op":7,"id":"1"}', 4000),
            ("[" * 9000, 4000),
            ('{"op":"echo","id":"1","text":"\\ud800"}', 4000),
            (b"binary", 4000),
            (too_large, 4009),
            ("x" * 40_000, 1009),
        ]):  # fmt: skip
            async with server.joined() as rude:
                await rude.connection.send(sent)
                assert await close_of(rude.connection) == code, sent[:60]
            await server.bus.append("show1", Words("still here"))
            assert [offset for offset, _ in await neighbour.events(number + 1)] == [number + 1]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"op": "nothing.such", "id": "1"}, "unknown_op"),
        ({"op": "join", "id": "1", "epoch": None}, "unknown_op"),
        ({"op": "echo", "id": "1"}, "malformed"),
        ({"op": "echo", "id": "1", "text": 5}, "malformed"),
        ({"op": "echo", "id": "1", "text": "x", "times": "2"}, "malformed"),
        ({"op": "echo", "id": "1", "text": "x", "times": 2.5}, "malformed"),
        ({"op": "echo", "id": "1", "text": "x", "times": True}, "malformed"),
        ({"op": "echo", "id": "1", "text": "x\0y"}, "malformed"),
        ({"op": "echo", "id": "1", "text": "x", "price_minor": 1}, "unknown_field"),
        ({"op": "echo.staff", "id": "1", "text": "x"}, "sign_in"),
    ],
)
async def test_a_wrong_command_is_answered_and_the_socket_stays(valkey, direct, command, code):
    async with room_server(valkey, direct=direct) as server, server.joined() as viewer:
        await viewer.send(command)
        reply = await viewer.frame()
        assert (reply["re"], reply["error"]["code"]) == ("1", code)
        await viewer.send({"op": "echo", "id": "2", "text": "fine"})
        assert (await viewer.frame())["text"] == "fine"


async def test_unknown_shows_and_wrong_first_frames_are_closed(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        for path in ("nowhere", "nowhere/staff", "show1:staff"):
            async with server.dial(path) as connection:
                assert await close_of(connection) == 4004
        for first in ('{"op":"echo","id":"1","text":"x"}', '{"op":"join","since":"3"}', '{"op":"join","x":1}', "{"):
            async with server.dial() as connection:
                await connection.send(first)
                assert await close_of(connection) == 4000


async def test_invalid_utf8_closes_with_the_protocols_own_code(valkey, direct, caplog):
    async with room_server(valkey, direct=direct) as server, server.joined() as viewer:
        viewer.connection.transport.write(Frame(Opcode.TEXT, b'{"\xff\xfe"}').serialize(mask=True, extensions=[]))
        assert await close_of(viewer.connection) == 1007
    if direct:  # nobody fills the log with tracebacks
        assert not [record for record in caplog.records if record.name.startswith("uvicorn") and record.exc_info]


async def test_foreign_origins_are_refused_before_the_upgrade(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        ours = f"http://127.0.0.1:{server.port}"
        for origin in (
            "null",
            "https://evil.example",
            ours + ".evil.example",
            "http://127.0.0.1",
            f"{ours}@evil.example",
        ):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await server.dial(origin=origin)
            assert refused.value.response.status_code == 403
        async with server.joined(origin=ours) as viewer:
            assert viewer.reply["o"] == 0


async def test_a_ticket_is_good_once_and_for_its_show_alone(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        server.people.tickets["t1@show1"] = Person("tia", "Tia", "x")
        async with server.dial("show2", query="?ticket=t1") as connection:
            assert await close_of(connection) == 4001
        async with server.dial(query="?ticket=t1") as connection:
            client = Client(connection)
            await client.send({"op": "join"})
            assert (await client.frame())["joined"]["me"]["person"]["id"] == "tia"
        async with server.dial(query="?ticket=t1", who="ann") as connection:
            assert await close_of(connection) == 4001


async def test_a_flood_of_commands_is_slowed_and_then_closed(valkey, direct, monkeypatch):
    monkeypatch.setattr("app.rooms.limits.COMMANDS_PER_S", 1)  # a slow machine's flood is one, too
    async with room_server(valkey, direct=direct) as server, server.joined() as flooder, server.joined() as neighbour:
        refused = asked = 0
        with suppress(websockets.ConnectionClosed):
            while asked < COMMANDS_BURST + FLOOD_MAX * 2:
                for _ in range(WAVE):
                    asked += 1
                    await flooder.send({"op": "echo", "id": f"{asked}", "text": "x"})
                for _ in range(WAVE):
                    refused += "too_fast" in (await flooder.frame()).get("error", {}).get("code", "")
        assert refused >= FLOOD_MAX
        assert await close_of(flooder.connection) == 4000
        await neighbour.send({"op": "echo", "id": "1", "text": "calm"})
        assert (await neighbour.frame())["text"] == "calm"


async def test_one_person_has_so_many_sockets_and_those_inside_keep_them(valkey, direct):
    async with (
        room_server(valkey, direct=direct, caps=Caps(per_person=2)) as server,
        server.joined(who="ann") as first,
        server.joined(who="ann"),
        server.joined(who="bob"),
        server.dial(who="ann") as third,
    ):
        assert await close_of(third) == 1013
        assert 1000 <= int(third.close_reason) <= 5000
        assert server.door.crowd.shed == 1
        await first.send({"op": "echo", "id": "1", "text": "in"})
        assert (await first.frame())["text"] == "in"


async def test_a_show_has_so_many_sockets_and_other_shows_have_theirs(valkey, direct):
    async with room_server(valkey, direct=direct, caps=Caps(per_show=2)) as server:
        async with server.joined(), server.dial() as second, server.dial() as third:
            assert await close_of(third) == 1013
            async with server.joined("show2"):
                pass
            await second.close()
        async with server.joined():
            pass


async def test_a_worker_has_so_many_sockets(valkey, direct):
    async with room_server(valkey, direct=direct, caps=Caps(per_worker=1)) as server:
        async with server.joined(), server.dial() as second:
            assert await close_of(second) == 1013
        async with server.joined() as later:
            assert later.reply["o"] == 0
