"""What one peer can make a worker hold or do: messages, floods and half-open connections. After each of these a
neighbour in the same room still hears everything, once and in order.
"""

import asyncio

import pytest
from websockets.frames import Opcode

from app.rooms import uvicorn_protocol
from app.rooms.limits import MESSAGE_BYTES_MAX
from app.rooms.uvicorn_protocol import FRAGMENTS_MAX, LETTERS_MAX, PARTING_BYTES_MAX, PINGS_BURST
from tests.protocol.raw_peers import HEAD, JOIN, frame, heard_in_order, raw
from tests.protocol.room_server import GUARD_S, room_server
from tests.waiting import eventually_true

both_wires = pytest.mark.parametrize("direct", [True, False], ids=["direct wire", "task wire"])


@pytest.fixture(autouse=True)
def soon_gone(monkeypatch):
    monkeypatch.setattr(uvicorn_protocol, "CLOSE_TIMEOUT_S", 0.3)


@pytest.fixture
def impatient(monkeypatch):
    """For those tests alone that wait for it: no slow moment of the machine decides about the others."""
    monkeypatch.setattr("app.http.request_protocol.HEAD_TIME_S", 1.0)
    monkeypatch.setattr("app.rooms.socket.JOIN_TIMEOUT_S", 1.0)


# Messages.


@both_wires
@pytest.mark.parametrize(
    ("pieces", "code"), [([6000, 6000, 6000], 4009), ([1] * 3 + [17_000], 4009), ([20_000] * 2, 1009)]
)
async def test_a_message_is_measured_over_its_fragments(valkey, direct, pieces, code):
    async with room_server(valkey, direct=direct) as server, heard_in_order(server), server.joined() as rude:
        for number, size in enumerate(pieces):
            opcode = Opcode.CONT if number else Opcode.TEXT
            rude.write(frame(opcode, b"x" * size, fin=number == len(pieces) - 1))
        assert (await rude.closed())[0] == code


@both_wires
async def test_sixteen_kib_are_fine_in_one_frame_and_in_three_and_bytes_count_not_characters(valkey, direct):
    envelope = '{"op":"echo","id":"1","text":""}'
    async with room_server(valkey, direct=direct) as server, server.joined() as viewer:
        text = "x" * (MESSAGE_BYTES_MAX - len(envelope))
        await viewer.connection.send(f'{envelope[:-2]}{text}"}}')
        assert (await viewer.frame())["text"] == text
        await viewer.connection.send([envelope[:-2], text, '"}'])
        assert (await viewer.frame())["text"] == text
        await viewer.connection.send(f'{envelope[:-2]}{"é" * 9000}"}}')
        assert (await viewer.closed())[0] == 4009


@both_wires
async def test_binary_fragments_and_wrong_utf8_over_fragments_are_closed(valkey, direct):
    async with room_server(valkey, direct=direct) as server, heard_in_order(server):
        async with server.joined() as rude:
            rude.write(frame(Opcode.BINARY, b"x", fin=False) + frame(Opcode.CONT, b"y"))
            assert (await rude.closed())[0] == 4000
        async with server.joined() as rude:
            rude.write(frame(Opcode.TEXT, b'"\xe2\x82', fin=False) + frame(Opcode.CONT, b'"'))
            assert (await rude.closed())[0] == 1007


@both_wires
async def test_compression_is_not_agreed_to_and_a_compressed_frame_breaks_the_rules(valkey, direct):
    """34 KiB a connection, and a small frame that unpacks to gigabytes."""
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    async with room_server(valkey, direct=direct) as server, heard_in_order(server):
        async with raw(server, HEAD % (b"show1", offer)) as peer:
            head = await peer.head()
            assert b" 101 " in head
            assert b"extensions" not in head.lower()
        async with server.joined() as rude:
            rude.write(b"\xc1" + frame(Opcode.TEXT, b"x")[1:])
            assert (await rude.closed())[0] == 1002


