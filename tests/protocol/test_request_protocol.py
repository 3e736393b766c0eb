"""What a peer may send before anybody reads it, on a real uvicorn; and the private parts that this stands on."""

import asyncio
import inspect
from contextlib import asynccontextmanager

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Base
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as Cycle
from uvicorn.server import ServerState

from app.http import request_protocol
from app.http.request_protocol import BoundedRequests, bounded_requests
from tests.waiting import eventually_true

GUARD_S = 60
METHODS = {
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "exc"],
    "data_received": ["self", "data"],
    "send_400_response": ["self", "msg"],
    "on_message_begin": ["self"],
    "on_url": ["self", "url"],
    "on_header": ["self", "name", "value"],
    "on_headers_complete": ["self"],
    "on_body": ["self", "body"],
    "on_message_complete": ["self"],
    "handle_websocket_upgrade": ["self"],
    "shutdown": ["self"],
    "timeout_keep_alive_handler": ["self"],
}
USED = [
    "cycle",
    "flow",
    "server_state",
    "tasks",
    "asgi_version",
    "root_path",
    "app_state",
    "client",
    "server",
    "scheme",
    "timeout_keep_alive",
    "timeout_keep_alive_task",
]


async def hello(scope, receive, send):
    while (await receive())["type"] == "http.request" and scope["path"] == "/read":
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@asynccontextmanager
async def served(arrivals=None, app=hello, short_way=None, **options):
    http = bounded_requests(arrivals, short_way)
    config = uvicorn.Config(app, port=0, http=http, lifespan="off", log_config=None, **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await eventually_true(lambda: server.started, GUARD_S, "a started server")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def answer_to(port: int, first: bytes, again: bytes = b"", times: int = 0) -> bytes:
    """All that the server says until it hangs up, while `again` is sent up to `times` times."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(GUARD_S):
        try:
            writer.write(first)
            for _ in range(times):
                writer.write(again)
                await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b"cut"
        finally:
            writer.close()


@pytest.mark.parametrize("name", METHODS)
def test_what_is_overridden_exists_with_the_same_arguments(name):
    assert list(inspect.signature(getattr(Base, name)).parameters) == METHODS[name]
    assert name in vars(BoundedRequests)


@pytest.mark.parametrize("name", [name for name in vars(BoundedRequests) if name.startswith("_") and name[1] != "_"])
def test_our_names_are_not_uvicorns(name):
    assert f"self.{name}" not in inspect.getsource(Base)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b"x-a: " + b"a" * 1000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b"x: \r\n" * 100),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ", b"a" * 1000),
        (b"GET /", b"a" * 1000),
    ],
    ids=["many lines", "many empty lines", "one line", "address"],
)
async def test_a_head_without_an_end_is_refused(first, again):
    """A hundred megabytes of header lines were taken, all of them kept in memory."""
    async with served() as port:
        answer = await answer_to(port, first, again, 100_000)
    assert answer == b"cut" or answer.startswith(b"HTTP/1.1 431 ")


async def test_trailers_without_an_end_are_refused():
    first = b"POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    async with served() as port:
        answer = await answer_to(port, first, b"x-a: " + b"a" * 1000 + b"\r\n", 100_000)
    assert answer == b"cut" or answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_of_a_browser_with_many_cookies_passes():
    head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: " + b"c" * 8000 + b"\r\n\r\n"
    async with served() as port:
        assert (await answer_to(port, head)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(sent, monkeypatch):
    """Such a connection was kept for as long as its peer liked."""
    monkeypatch.setattr(request_protocol, "HEAD_TIME_S", 0.1)
    async with served() as port:
        assert await answer_to(port, sent) in {b"", b"cut"}


async def test_one_connection_carries_one_request_after_the_other():
    async with served() as port:
        answer = await answer_to(
            port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
    assert answer.count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize("name", USED)
def test_what_the_short_way_touches_is_there(name):
    assert f"self.{name}" in inspect.getsource(Base.__init__)


def test_the_short_way_asks_uvicorn_in_its_words():
    assert "self.timeout_keep_alive_handler" in inspect.getsource(Base.on_response_complete)
    assert "total_requests" in inspect.getsource(ServerState)
    assert "self.response_complete = False" in inspect.getsource(Cycle.__init__)
    assert "default_headers" in inspect.getsource(ServerState)
    assert STATUS_LINE[201] == b"HTTP/1.1 201 Created\r\n"
