"""The socket of one viewer as the room sees it: something to write finished frames to, that says when it is full.

Owns the Protocol and the fallback for ASGI servers without our extension: a bounded writer task per viewer. The
direct one, without a task, is app/rooms/uvicorn_protocol.py.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from app.rooms.frames import body_of

EXTENSION: Final = "hawker.wire"
"""The key in scope["extensions"] under which a server offers a Wire."""
BUFFER_HIGH_BYTES: Final = 32 * 1024
BUFFER_LOW_BYTES: Final = 8 * 1024


class Listener(Protocol):
    """Who is told about the wire's state."""

    def stalled(self) -> None:
        """More than BUFFER_HIGH_BYTES wait for the peer."""

    def drained(self) -> None:
        """Less than BUFFER_LOW_BYTES wait again."""

    def lost(self) -> None:
        """Nothing may be written any more: closing, or gone. May come more than once."""


class Stay(Protocol):
    """What a wire does with a viewer's words; app/rooms/stay.py implements it."""

    async def obey(self, message: Mapping[str, Any]) -> None:
        """Answers an ASGI `websocket.receive`. One at a time."""

    def end(self) -> None:
        """The connection is gone, and nothing is being obeyed."""


class Wire(Protocol):
    """One viewer's socket, accepted."""

    listener: Listener | None

    @property
    def stalled(self) -> bool:
        """Whether more than BUFFER_HIGH_BYTES wait for the peer."""

    def writer(self) -> tuple[Callable[[Any, bytes], None], Any]:
        """What takes a finished frame for as long as the listener was not told `lost`, and never waits: a function that
        many wires share, and this wire's end, its first argument.
        """

    def write(self, frame: bytes) -> None:
        """Takes a finished frame, or drops it when the socket is closing. Never waits."""

    def take_over(self, stay: Stay) -> bool:
        """The viewer has joined. True: from now on the wire itself hands what the peer says to `stay`, and the end; the
        application's task may end. False: whoever asked goes on receiving.
        """

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame; what is written before still arrives."""

    def abort(self) -> None:
        """Ends the connection without a word; what the peer has not read is dropped."""

    async def wait_drained(self) -> None:
        """Waits while the wire is stalled."""

    async def wait_gone(self) -> None:
        """After `close`: waits until the connection is gone, where the server lets us know."""


class TaskWire:
    """A bounded queue and a task that sends through ASGI. Run `run(send)` beside the receiving task."""

    def __init__(self, cancel: Callable[[], Any]) -> None:
        self.listener: Listener | None = None
        self._cancel = cancel
        self._queue: deque[bytes | tuple[int, str]] = deque()
        self._size = 0
        self._stalled = False
        self.closing = False
        self._filled = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()

    @property
    def stalled(self) -> bool:
        """Whether the queue is over its mark."""
        return self._stalled

    def writer(self) -> tuple[Callable[[Any, bytes], None], Any]:
        """The queue's own `write`."""
        return TaskWire.write, self

    def write(self, frame: bytes) -> None:
        """Queues a frame."""
        if self.closing:
            return
        self._queue.append(frame)
        self._size += len(frame)
        self._filled.set()
        if self._size > BUFFER_HIGH_BYTES and not self._stalled:
            self._stalled = True
            self._free.clear()
            if self.listener:
                self.listener.stalled()

    def take_over(self, stay: Stay) -> bool:
        """The server wants the application's task to last."""
        del stay
        return False

    def close(self, code: int, reason: str) -> None:
        """Queues the close."""
        if self.closing:
            return
        self.closing = True
        self._queue.append((code, reason))
        self._filled.set()
        if self.listener:
            self.listener.lost()

    def abort(self) -> None:
        """Cancels the connection's task; the server then drops the connection."""
        self.closing = True
        if self.listener:
            self.listener.lost()
        self._cancel()

    async def wait_drained(self) -> None:
        """Waits until the queue is under its low mark."""
        await self._free.wait()

    async def wait_gone(self) -> None:
        """The server does not say when."""

    async def run(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Sends what is queued until the close was sent, or the peer is gone."""
        with suppress(OSError):  # what ASGI raises to say so
            await self._send_all(send)

    async def _send_all(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            item = self._queue.popleft()
            if isinstance(item, tuple):
                await send({"type": "websocket.close", "code": item[0], "reason": item[1]})
                return
            await send({"type": "websocket.send", "text": body_of(item).decode()})
            self._size -= len(item)
            if self._stalled and self._size < BUFFER_LOW_BYTES:
                self._stalled = False
                self._free.set()
                if self.listener:
                    self.listener.drained()