# Floods.


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
async def test_pings_by_the_thousand_are_hung_up_on_before_they_are_all_answered(valkey, opcode):
    async with room_server(valkey) as server, heard_in_order(server), raw(server, HEAD % (b"show1", b"")) as rude:
        await rude.head()
        rude.writer.write(JOIN + frame(opcode, b"x") * 20_000)
        said = await rude.gone()
        assert b"too many pings" in said
        # What was parsed together with the one too many is answered, too.
        assert said.count(b"\x8a\x01x") < PINGS_BURST + 500


async def test_a_ping_now_and_then_is_answered_for_ever(valkey, monkeypatch):
    monkeypatch.setattr(uvicorn_protocol, "PINGS_PER_S", 1e6)
    async with room_server(valkey) as server, server.joined() as viewer:
        for _ in range(PINGS_BURST * 2):
            await asyncio.wait_for(await viewer.connection.ping(), GUARD_S)


async def test_more_messages_at_once_than_anybody_has_are_not_kept(valkey):
    """Reading was paused after the first, when forty thousand had come with it: each was kept, then answered."""
    async with room_server(valkey) as server, heard_in_order(server), server.joined() as rude:
        rude.write(frame(Opcode.TEXT, b"") * 40_000)
        assert await rude.closed() == (4000, "too many messages at once")
        await eventually_true(lambda: server.connections == 1)


