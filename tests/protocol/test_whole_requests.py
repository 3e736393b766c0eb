"""Requests that come whole: read as the parser reads them or not at all, and answered in their turn."""

import asyncio

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl

from app.http import request_protocol
from app.http.request_protocol import BoundedRequests
from app.http.whole_request import WHOLE_BYTES_MAX, WholeAnswer, read_whole
from tests.protocol.test_request_protocol import served
from tests.waiting import eventually_true

GUARD_S = 60


def post(body: bytes, *lines: bytes, path: bytes = b"/whole") -> bytes:
    head = [b"POST %b HTTP/1.1" % path, b"host: x", b"content-length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
VALUES = [b"keep-alive", b"close", b"a b", b"a=1; b", b"0"]
BYTES = [b"", *(bytes([n]) for n in b"\r\n \t:\0aP0/?\xff")]
NAMES = [b"cookie", b"Idempotency-Key", b"content-type", b"connection", b"expect", b"x-a", b"x-b", b"te", b"upgrade"]


class Parsed:
    """What the parser makes of it."""

    def __init__(self, data: bytes) -> None:
        self.url, self.head, self.body, self.ends = b"", [], b"", 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ends += 1


def assert_read_alike(data: bytes) -> bool:
    asked = read_whole(data)
    if asked is None or asked.lacks:
        return False
    parsed = Parsed(data)
    assert (parsed.parser.get_method(), parsed.url.decode(), parsed.ends) == (b"POST", asked.path, 1)
    assert parsed.head == list(asked.head.items())
    assert parsed.body == asked.body
    assert parsed.parser.get_http_version() == "1.1"
    assert parsed.parser.should_keep_alive()
    assert not parsed.parser.should_upgrade()
    return True


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5),
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from(BYTES)), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_what_is_read_is_read_as_the_parser_reads_it(lines, changes):
    data = post(b'{"a": 1}', *(b"%b: %b" % line for line in lines))
    for at, byte in changes:
        data = data[: at % len(data)] + byte + data[at % len(data) + 1 :]
    assert_read_alike(data)


@pytest.mark.parametrize("connection", [b"keep-alive", b"Keep-Alive"])
def test_the_usual_is_read(connection):
    lines = (b"Cookie: __Host-hawker=abc", b"connection: " + connection, b'sec-ch-ua: "A";v="1", "B"', b"x: !")
    assert assert_read_alike(post(b'{"pool": "p"}', *lines))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GET,
        post(b"")[:-1],
        post(b"abc") + GET,
        post(b"abc").replace(b"1.1", b"1.0"),
        post(b"abc").replace(b"host: x\r\n", b""),
        post(b"abc").replace(b"content-length: 3\r\n", b""),
        post(b"abc").replace(b"h: 3", b"h: 03"),
        post(b"abc").replace(b": x", b":x"),
        post(b"abc", path=b"/whole?a=1"),
        post(b"abc", path=b"/whole%41"),
        post(b"abc", b"host: y"),
        post(b"abc", b"connection: close"),
        post(b"abc", b"connection: upgrade"),
        post(b"abc", b"Transfer-Encoding: chunked"),
        post(b"abc", b"expect: 100-continue"),
        post(b"abc", b"x-a: \xff"),
        post(b"abc", b"x-a: b "),
        post(b"abc", b"x-a: "),
        post(b"abc", b" folded"),
        post(b"a" * WHOLE_BYTES_MAX),
    ],
)
def test_the_unusual_is_left_to_the_parser(data):
    assert read_whole(data) is None


