"""uvicorn's HTTP protocol with bounds on what a peer may send before anybody reads it, and a short way for answers.

Owns the limits on a request's head (and trailers) and on the time that it takes; bodies are app/http/body.py's. Owns
how an answer is written that is whole when it begins; it never knows what is in one (app/http/quick.py). uvicorn with
httptools has no limit of its own: whoever only ever sends header lines fills the memory. It is built on private
parts of uvicorn; tests/protocol/test_request_protocol.py names each of them. Give uvicorn.Config `bounded_requests()`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.http.arrivals import Arrivals

HEAD_BYTES_MAX: Final = 32 * 1024
"""Of address, header and trailer lines of one request. Cookies and bearers of ours stay far below."""
SILENT_BYTES_MAX: Final = 64 * 1024
"""Of what the parser swallows without a word: one line that does not end."""
HEAD_TIME_S: Final = 20
"""For a whole head, from the connection or the head's first byte. Idle connections have the keep-alive's time."""
WHOLE: Final = "hawker.whole"
"""In the extensions of a scope, once the body is here to its end. "body" is what nobody has read of it yet; `receive`
gives it too, and without waiting. "answer" is a WholeAnswer.
"""
WholeAnswer: TypeAlias = Callable[[int, bytes, bytes], bool]
"""Sends an answer in one write: its status, more lines of its head as they go over the wire, its body. uvicorn looks at
every header and writes twice. False: nothing was sent, it has to go by `send`.
"""
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

    def __init__(self, *args: Any, arrivals: Arrivals, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrivals = arrivals

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
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; gives up on a line without an end."""
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
        cycle = self.cycle
        if cycle is not None:  # else it is to become a socket
            whole: dict[object, object] = {"body": bytes(cycle.body), "answer": partial(self._answer_whole, cycle)}
            self.scope["extensions"] = {WHOLE: whole}
        super().on_message_complete()

    def _answer_whole(self, cycle: RequestResponseCycle, status: int, lines: bytes, body: bytes) -> bool:
        if cycle.response_started or cycle.disconnected or not cycle.keep_alive or self.flow.write_paused:
            return False
        usual = [b"%b: %b\r\n" % header for header in cycle.default_headers]
        length = b"content-length: %d\r\n" % len(body)
        self.transport.write(b"".join([STATUS_LINE[status], *usual, length, lines, b"\r\n", body]))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()
        return True

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


def bounded_requests(arrivals: Arrivals | None = None) -> Any:
    """What uvicorn.Config takes as `http`: the protocol with the counts that all connections of a server share."""
    return partial(BoundedRequests, arrivals=arrivals or Arrivals())
