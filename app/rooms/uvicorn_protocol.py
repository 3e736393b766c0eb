"""The direct wire: uvicorn's sans-I/O WebSocket protocol, opened so that a room writes finished frames itself.

Owns the buffer marks, the limits on what a peer may send, and the closing words at shutdown. It is built on private
parts of uvicorn; tests/protocol/test_uvicorn_contract.py names each of them. Give `SERVER_OPTIONS` to uvicorn.Config.
"""

import random
import socket
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from app.rooms.lean import Gate, Letterbox
from app.rooms.wire import BUFFER_HIGH_BYTES, BUFFER_LOW_BYTES, EXTENSION, Listener

MESSAGE_BYTES_HARD_MAX: Final = 32 * 1024
"""Above it the parser itself gives up (1009); the socket's own limit, with a code of its own, is lower."""
KERNEL_BUFFER_BYTES: Final = 64 * 1024
"""What the kernel may hold for one peer (it counts twice that). Left alone it grows to megabytes for one who does not
read, whom we would then notice too late.
"""
FRAGMENTS_MAX: Final = 64
RESTART_DELAY_MS_MAX: Final = 2000
PING_INTERVAL_S: Final = 20
PING_TIMEOUT_S: Final = 20
CLOSE_RESTART: Final = 1012
CLOSE_TOO_LARGE: Final = 4009


class RoomProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, and at the same time the Wire of app/rooms/wire.py."""

    # uvicorn's attributes too: forty of them in a dict of its own would cost each socket 1.2 KiB.
    __slots__ = (
        "app", "app_state", "asgi_version", "client", "close_sent", "close_timeout", "close_timer", "config", "conn",
        "connections", "curr_msg_data_type", "default_headers", "disconnected", "frames", "handshake_complete",
        "handshake_initiated", "initial_response", "last_ping_rtt", "listener", "logger", "loop",
        "pending_ping_payload", "ping_interval", "ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue",
        "read_paused", "request", "response", "root_path", "scheme", "scope", "server", "tasks", "transport",
        "writable",
    )  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.listener: Listener | None = None
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

    def settle(self) -> None:
        """Forgets the handshake, a third of a socket's memory; the application has what it needs of it."""
        scope: Any = self.scope
        scope["headers"].clear()  # emptied in place: the parser and the application's own objects hold on to both
        scope.clear()
        self.request.headers.clear()
        self.request: Any = None
        self.response: Any = None

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

    def _detach(self) -> None:
        if self.listener is not None:
            self.listener.lost()
            self.listener = None

    # What uvicorn and the transport call.

    def handle_connect(self, event: Request) -> None:
        """Offers this wire to the application before its task runs for the first time."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            offered: Any = self.scope["extensions"]
            offered[EXTENSION] = self
            self.transport.set_write_buffer_limits(high=BUFFER_HIGH_BYTES, low=BUFFER_LOW_BYTES)
            bare = self.transport.get_extra_info("socket")
            if bare is not None:
                bare.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)

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
        # Both hold frames that hold their owner: a generator's, and those of a traceback.
        self.conn.parser.close()
        self.conn.parser_exc = None

    def handle_ping(self) -> None:
        """Answers, unless the peer asks without reading the answers."""
        if self.stalled:
            self.abort()
            return
        super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """Bounds the fragments of one message; their bytes are bounded by the parser."""
        if len(self.frames) >= FRAGMENTS_MAX:
            self.frames = []
            self.close(CLOSE_TOO_LARGE, "too many fragments")
            return
        super().handle_cont(event)

    def handle_close(self, event: Frame) -> None:
        """The peer closes."""
        self._detach()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """The peer broke the protocol."""
        self._detach()
        super().handle_parser_exception()

    def keepalive_timeout(self) -> None:
        """The peer did not answer a ping."""
        self._detach()
        super().keepalive_timeout()

    def shutdown(self) -> None:
        """The server goes: says so with a delay of its own to each, so that they do not come back all at once."""
        if self.handshake_complete:
            self.close(CLOSE_RESTART, str(random.randrange(RESTART_DELAY_MS_MAX)))
        super().shutdown()


SERVER_OPTIONS: Final[dict[str, Any]] = {
    "ws": RoomProtocol,
    "ws_max_size": MESSAGE_BYTES_HARD_MAX,
    "ws_per_message_deflate": False,  # 34 KiB a connection, and a frame of its own for each viewer
    "ws_ping_interval": PING_INTERVAL_S,
    "ws_ping_timeout": PING_TIMEOUT_S,
}
"""Keyword arguments of uvicorn.Config without which rooms do not work as they should."""