class Way:
    """Answers with the body, when it is let."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.go_on = asyncio.Event()

    def takes(self, asked):
        return asked.path == "/whole"

    def begin(self, *_asked):
        return False

    async def answer(self, asked, scope):
        assert (scope["path"], scope["type"], scope["client"][0]) == ("/whole", "http", "127.0.0.1")
        self.asked.append(asked.body)
        await self.go_on.wait()
        return None if asked.body == b"long" else WholeAnswer(201, b"x-way: short\r\n", asked.body)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def next(self) -> tuple[bytes, bytes]:
        """The head of the next answer and its body."""
        async with asyncio.timeout(GUARD_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
            return head, await self._reader.readexactly(int(length.partition(b" ")[2]))

    async def end(self) -> bytes:
        """What comes until the server hangs up."""
        async with asyncio.timeout(GUARD_S):
            return await self._reader.read()


async def connect(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


async def begun(way: Way, count: int) -> None:
    await eventually_true(lambda: len(way.asked) == count, GUARD_S, "the request has begun")


async def test_requests_of_a_connection_are_answered_in_their_order_whichever_way_each_goes():
    way = Way()
    async with served(short_way=way) as port:
        client = await connect(port)
        client.writer.write(post(b"one"))
        await begun(way, 1)
        client.writer.write(GET + post(b"by the parser") + post(b"also")[:20])
        await client.writer.drain()
        client.writer.write(post(b"also")[20:])
        way.go_on.set()
        head, body = await client.next()
        assert (head.split()[1], body) == (b"201", b"one")
        assert b"x-way: short\r\n" in head
        assert b"date: " in head
        assert [(await client.next())[1] for _ in range(3)] == [b"hi"] * 3
        for body in (b"two", b"", b"three"):
            client.writer.write(post(body))
            assert (await client.next())[1] == body
        client.writer.close()


async def test_what_cannot_go_the_short_way_after_all_goes_the_long_one_in_its_turn():
    way = Way()
    async with served(short_way=way) as port:
        client = await connect(port)
        client.writer.write(post(b"long"))
        await begun(way, 1)
        client.writer.write(post(b"behind"))
        way.go_on.set()
        assert [(await client.next())[1] for _ in range(2)] == [b"hi", b"hi"]
        client.writer.write(post(b"short"))
        assert (await client.next())[1] == b"short"
        client.writer.close()


@pytest.fixture
def heard(monkeypatch) -> list[bytes]:
    """The pieces that connections have brought, one after the other."""
    hear, pieces = BoundedRequests.data_received, []
    monkeypatch.setattr(BoundedRequests, "data_received", lambda self, data: (hear(self, data), pieces.append(data)))
    return pieces


@pytest.mark.parametrize(("pieces", "said"), [([b"a body"], b"a body"), ([b"a ", b"body"], b"hi")])
async def test_a_body_in_a_piece_behind_its_head_goes_the_short_way_and_in_more_the_long_one(
    pieces, said, heard, monkeypatch
):
    """Browsers write it so when head and body are too large for one piece."""
    monkeypatch.setattr(request_protocol, "BODY_SOON_S", 600)
    way = Way()
    way.go_on.set()
    async with served(short_way=way) as port:
        client = await connect(port)
        for _ in range(2):
            heard.clear()
            for piece in (post(b"a body").removesuffix(b"a body"), *pieces):
                count = len(heard) + 1
                client.writer.write(piece)
                await eventually_true(lambda count=count: len(heard) == count, GUARD_S, "the piece has come")
            assert (await client.next())[1] == said
        client.writer.close()
    assert way.asked == ([said] * 2 if said == b"a body" else [])


@pytest.fixture
def fed(monkeypatch) -> list[bytes]:
    """What the parser got."""
    feed, pieces = BoundedRequests._feed, []
    monkeypatch.setattr(BoundedRequests, "_feed", lambda self, data: (pieces.append(data), feed(self, data)))
    return pieces


async def test_a_body_that_does_not_come_soon_is_left_to_the_parser(fed, monkeypatch):
    monkeypatch.setattr(request_protocol, "BODY_SOON_S", 0.01)
    way = Way()
    async with served(short_way=way) as port:
        client = await connect(port)
        client.writer.write(post(b"late")[:-4])
        await eventually_true(lambda: fed == [post(b"late")[:-4]], GUARD_S, "the parser has it")
        client.writer.write(b"late")
        assert (await client.next())[1] == b"hi"
        client.writer.close()
    assert way.asked == []


async def test_who_goes_between_head_and_body_leaves_nothing_and_a_server_that_ends_leaves_the_body_to_the_parser(
    heard, fed, monkeypatch
):
    monkeypatch.setattr(request_protocol, "BODY_SOON_S", 600)
    way, end, begin = Way(), BoundedRequests.shutdown, post(b"late")[:-4]
    async with served(short_way=way) as port:
        gone, client = await connect(port), await connect(port)
        for one in (gone, client):
            one.writer.write(begin)
        await eventually_true(lambda: heard == [begin] * 2, GUARD_S, "both heads have come")
        gone.writer.transport.abort()
        monkeypatch.setattr(BoundedRequests, "shutdown", lambda self: (end(self), client.writer.write(b"late")))
    assert (await client.end()).endswith(b"\r\n\r\nhi")
    assert begin in fed
    assert way.asked == []


async def test_who_sends_on_and_on_behind_a_request_is_not_listened_to(monkeypatch):
    monkeypatch.setattr(request_protocol, "BEHIND_BYTES_MAX", 1000)
    paused = []
    pause = FlowControl.pause_reading
    monkeypatch.setattr(FlowControl, "pause_reading", lambda flow: (paused.append(1), pause(flow)))
    way = Way()
    async with served(short_way=way) as port:
        client = await connect(port)
        client.writer.write(post(b"one"))
        await begun(way, 1)
        client.writer.write(GET * 100)
        await eventually_true(lambda: paused, GUARD_S, "the connection is left alone")
        way.go_on.set()
        assert [(await client.next())[1] for _ in range(101)] == [b"one"] + [b"hi"] * 100
        client.writer.close()


@pytest.mark.parametrize(("body", "status", "said"), [(b"one", b"201", b"one"), (b"long", b"200", b"hi")])
async def test_a_server_that_ends_answers_what_it_has_taken_takes_no_more_and_hangs_up(
    body, status, said, heard, monkeypatch
):
    """What had come behind was worked on, for nobody: its answer had no connection to go to."""
    way, inner = Way(), BoundedRequests.shutdown

    def shutdown(self):
        inner(self)
        way.go_on.set()

    monkeypatch.setattr(BoundedRequests, "shutdown", shutdown)
    async with served(short_way=way) as port:
        client = await connect(port)
        client.writer.write(post(body))
        await begun(way, 1)
        client.writer.write(post(b"behind"))
        await eventually_true(lambda: len(heard) == 2, GUARD_S, "what is behind has come")
    answer = await client.end()
    assert answer.startswith(b"HTTP/1.1 %b " % status)
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\n%b" % said)
    assert way.asked == [body]
    client.writer.close()


async def test_a_connection_that_is_idle_for_too_long_is_ended_and_one_that_waits_for_its_answer_is_not(
    heard, monkeypatch
):
    """No request of the short way moves the timer: it looks when the last was answered."""
    way, looks, inner = Way(), [], BoundedRequests.timeout_keep_alive_handler
    monkeypatch.setattr(BoundedRequests, "timeout_keep_alive_handler", lambda self: (looks.append(1), inner(self)))
    async with served(short_way=way, timeout_keep_alive=0.2) as port:
        client = await connect(port)
        client.writer.write(post(b"one"))
        await begun(way, 1)
        client.writer.write(post(b"two"))  # here before the first is answered: no slow moment lies between the two
        await eventually_true(lambda: len(heard) == 2, GUARD_S, "what is behind has come")
        way.go_on.set()
        way.go_on.clear()
        assert (await client.next())[1] == b"one"
        await begun(way, 2)
        await eventually_true(lambda: looks, GUARD_S, "the timer has looked")
        way.go_on.set()
        assert (await client.next())[1] == b"two"
        assert await client.end() == b""


async def test_who_left_is_not_answered_and_disturbs_nobody():
    way = Way()
    async with served(short_way=way) as port:
        gone, other = await connect(port), await connect(port)
        gone.writer.write(post(b"gone"))
        await begun(way, 1)
        gone.writer.transport.abort()
        other.writer.write(post(b"other"))
        await begun(way, 2)
        way.go_on.set()
        assert (await other.next())[1] == b"other"
        other.writer.close()
