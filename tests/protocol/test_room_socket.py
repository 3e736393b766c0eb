"""A viewer's way through a room over a real socket: join, live frames, resume, state, hints, replies."""

import asyncio

import pytest

from app.person import Standing
from app.rooms import closes
from app.rooms.bus import staff_room
from app.rooms.stay import LATER_MAX
from tests.protocol.room_server import Client, Number, Words, room_server
from tests.waiting import eventually_true

pytestmark = pytest.mark.parametrize("direct", [True, False], ids=["direct wire", "task wire"])


async def test_a_viewer_joins_and_sees_what_is_said_once_and_in_order(valkey, direct):
    async with room_server(valkey, direct=direct) as server, server.joined() as viewer:
        assert viewer.reply["o"] == 0
        assert viewer.reply["recovered"] is False
        assert viewer.reply["me"]["person"] is None
        for n in range(30):
            await server.bus.append("show1", Words(f"w{n}"))
        seen = await viewer.events(30)
        assert [offset for offset, _ in seen] == list(range(1, 31))
        assert [event["text"] for _, event in seen] == [f"w{n}" for n in range(30)]


async def test_a_resumed_viewer_gets_exactly_what_it_missed(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        async with server.joined() as viewer:
            await server.bus.append("show1", Words("seen"))
            await viewer.events(1)
        for n in range(3):
            await server.bus.append("show1", Words(f"missed {n}"))
        async with server.joined(epoch=viewer.reply["e"], since=1) as again:
            reply = again.reply if again.reply["o"] == 4 else {**again.reply, **await again.until("m")}
            assert again.reply["recovered"] is True
            assert (again.reply["first"], [event["text"] for event in reply["m"]][-3:]) == (
                2,
                [f"missed {n}" for n in range(3)],
            )


async def test_a_viewer_who_has_seen_more_than_this_worker_has_heard_resumes_too(valkey, monkeypatch, direct):
    async with room_server(valkey, direct=direct) as server, server.joined() as viewer:
        await server.bus.append("show1", Words("heard"))
        await viewer.events(1)
        monkeypatch.setattr(server.hub, "_receive", lambda *_: None)
        monkeypatch.setattr(server.hub, "_is_astray", lambda *_: False)
        for n in range(3):
            await server.bus.append("show1", Words(f"unheard {n}"))
        readings = server.hub.tally.readings
        async with server.joined(epoch=viewer.reply["e"], since=2) as again:
            assert again.reply["recovered"] is True
            assert [event["text"] for event in again.reply["m"]] == ["unheard 1", "unheard 2"]
        async with server.joined(epoch=viewer.reply["e"], since=10**9) as liar:
            assert liar.reply["recovered"] is False
        assert server.hub.tally.readings - readings <= 2


async def test_every_join_begins_with_all_state_and_only_newer_versions_follow(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        assert await server.bus.set_state("show1", "pin", 5, Number(5))
        assert not await server.bus.set_state("show1", "pin", 4, Number(4))
        async with server.joined() as viewer:
            assert viewer.reply["k"] == {"pin": [5, {"n": 5}]}
            await server.bus.set_state("show1", "pin", 3, Number(3))
            await server.bus.set_state("show1", "pin", 6, None)
            assert (await viewer.until("k"))["k"] == {"pin": [6, None]}


async def test_a_hint_reaches_only_its_person(valkey, direct):
    async with (
        room_server(valkey, direct=direct) as server,
        server.joined(who="ann") as ann,
        server.joined(who="bob") as bob,
    ):
        await server.bus.tell("show1", "ann", Number(1))
        await server.bus.append("show1", Words("after"))
        assert (await ann.frame())["u"] == [{"n": 1}]
        assert "u" not in await bob.frame()


async def test_commands_are_answered_under_their_ids_and_rights_are_checked(valkey, direct):
    async with (
        room_server(valkey, direct=direct) as server,
        server.joined() as nobody,
        server.joined(who="mo") as moderator,
    ):
        await nobody.send({"op": "echo", "id": "1", "text": "ab", "times": 2})
        assert await nobody.frame() == {"re": "1", "text": "abab", "standing": "viewer"}
        await nobody.send({"op": "echo.person", "id": "2", "text": "ab"})
        assert (await nobody.frame())["error"]["code"] == "sign_in"
        await moderator.send({"op": "echo.staff", "id": "3", "text": "ab"})
        assert (await moderator.frame())["standing"] == "moderator"


async def test_what_is_answered_later_keeps_its_order_and_keeps_nothing_else_waiting(valkey, direct):
    async with room_server(valkey, direct=direct) as server, server.joined() as viewer:
        for n in range(LATER_MAX + 2):  # the first is under way, the last is one too many
            await viewer.send({"op": "echo.later", "id": f"later {n}", "text": "x"})
        assert (await viewer.until("re"))["error"]["code"] == "too_fast"
        await viewer.send({"op": "echo", "id": "at once", "text": "x"})
        assert (await viewer.until("re"))["re"] == "at once"
        server.stage.answers_later.set()
        answered = [(await viewer.until("re"))["re"] for _ in range(LATER_MAX + 1)]
        assert answered == [f"later {n}" for n in range(LATER_MAX + 1)]
        await viewer.send({"op": "echo.later", "id": "again", "text": "nothing"})
        assert await viewer.closed() == (closes.DEFECT, "")
    assert server.hub.tally.joins == 1


async def test_what_is_to_be_answered_later_is_left_when_its_socket_is_gone(valkey, direct):
    """A page that comes back says it again, under the same id."""
    async with room_server(valkey, direct=direct) as server:
        async with server.joined() as viewer:
            for text in ("under way", "waits"):
                await viewer.send({"op": "echo.later", "id": text, "text": text})
            await viewer.send({"op": "echo", "id": "at once", "text": "x"})
            await viewer.until("re")
        await eventually_true(lambda: server.hub.counts() == {"show1": 0})
        server.stage.answers_later.set()
        async with server.joined() as other:
            await other.send({"op": "echo.later", "id": "other", "text": "x"})
            assert (await other.until("re"))["re"] == "other"
    assert server.stage.begun == ["under way", "x"]


async def test_the_staff_room_is_apart(valkey, direct):
    async with (
        room_server(valkey, direct=direct) as server,
        server.joined("show1/staff", "hana") as host,
        server.joined() as viewer,
    ):
        await server.bus.append(staff_room("show1"), Words("for staff"))
        await server.bus.append("show1", Words("for all"))
        assert [event["text"] for _, event in await host.events(1)] == ["for staff"]
        assert [event["text"] for _, event in await viewer.events(1)] == ["for all"]


async def test_the_staff_room_is_for_staff(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        async with server.dial("show1/staff", "ann") as stranger:
            await stranger.wait_closed()
            assert stranger.close_code == 4003
        async with server.dial("show1/staff") as nobody:
            await nobody.wait_closed()
            assert nobody.close_code == 4001


async def test_sign_out_and_a_lost_standing_act_on_open_sockets(valkey, direct):
    async with (
        room_server(valkey, direct=direct) as server,
        server.joined("show1/staff", "mo") as staff,
        server.joined("show1", "mo") as public,
    ):
        server.people.standings.pop("mo")
        await server.bus.standing_changed("show1", "mo")
        assert (await staff.closed())[0] == 4003
        assert (await public.frame())["u"] == [{"t": "standing", "standing": "viewer"}]
        await server.bus.signed_out("mo", "another session")
        await server.bus.signed_out("mo", "session of mo")
        assert (await public.closed())[0] == 4001


async def test_a_lost_standing_acts_where_the_worker_has_nobody_in_the_public_room(valkey, direct):
    """It was said in the public room alone, which a worker with staff only does not listen to."""
    async with room_server(valkey, direct=direct) as server, server.joined("show1/staff", "mo") as staff:
        server.people.standings.pop("mo")
        await server.bus.standing_changed("show1", "mo")
        assert (await staff.closed())[0] == 4003


async def test_a_standing_that_was_lost_unheard_is_found_and_the_staff_socket_closed(valkey, direct):
    """Who was dismissed while Valkey was away went on reading what is for staff."""
    async with (
        room_server(valkey, direct=direct) as server,
        server.joined("show1/staff", "mo") as former,
        server.joined("show1/staff", "hana") as host,
    ):
        server.people.standings.pop("mo")
        await server.door.dismiss_staff()
        assert (await former.closed())[0] == 4003
        await host.send({"op": "echo.staff", "id": "1", "text": "still in"})
        assert (await host.frame())["text"] == "still in"


@pytest.mark.parametrize("ends_by", ["sign-out", "the peer's going"])
async def test_a_socket_that_ends_while_its_join_is_prepared_leaves_nothing_behind(valkey, direct, ends_by):
    """The join reply was written into a session that had ended, which broke the server's task."""
    async with room_server(valkey, direct=direct) as server:
        server.stage.tell_me.clear()
        async with server.dial(who="ann") as connection:
            await connection.send('{"op":"join"}')
            await asyncio.wait_for(server.stage.asked_me.wait(), 60)
            if ends_by == "sign-out":
                await server.bus.signed_out("ann", "session of ann")
                await asyncio.wait_for(connection.wait_closed(), 60)
                assert connection.close_code == 4001
        server.stage.tell_me.set()
        await eventually_true(lambda: server.hub.sockets_of("ann") == 0)
        async with server.joined(who="bob") as viewer:
            assert viewer.reply["me"]["asked"] == ["show1", "bob"]
            assert len(server.hub._rooms["show1"].room.viewers) == 1


async def test_what_a_person_is_told_while_their_join_is_prepared_is_in_the_join_reply(valkey, direct):
    """A hint to who had not joined yet was dropped, and `me` had been asked before it."""
    async with room_server(valkey, direct=direct) as server:
        server.stage.tell_me.clear()
        async with server.dial("show1", "mo") as connection:
            client = Client(connection)
            await client.send({"op": "join"})
            await asyncio.wait_for(server.stage.asked_me.wait(), 60)
            server.people.standings["mo"] = Standing.VIEWER
            await server.bus.standing_changed("show1", "mo")
            (viewer,) = server.hub._people["mo"]
            await eventually_true(lambda: viewer.standing is Standing.VIEWER)
            server.stage.tell_me.set()
            assert (await client.frame())["joined"]["me"]["standing"] == "viewer"
            assert not viewer.missed_hint


async def test_a_session_that_ended_during_the_admission_does_not_get_in(valkey, direct):
    async with room_server(valkey, direct=direct) as server:
        async with server.joined():
            await server.bus.signed_out("ann", "session of ann")
            await eventually_true(lambda: server.hub._signed_out)
        async with server.dial(who="ann") as connection:
            await connection.send('{"op":"join"}')
            await asyncio.wait_for(connection.wait_closed(), 60)
            assert connection.close_code == 4001


async def test_a_session_that_ended_unheard_is_found_and_its_sockets_closed(valkey, direct):
    async with (
        room_server(valkey, direct=direct) as server,
        server.joined(who="ann") as ann,
        server.joined(who="bob") as bob,
    ):
        server.people.ended.add("session of ann")
        await server.door.close_ended()
        assert (await ann.closed())[0] == 4001
        await bob.send({"op": "echo", "id": "1", "text": "still in"})
        assert (await bob.frame())["text"] == "still in"


async def test_reactions_reach_all_as_sums_and_move_no_offset(valkey, direct):
    async with room_server(valkey, direct=direct) as server, server.joined() as one, server.joined() as two:
        await server.bus.react("show1", {"heart": 2})
        for viewer in (one, two):
            frame = await viewer.until("r")
            assert frame["r"] == {"heart": 2}
            assert "m" not in frame
        await server.bus.append("show1", Words("hello"))
        assert [offset for offset, _ in await one.events(1)] == [1]
