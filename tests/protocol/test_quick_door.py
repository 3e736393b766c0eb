"""The short way through a door, on a real uvicorn: the same answer as the long way's, in one piece."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from app.accounts.hints import DEVICE_COOKIE
from app.http.credentials import SESSION_COOKIE, csrf_token
from app.http.edge import build_asgi, build_routes
from app.http.endpoint import Begun, Endpoint, Reply
from app.http.headers import SecurityHeaders
from app.http.quick import short_way_of
from app.http.request_protocol import BoundedRequests
from app.person import Person, Right
from app.refusal import Refusal
from app.settings import Settings
from tests.protocol.test_request_protocol import served as on_uvicorn
from tests.waiting import eventually_true

GUARD_S = 60
SECRET = "s" * 43
DEVICE = f"{DEVICE_COOKIE}={'d' * 43}"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    count: int


class Gate:
    knows = True  # who calls, without looking anybody up

    async def identify(self, request):
        secret = "" if "authorization" in request.headers else request.cookies.get(SESSION_COOKIE, "")
        return await self.find(secret)

    async def find(self, secret):
        return Person("ann", "Ann") if secret == SECRET else None

    def known(self, right, secret):
        assert right is Right.SIGNED_IN
        return Person("ann", "Ann") if secret == SECRET and self.knows else None

    def look_up(self, right, secret):
        assert right is Right.SIGNED_IN
        found = asyncio.get_running_loop().create_future()
        found.get_loop().call_soon(found.set_result, [Person("ann", "Ann") if secret == SECRET else None])
        return found

    async def refuse(self, right, person, scope):
        del scope
        return None if person is not None or right is Right.ANYONE else Refusal("sign_in", "Sign in.")


class Asked(msgspec.Struct):
    body: Body
    idempotency_key: str


async def count(call):
    return outcome(call)


def outcome(call):
    if call.body.count < 0:
        return Refusal("sold_out", "None are left.")
    if call.body.count == 501:
        raise RuntimeError("a defect")
    if call.body.count == 500:
        return Reply({"count": "\ud800"})  # which no encoder takes
    return Reply({"count": call.body.count, "key": call.idempotency_key}, status=201)


def begin(person, body, key, address):
    """As `count`, at once; 8 goes on alone, 9 has to be asked for, 502 begins nothing, 503 breaks later."""
    assert (person.id, address) == ("ann", "127.0.0.1")
    if body.count == 502:
        raise RuntimeError("a defect")
    loop = asyncio.get_running_loop()
    waits = loop.create_future()
    if body.count == 503:
        loop.call_soon(waits.set_exception, RuntimeError("a defect"))
    else:
        loop.call_soon(waits.set_result, Asked(body, key))

    return None if body.count == 9 else Begun(waits, count if body.count == 8 else outcome)


@asynccontextmanager
async def served(counted: list[bytes], monkeypatch, at_once=None):
    """A server with one endpoint that has a short way; `counted` gets the bodies of answers that went it."""
    inner = BoundedRequests._write

    def write(self, answer):
        counted.append(answer.body)
        inner(self, answer)

    monkeypatch.setattr(BoundedRequests, "_write", write)
    one = Endpoint(
        method="POST",
        path="/count",
        right=Right.SIGNED_IN,
        action=count,
        summary="",
        body=Body,
        idempotent=True,
        direct=True,
        at_once=at_once,
    )
    app = SecurityHeaders(build_asgi(build_routes([one], Gate(), Settings())), tls=True)
    async with on_uvicorn(app=app, short_way=short_way_of(app)) as port:
        yield port


def request(body: bytes, path: str = "/count", *lines: str) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        "host: shop.example",
        f"cookie: {SESSION_COOKIE}={SECRET}",
        f"x-csrf-token: {csrf_token(SECRET)}",
        "content-type: application/json",
        "idempotency-key: one",
        f"content-length: {len(body)}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def answered(port: int, *pieces: bytes) -> tuple[list[bytes], bytes]:
    """The lines of the head, sorted and without the date, and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(GUARD_S):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if line and not line.startswith(b"date:")]
        length = next(line for line in lines if line.startswith(b"content-length: "))
        body = await reader.readexactly(int(length.partition(b" ")[2]))
    writer.close()
    return sorted(lines), body


async def test_the_short_way_gives_the_answer_of_the_long_way(monkeypatch):
    short: list[bytes] = []
    async with served(short, monkeypatch) as port:
        quick = await answered(port, request(b'{"count":3}'))
        assert short == [b'{"count":3,"key":"one"}']
        assert await answered(port, request(b'{"count":3}', "/count?by=the-long-way")) == quick
    assert len(short) == 1
    lines, body = quick
    assert body == b'{"count":3,"key":"one"}'
    assert b"HTTP/1.1 201 Created" in lines
    assert any(line.startswith(b"content-security-policy: default-src 'self'") for line in lines)


