"""A queue and an event for one waiter: what a socket keeps of asyncio's, at a tenth of the memory.

asyncio's own hold three deques for a crowd of waiters; ten thousand sockets have one waiter each, or none. Owns no
task and cancels nothing.
"""

import asyncio
from typing import Any


class Gate:
    """asyncio.Event as far as uvicorn's protocol uses it."""

    __slots__ = ("_open", "_waiters")

    def __init__(self) -> None:
        self._open = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        """Whether `wait` returns at once."""
        return self._open

    def set(self) -> None:
        """Lets everybody go on."""
        self._open = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Makes the next ones wait."""
        self._open = False

    async def wait(self) -> None:
        """Returns when the gate was opened."""
        if self._open:
            return
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        await waiter


class Letterbox:
    """asyncio.Queue as far as uvicorn's protocol uses it: one task gets. Its length is bounded by whoever puts."""

    __slots__ = ("_letters", "_reader")

    def __init__(self) -> None:
        self._letters: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._letters)

    def empty(self) -> bool:
        """Whether `get` would wait."""
        return not self._letters

    def put_nowait(self, letter: Any) -> None:
        """Adds one at the end."""
        self._letters.append(letter)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        """The first one, once there is one."""
        while not self._letters:
            assert self._reader is None, "one task gets"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._letters.pop(0)
