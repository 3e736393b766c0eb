"""The direct wire: uvicorn's sans-I/O WebSocket protocol, opened so that a room writes finished frames itself.

Owns the buffer marks, the limits on what a peer may send, the life of a joined socket without a task of its own, and
the closing words at shutdown. It is built on private parts of uvicorn; tests/protocol/test_uvicorn_contract.py names
each of them. Give `SERVER_OPTIONS` to uvicorn.Config.
"""

import random
import socket
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from app.rooms import closes
from app.rooms.lean import Gate, Letterbox
from app.rooms.wire import BUFFER_HIGH_BYTES, BUFFER_LOW_BYTES, EXTENSION, Listener, Stay

MESSAGE_BYTES_HARD_MAX: Final = 32 * 1024
"""Above it the parser itself gives up (1009); the socket's own limit, with a code of its own, is lower."""
SENDING_BYTES: Final = 32 * 1024
RECEIVING_BYTES: Final = 32 * 1024
"""What the kernel may hold for one peer and of it (it counts twice that). Left alone both grow to megabytes, for one
who does not read, whom we would then notice too late, and for one whose words we do not read.
"""
SLICE_BYTES: Final = 2 * 1024
"""Of what arrived, so much is parsed before we look whether the peer is still to be listened to: a read can bring
forty thousand frames.
"""
FRAGMENTS_MAX: Final = 64
LETTERS_MAX: Final = 256
"""Messages of one peer that wait for their turn. A page that comes back repeats 32 at most."""
PINGS_PER_S: Final = 2
PINGS_BURST: Final = 60
"""Pings, and pongs that nobody asked for. Browsers send none; other clients one every few seconds."""
PARTING_BYTES_MAX: Final = 64 * 1024
"""Read after our close, while the peer's is on its way; a flood is not read on."""
RESTART_DELAY_MS_MAX: Final = 2000
WRONG_TEXT: Final = 1007
"""The protocol's own code for text that is no UTF-8."""
CLOSE_TIMEOUT_S: Final = 5.0
"""For the peer to answer our close, and to read what is left."""
PING_INTERVAL_S: Final = 20
PING_TIMEOUT_S: Final = 20


class RoomProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, and at the same time the Wire of app/rooms/wire.py."""

    # uvicorn's attributes too: forty of them in a dict of its own would cost each socket 1.2 KiB.
    __slots__ = (
        "app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer", "config", "conn",
        "connections", "curr_msg_data_type", "default_headers", "disconnected", "frames", "handshake_complete",
        "handshake_initiated", "initial_response", "last_ping_rtt", "listener", "logger", "loop", "parting_bytes",
        "pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pings_until_s",
        "pong_timer", "queue", "read_paused", "request", "response", "root_path", "scheme", "scope", "server", "stay",
        "tasks", "transport", "working", "writable",
    )  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.listener: Listener | None = None
        self.stay: Stay | None = None
        self.working = False
        self.pings_until_s = 0.0
        self.parting_bytes = 0
        self.request: Any = None
        self.response: Any = None
        self.queue: Any = Letterbox()
        self.writable: Any = Gate()
        self.writable.set()

    @property
    def stalled(self) -> bool:
        """Whether the transport said stop."""
        return not self.writable.is_set()

    def writer(self) -> tuple[Callable[[Any, bytes], None], Any]:
        """The transport's own `write`, with nothing in between."""
        return type(self.transport).write, self.transport

    def write(self, frame: bytes) -> None:
        """Writes a frame, unless the close was sent."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frame)

    def take_over(self, stay: Stay) -> bool:
        """Lets the application's task end: what the peer says from now on gets a task of its own, if it ever does."""
        self.stay = stay
        self._forget_request()
        self._set_to_work()
        return True

    def close(self, code: int, reason: str) -> None:
        """Sends the close frame, and gives the peer `close_timeout` to answer and to read what is left."""
        if self.close_sent or self.transport.is_closing():
            return
        self._detach()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        # abort, not close: close() would wait for a peer that does not read
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def abort(self) -> None:
        """Drops the connection with all that waits in it."""
        self._detach()
        self.transport.abort()

    async def wait_drained(self) -> None:
        """Waits while the transport says stop. Returns at once when the connection is lost."""
        await self.writable.wait()

    async def wait_gone(self) -> None:
        """Waits until the connection is lost. For the application's task alone."""
        while not self.disconnected:
            await self.queue.get()

    def _detach(self) -> None:
        if self.listener is not None:
            self.listener.lost()
            self.listener = None

    def _forget_request(self) -> None:
        """A third of a socket's memory. The scope holds us, too, by the extension: a cycle nobody would collect."""
        scope: Any = self.scope
        if scope:
            scope["headers"].clear()  # emptied in place: the parser and the application's own objects hold on to both
            scope.clear()
            self.request.headers.clear()
            self.request = self.response = None

    def _hurry(self) -> None:
        """A transport that closes waits until the peer has read what was written: not for ever."""
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def _hang_up(self, code: int, reason: str) -> None:
        """Closes, and hears nothing more: for who floods us."""
        self.close(code, reason)
        self.read_paused = True
        self.transport.pause_reading()

    # A joined socket's own task, for as long as there is something to do.

    def _set_to_work(self) -> None:
        if self.stay is None or self.working or self.queue.empty():
            return
        self.working = True
        task = self.loop.create_task(self._work(self.stay))
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    async def _work(self, stay: Stay) -> None:
        try:
            while not self.queue.empty() and not self.close_sent:
                message = await self.receive()
                if message["type"] == "websocket.receive":
                    await stay.obey(message)
        except Exception:
            # As uvicorn ends an application that fails: the defect is told, and this socket alone suffers from it.
            self.logger.exception("Exception in a room's command\n")
            self.close(closes.DEFECT, "")
        finally:
            self.working = False
            if self.disconnected:
                self._end_stay()

    def _end_stay(self) -> None:
        stay, self.stay = self.stay, None
        if stay is not None:
            stay.end()

    # What uvicorn and the transport call.

    async def run_asgi(self) -> None:
        """uvicorn's, but the application may end before its socket does."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self.send_500_response()
        else:
            if self.stay is not None:
                return
            self.send_500_response()  # unless there was an answer
        self._forget_request()
        if self.close_timer is None:
            self.transport.close()
            self._hurry()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser a little at a time."""
        for start in range(0, len(data), SLICE_BYTES):
            portion = data[start : start + SLICE_BYTES]
            super().data_received(portion)
            if self.conn.handshake_exc is not None and not self.handshake_initiated:
                self._refuse_head()
            if self.transport.is_closing() or (self.close_sent and not self._still_heard(len(portion))):
                return

    def _refuse_head(self) -> None:
        """The parser knows what is wrong with the request, but uvicorn does not ask it."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.handshake_complete = self.close_sent = True
        self.transport.close()
        self._hurry()

    def _still_heard(self, size: int) -> bool:
        self.parting_bytes += size
        if self.parting_bytes > PARTING_BYTES_MAX and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
        return self.parting_bytes <= PARTING_BYTES_MAX

    def send_receive_event_to_app(self) -> None:
        """A whole message is there."""
        if len(self.queue) >= LETTERS_MAX:
            self.frames = []
            self._hang_up(closes.BAD_REQUEST, "too many messages at once")
            return
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(self.frames):
            # As uvicorn does, but without a traceback in the log for whoever wants to fill it.
            self.frames = []
            self.conn.send_close(WRONG_TEXT)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()
        self._set_to_work()

    def handle_connect(self, event: Request) -> None:
        """Offers this wire to the application before its task runs for the first time."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            offered: Any = self.scope["extensions"]
            offered[EXTENSION] = self
            self.close_timeout = CLOSE_TIMEOUT_S
            self.transport.set_write_buffer_limits(high=BUFFER_HIGH_BYTES, low=BUFFER_LOW_BYTES)
            bare = self.transport.get_extra_info("socket")
            if bare is not None:
                bare.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING_BYTES)
                bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVING_BYTES)

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        super().pause_writing()
        if self.listener is not None:
            self.listener.stalled()

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        if self.listener is not None:
            self.listener.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end. The listener goes with it, so that no cycle is left for the collector."""
        self._detach()
        super().connection_lost(exc)
        # These hold frames that hold their owner: a generator's, and those of tracebacks.
        self.conn.parser.close()
        for error in (self.conn.parser_exc, self.conn.handshake_exc):
            _forget_traces(error)
        self.conn.parser_exc = self.conn.handshake_exc = None
        if self.request is not None:
            self.request._exception = None  # noqa: SLF001
        if not self.working:
            self._end_stay()

    def eof_received(self) -> None:
        """The peer says nothing more; the transport closes."""
        self._detach()
        self._hurry()

    def handle_ping(self) -> None:
        """Answers, unless the peer asks without reading the answers, or without end."""
        if self.stalled:
            self.abort()
        elif not self._is_too_lively():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Takes the answer to our ping, and counts the others."""
        if self.pending_ping_payload is not None or not self._is_too_lively():
            super().handle_pong(event)

    def _is_too_lively(self) -> bool:
        """Counts a ping, in a bucket that holds PINGS_BURST and fills at PINGS_PER_S."""
        now_s = self.loop.time()
        self.pings_until_s = max(self.pings_until_s, now_s) + 1 / PINGS_PER_S
        if self.pings_until_s - now_s <= PINGS_BURST / PINGS_PER_S:
            return False
        self._hang_up(closes.BAD_REQUEST, "too many pings")
        return True

    def handle_cont(self, event: Frame) -> None:
        """Bounds the fragments of one message; their bytes are bounded by the parser."""
        if len(self.frames) >= FRAGMENTS_MAX:
            self.frames = []
            self._hang_up(closes.TOO_LARGE, "too many fragments")
            return
        super().handle_cont(event)

    def handle_close(self, event: Frame) -> None:
        """The peer closes."""
        self._detach()
        super().handle_close(event)
        self._hurry()

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol."""
        self._detach()
        if self.conn.close_sent is None:  # before the upgrade was answered
            self.transport.abort()
            return
        super().handle_parser_exception()
        self._hurry()

    def keepalive_timeout(self) -> None:
        """The peer did not answer a ping."""
        self._detach()
        super().keepalive_timeout()
        self._hurry()

    def shutdown(self) -> None:
        """The server goes: says so with a delay of its own to each, so that they do not come back all at once."""
        if self.handshake_complete:
            self.close(closes.RESTART, str(random.randrange(RESTART_DELAY_MS_MAX)))
        super().shutdown()
        self._hurry()


def _is_utf8(fragments: list[bytes]) -> bool:
    try:
        b"".join(fragments).decode()
    except UnicodeDecodeError:
        return False
    return True


def _forget_traces(error: BaseException | None) -> None:
    """Takes the tracebacks from an exception and from all that led to it."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


SERVER_OPTIONS: Final[dict[str, Any]] = {
    "ws": RoomProtocol,
    "ws_max_size": MESSAGE_BYTES_HARD_MAX,
    "ws_per_message_deflate": False,  # 34 KiB a connection, and a frame of its own for each viewer
    "ws_ping_interval": PING_INTERVAL_S,
    "ws_ping_timeout": PING_TIMEOUT_S,
}
"""Keyword arguments of uvicorn.Config without which rooms do not work as they should."""
