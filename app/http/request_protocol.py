"""uvicorn's HTTP protocol with bounds on what a peer may send before anybody reads it, and a short way past the parser.

Owns the limits on a request's head (and trailers) and on the time that it takes; bodies are app/http/body.py's. Owns
the order of a connection's requests where some go the short way (app/http/whole_request.py); it never knows what is
asked there. uvicorn with httptools has no limit of its own: whoever only ever sends header lines fills the memory. It
is built on private parts of uvicorn; tests/protocol/test_request_protocol.py names each of them. Give uvicorn.Config
`bounded_requests()`.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.http.arrivals import Arrivals
from app.http.whole_request import ShortWay, WholeAnswer, WholeRequest, read_whole

HEAD_BYTES_MAX: Final = 32 * 1024
"""Of address, header and trailer lines of one request. Cookies and bearers of ours stay far below."""
SILENT_BYTES_MAX: Final = 64 * 1024
"""Of what the parser swallows without a word: one line that does not end."""
HEAD_TIME_S: Final = 20
"""For a whole head, from the connection or the head's first byte. Idle connections have the keep-alive's time."""
BODY_SOON_S: Final = 1.0
"""For a body that a browser writes behind its head, in a piece of its own; then the parser waits for it."""
BEHIND_BYTES_MAX: Final = 64 * 1024
"""Of what a connection sends behind a request that is being answered; then it is not listened to for a while."""
WHOLE: Final = "hawker.whole"
"""In the extensions of a scope, once the body is here to its end: `receive` gives it without waiting."""
_LINE_OVERHEAD_BYTES: Final = 64  # what an empty line costs us all the same

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 31\r\n\r\nThe request's head is too large."
)


class HeadTooLargeError(ValueError):
    """Raised into the parser, which then stops."""


class BoundedRequests(HttpToolsProtocol):
    """Counts what arrives between two messages of the parser, and what a request's head comes to."""

    _head_bytes = 0
    _silent_bytes = 0
    _heard = False
    _head_open = False
    _too_large = False
    _hurry: asyncio.TimerHandle | None = None
    _between = True  # two messages of the parser
    _on_short_way = False  # a request of this connection
    _behind = b""  # what came meanwhile
    _begun = b""  # what came of one whose head is whole, and whose body is not
    _body_soon: asyncio.TimerHandle | None = None
    _is_last = False
    _answered_s = 0.0  # when the last of the short way went out, by the loop's clock
    _usual: tuple[Any, bytes] = (None, b"")  # uvicorn's own lines, and the same as they go over the wire

    def __init__(self, *args: Any, arrivals: Arrivals, short_way: ShortWay | None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrivals = arrivals
        self._short_way = short_way

    def connection_made(self, transport: Any) -> None:
        """A connection owes us a request."""
        super().connection_made(transport)
        if len(self.connections) > self._arrivals.connections_max:
            transport.abort()
            return
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._be_patient()
        self._take_begun()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes the short way, or feeds the parser and gives up on a line without an end."""
        if self._on_short_way:
            self._behind += data
            if len(self._behind) > BEHIND_BYTES_MAX:
                self.flow.pause_reading()
            return
        begun = self._take_begun()
        data = begun + data
        if self._short_way is not None and self._between and (self.cycle is None or self.cycle.response_complete):
            asked = read_whole(data)
            if asked is not None and not (begun and asked.lacks) and self._short_way.takes(asked):
                self._go_short(self._short_way, asked, data)
                return
        self._feed(data)

    def _take_begun(self) -> bytes:
        if self._body_soon is not None:
            self._body_soon.cancel()
            self._body_soon = None
        begun, self._begun = self._begun, b""
        return begun

    def _feed_begun(self) -> None:
        self._feed(self._take_begun())

    def _feed(self, data: bytes) -> None:
        self._heard = False
        super().data_received(data)
        if self._head_open and self._hurry is None and not self.transport.is_closing():
            self._wait_for_head()  # most heads come whole, and cost no timer
        self._silent_bytes = len(data) if self._heard else self._silent_bytes + len(data)
        if not self._heard and self._silent_bytes > SILENT_BYTES_MAX and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Says what is wrong, as far as we know it, and hangs up."""
        if self._too_large:
            self.transport.write(_TOO_LARGE)
            self.transport.close()
            return
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._heard = True
        self._head_bytes = 0
        self._head_open = True
        self._between = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._heard = True
        self._head_bytes += len(url)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._too_large = True
            raise HeadTooLargeError
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, or a trailer."""
        self._heard = True
        self._head_bytes += len(name) + len(value) + _LINE_OVERHEAD_BYTES
        if self._head_bytes > HEAD_BYTES_MAX:
            self._too_large = True
            raise HeadTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_open = False
        if self._hurry is not None:
            self._be_patient()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there: nobody has to wait for it with a clock."""
        self._between = True
        if self.cycle is not None:  # else it is to become a socket
            extensions: dict[str, dict[object, object]] = {WHOLE: {}}
            self.scope["extensions"] = extensions
        super().on_message_complete()

    def shutdown(self) -> None:
        """The server ends: nothing more is taken after what is being answered."""
        if self._on_short_way:
            self._is_last = True
        else:
            if self._begun:
                self._feed_begun()
            super().shutdown()

    def _go_short(self, way: ShortWay, asked: WholeRequest, data: bytes) -> None:
        if self._hurry is not None:
            self._be_patient()
        self._silent_bytes = 0
        if asked.lacks:
            self._begun = data
            self._body_soon = self.loop.call_later(BODY_SOON_S, self._feed_begun)
            return
        self._on_short_way = True
        scope_of, tell = partial(self._scope_of, asked), partial(self._told, data)
        if not way.begin(asked, self.client[0] if self.client else "", scope_of, tell):
            self._told(data, way.answer(asked, self._scope_of(asked)))

    def _by_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _told(self, data: bytes, answer: WholeAnswer | Awaitable[WholeAnswer | None]) -> None:
        if isinstance(answer, WholeAnswer) and not self.flow.write_paused:
            self._end_short(answer, data)
        else:
            self._by_task(self._tell_later(data, answer))

    async def _tell_later(self, data: bytes, answer: WholeAnswer | Awaitable[WholeAnswer | None]) -> None:
        said = answer if isinstance(answer, WholeAnswer) else await answer
        if said is not None and self.flow.write_paused:
            await self.flow.drain()
        self._end_short(said, data)

    def _end_short(self, answer: WholeAnswer | None, data: bytes) -> None:
        """Sends the answer; without one the request is read as any other."""
        self._on_short_way = False
        behind, self._behind = self._behind, b""
        if self.transport.is_closing():
            return
        if answer is None:
            self._feed(data)  # whoever sends more before this is answered waits in uvicorn's own line
        else:
            self._write(answer)
        if self._is_last:
            self.shutdown()  # for what went the long way after all
        elif behind:
            self.data_received(behind)

    def _scope_of(self, asked: WholeRequest) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": list(asked.head.items()),
            "state": self.app_state.copy(),
            "method": "POST",
            "path": asked.path,
            "raw_path": asked.path.encode(),
            "query_string": b"",
            "path_params": {},
        }

    def _write(self, answer: WholeAnswer) -> None:
        headers, usual = self._usual
        if headers is not self.server_state.default_headers:
            headers = self.server_state.default_headers
            usual = b"".join([b"%b: %b\r\n" % header for header in headers])
            self._usual = headers, usual
        end = b"connection: close\r\ncontent-length: %d\r\n\r\n" if self._is_last else b"content-length: %d\r\n\r\n"
        body = answer.body
        self.transport.write(b"".join((STATUS_LINE[answer.status], usual, answer.lines, end % len(body), body)))
        self.server_state.total_requests += 1
        if self._is_last:
            self.transport.close()
            return
        self.flow.resume_reading()
        self._answered_s = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Ends a connection that has been idle for as long as one may be. On the short way no request moves the timer:
        it looks when the last was answered, and comes back.
        """
        idle_s = 0.0 if self._on_short_way or self._begun else self.loop.time() - self._answered_s
        if idle_s >= self.timeout_keep_alive:
            super().timeout_keep_alive_handler()
        elif not self.transport.is_closing():
            self._look_again_in(self.timeout_keep_alive - idle_s)

    def _look_again_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over to uvicorn's other protocol, and keeps nothing: parser and protocol hold each
        other, and without a collector that would be for ever.
        """
        super().handle_websocket_upgrade()
        unset: Any = None
        self.parser = self.flow = self.transport = self.scope = self.headers = self.cycle = unset

    def _wait_for_head(self) -> None:
        if self._arrivals.owes_head(self.transport, self.client[0] if self.client else ""):
            self._hurry = self.loop.call_later(HEAD_TIME_S, self.transport.abort)
        else:
            self.transport.abort()

    def _be_patient(self) -> None:
        self._arrivals.owes_nothing(self.transport)
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None


def bounded_requests(arrivals: Arrivals | None = None, short_way: ShortWay | None = None) -> Any:
    """What uvicorn.Config takes as `http`: the protocol with the counts that all connections of a server share."""
    return partial(BoundedRequests, arrivals=arrivals or Arrivals(), short_way=short_way)