@pytest.mark.parametrize("at_once", [None, begin])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"count":-1}', b"409"),
        (b"{", b"400"),
        (b'{"other":1}', b"400"),
        (b'{"count":500}', b"500"),
        (b'{"count":501}', b"500"),
    ],
)
async def test_a_refusal_is_the_same_on_both_ways(body, status, at_once, monkeypatch):
    """An answer that could not be written was never sent, and the connection kept."""
    short: list[bytes] = []
    async with served(short, monkeypatch, at_once) as port:
        quick = await answered(port, request(body))
        assert await answered(port, request(body, "/count?by=the-long-way")) == quick
    assert quick[0][0].startswith(b"HTTP/1.1 " + status)
    assert short == [quick[1]]


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize("number", [3, 8, 9])
async def test_what_begins_at_once_gives_the_same_answers_to_one_request_after_the_other(number, knows, monkeypatch):
    monkeypatch.setattr(Gate, "knows", knows)
    short: list[bytes] = []
    body = b'{"count":%d}' % number
    async with served(short, monkeypatch, begin) as port:
        quick = await answered(port, request(body))
        assert await answered(port, request(body, "/count?by=the-long-way")) == quick
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(body) * 2)
        async with asyncio.timeout(GUARD_S):
            for _ in range(2):
                await reader.readuntil(quick[1])
        writer.close()
    assert short[0] == quick[1] == b'{"count":%d,"key":"one"}' % number


@pytest.mark.parametrize("number", [3, 8])
async def test_a_server_that_ends_answers_what_has_begun_at_once_and_hangs_up_and_who_left_is_in_nobodys_way(
    number, monkeypatch
):
    asked, body, inner = [], b'{"count":%d}' % number, BoundedRequests.shutdown

    def begin_later(_person, body, key, _address):
        asked.append((asyncio.get_running_loop().create_future(), Asked(body, key)))
        return Begun(asked[-1][0], count if number == 8 else outcome)

    def shutdown(self):
        inner(self)
        for waits, one in asked:
            if not waits.done():
                waits.set_result(one)

    monkeypatch.setattr(BoundedRequests, "shutdown", shutdown)
    short: list[bytes] = []
    async with served(short, monkeypatch, begin_later) as port:
        _, gone = await asyncio.open_connection("127.0.0.1", port)
        gone.write(request(body))
        await eventually_true(lambda: len(asked) == 1, GUARD_S, "the first has begun")
        gone.transport.abort()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(body))
        await eventually_true(lambda: len(asked) == 2, GUARD_S, "the second has begun")
    async with asyncio.timeout(GUARD_S):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b'\r\n\r\n{"count":%d,"key":"one"}' % number)
    assert len(short) == 1
    writer.close()


@pytest.mark.parametrize("number", [502, 503])
async def test_what_breaks_where_it_begins_at_once_is_our_fault_and_nobody_learns_more(number, monkeypatch):
    short: list[bytes] = []
    async with served(short, monkeypatch, begin) as port:
        head, body = await answered(port, request(b'{"count":%d}' % number))
    assert head[0].startswith(b"HTTP/1.1 500 ")
    assert short == [body]
    assert b"a defect" not in body


OTHER = "t" * 43


@pytest.mark.parametrize("cookies", [(DEVICE, f"{SESSION_COOKIE}={SECRET}"), (f"{SESSION_COOKIE}={SECRET}", DEVICE)])
async def test_a_browser_that_is_known_again_goes_the_short_way(cookies, monkeypatch):
    """Every browser has that cookie beside the session's, and so none went it."""
    short: list[bytes] = []
    body = b'{"count":3}'
    known = request(body).replace(f"{SESSION_COOKIE}={SECRET}".encode(), "; ".join(cookies).encode())
    async with served(short, monkeypatch, begin) as port:
        quick = await answered(port, known)
        assert quick == await answered(port, request(body, "/count?by=the-long-way"))
    assert short == [quick[1]]


@pytest.mark.parametrize(
    ("line", "instead", "status"),
    [
        (f"cookie: {SESSION_COOKIE}={SECRET}", "cookie: a=b", b"401"),
        (f"cookie: {SESSION_COOKIE}={SECRET}", f"cookie: {SESSION_COOKIE}={OTHER}", b"401"),
        (SECRET, f"{SECRET}; {SESSION_COOKIE}={OTHER}", b"401"),  # the last one counts
        (SECRET, f"{SECRET}; {SESSION_COOKIE}=", b"401"),
        (f"cookie: {SESSION_COOKIE}={SECRET}", "authorization: Bearer nobodys", b"401"),
        (f"x-csrf-token: {csrf_token(SECRET)}", f"x-csrf-token: {csrf_token(OTHER)}", b"403"),
        (f"x-csrf-token: {csrf_token(SECRET)}", "x-a: b", b"403"),
        ("x-a: b", "origin: https://elsewhere.example", b"403"),
        ("idempotency-key: one", "x-a: b", b"400"),
        ("content-type: application/json", "content-type: text/plain", b"415"),
    ],
)
@pytest.mark.parametrize("at_once", [None, begin])
async def test_whoever_the_door_turns_away_is_turned_away_on_the_short_way_too(
    line, instead, status, at_once, monkeypatch
):
    counted: list[bytes] = []
    wrong = request(b'{"count":3}', "/count", "x-a: b").replace(line.encode(), instead.encode())
    async with served(counted, monkeypatch, at_once) as port:
        quick = await answered(port, wrong)
        assert await answered(port, wrong.replace(b"/count", b"/count?by=the-long-way")) == quick
    assert quick[0][0].startswith(b"HTTP/1.1 " + status)
    assert counted == []


async def test_a_body_that_comes_later_is_waited_for(monkeypatch):
    short: list[bytes] = []
    async with served(short, monkeypatch) as port:
        whole = request(b'{"count":3}')
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(GUARD_S):
            writer.write(b"GET /other HTTP/1.1\r\nhost: shop.example\r\n\r\n" + whole[:-4])
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")  # so that much is there
            writer.write(whole[-4:])
            await reader.readuntil(b'{"count":3,"key":"one"}')
        writer.close()
    assert short == []