async def test_as_many_messages_as_a_returning_page_repeats_are_fine(valkey):
    async with room_server(valkey) as server, server.joined() as viewer:
        asked = range(LETTERS_MAX // 4)
        viewer.write(b"".join(frame(Opcode.TEXT, b'{"op":"echo","id":"%d","text":"x"}' % n) for n in asked))
        assert [(await viewer.frame())["re"] for _ in asked] == [f"{n}" for n in asked]


async def test_after_our_close_a_flood_is_not_read_on(valkey, monkeypatch):
    parsed = []
    feed = uvicorn_protocol.WebSocketsSansIOProtocol.data_received

    def count(protocol, data):
        parsed.append(len(data))
        feed(protocol, data)

    async with room_server(valkey) as server, heard_in_order(server), raw(server, HEAD % (b"show1", b"")) as rude:
        await rude.head()
        rude.writer.write(JOIN + frame(Opcode.TEXT, b"no json"))
        async with asyncio.timeout(GUARD_S):
            await rude.reader.readuntil(b"malformed")
        monkeypatch.setattr(uvicorn_protocol.WebSocketsSansIOProtocol, "data_received", count)
        flood = frame(Opcode.TEXT, b"x" * 1000) * 1000
        rude.writer.write(flood)
        await rude.gone()
        assert sum(parsed) <= PARTING_BYTES_MAX + 2 * uvicorn_protocol.SLICE_BYTES < len(flood)


async def test_the_fragments_of_a_message_are_counted(valkey):
    async with room_server(valkey) as server, heard_in_order(server), server.joined() as rude:
        rude.write(frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * FRAGMENTS_MAX)
        assert await rude.closed() == (4009, "too many fragments")


# Half-open connections.


@pytest.mark.usefixtures("impatient")
async def test_half_open_connections_end_by_themselves_and_leave_no_place_taken(valkey):
    """One says nothing, one half a request, one never joins, and one has vanished: it answers no ping."""
    async with (
        room_server(valkey, ws_ping_interval=0.9, ws_ping_timeout=0.9) as server,
        heard_in_order(server),
        raw(server) as silent,
        raw(server, HEAD[:60]) as half,
        raw(server, HEAD % (b"show1", b"")) as outside,
        raw(server, HEAD % (b"show1", b"")) as vanished,
    ):
        assert b" 101 " in await outside.head()
        assert b" 101 " in await vanished.head()
        vanished.writer.write(JOIN)
        await eventually_true(lambda: server.connections == 5)
        assert await silent.gone() == await half.gone() == b""
        assert b"no join came" in await outside.gone()
        assert b"keepalive ping timeout" in await vanished.gone()
        await eventually_true(lambda: server.connections == 1)
        assert server.door.crowd._inside == 1


@pytest.mark.parametrize("head", ["too many lines", "too long a line"])
async def test_a_request_for_an_upgrade_with_too_large_a_head_is_answered(valkey, head):
    """Its line limits are lower than ours; uvicorn did not notice that the parser had given up, and waited for ever."""
    more = b"x-a: b\r\n" * 200 if head == "too many lines" else b"x-a: " + b"b" * 9000 + b"\r\n"
    async with room_server(valkey) as server, heard_in_order(server), raw(server, HEAD % (b"show1", more)) as rude:
        assert b" 431 " in await rude.gone()


STRANGE = [
    HEAD.replace(b"GET", b"POST") % (b"show1", b""),
    HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") % (b"show1", b""),
    HEAD.replace(b"Version: 13", b"Version: 8") % (b"show1", b""),
    HEAD.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"x") % (b"show1", b""),
    HEAD % (b"show1", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    HEAD % (b"show1", b"Content-Length: 5\r\n") + b"hello",
    HEAD % (b"%ff%00", b""),
    HEAD % (b"show1", b"x: \xff\xfe\r\n"),
    HEAD % (b"show1", b"Cookie: who=\x80\r\n"),
    HEAD % (b"show1", b"Sec-WebSocket-Extensions: ;;;\r\n"),
    HEAD % (b"show1", b"Sec-WebSocket-Protocol: ,\r\n"),
    HEAD % (b"show1", b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n0\r\n\r\n",
]


@pytest.mark.usefixtures("impatient")
async def test_strange_requests_for_an_upgrade_are_answered_or_dropped(valkey):
    """All of them side by side: half are only given up after a second."""
    async with room_server(valkey) as server, heard_in_order(server):

        async def answer_to(head):
            async with raw(server, head) as rude:
                return await rude.gone()

        for head, answer in zip(STRANGE, await asyncio.gather(*map(answer_to, STRANGE)), strict=True):
            assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 101", b"HTTP/1.1 505")), (head, answer)


async def test_rubbish_in_place_of_the_first_frame_ends_the_socket(valkey):
    async with room_server(valkey) as server, heard_in_order(server):
        upgrade = HEAD % (b"show1", b"")
        for first in (b"\x00", b"\x81", b"\x8b", b"\xff"):
            async with raw(server, upgrade) as before_the_answer, raw(server, upgrade) as before_the_join:
                await before_the_join.head()
                for rude in (before_the_answer, before_the_join):
                    rude.writer.write(first + b"\xff" * 50)
                await asyncio.gather(before_the_answer.gone(), before_the_join.gone())


@pytest.mark.parametrize("ending", ["closes", "breaks the rules", "says no more", "is signed out"])
async def test_a_deaf_peer_cannot_keep_its_connection_by_ending_it(valkey, ending):
    """The transport waited for it to read what was left, with nobody to stop the waiting any more."""
    async with room_server(valkey) as server, heard_in_order(server), raw(server, HEAD % (b"show1", b"")) as deaf:
        await deaf.head()
        deaf.writer.write(JOIN)
        deaf.writer.transport.pause_reading()
        room = server.hub._rooms["show1"].room
        await eventually_true(lambda: len(room.viewers) == 2)
        (viewer,) = [one for one in room.viewers if one.wire.client[1] == deaf.writer.get_extra_info("sockname")[1]]
        wire = viewer.wire
        wire.transport.write(frame(Opcode.TEXT, b"x" * 20_000_000))
        assert wire.stalled
        if ending == "closes":
            deaf.writer.write(frame(Opcode.CLOSE, b"\x03\xe8"))
        elif ending == "breaks the rules":
            deaf.writer.write(b"\xff" * 10)
        elif ending == "says no more":
            deaf.writer.write_eof()
        else:
            wire.close(4001, "signed out")
        await eventually_true(lambda: wire.disconnected)
        assert server.connections == 1
