"""How the supervisor notices a role that hangs: one byte a second on the role's link, as long as its event loop turns.

Owns both ends and the judgement. A wrong judgement ends a role that only had no turn on a slow machine, so the patience
is long, and a look that itself came late counts for nothing: then it was the machine that stood still, or this process.
Never ends anybody: that is app/supervisor.py's.
"""

import asyncio
import contextlib
import socket
from typing import Final

from app import clock

BEAT: Final = b"."
BEAT_S: Final = 1.0
LATE: Final = 1.5
"""A look this many times later than it should have come says nothing about anybody else."""
READ_BYTES: Final = 4096


class Silence:
    """For how long nothing was heard of a role, by looks of this process that came in time. `patience_s` is how long
    that may be; 0 for as long as it likes.
    """

    def __init__(self, patience_s: float, look_s: float = BEAT_S) -> None:
        self._patience_s = patience_s
        self._look_s = look_s
        self._silent_s = 0.0

    def look(self, passed_s: float, *, heard: bool) -> bool:
        """Whether the role hangs. `passed_s`: since the look before, `heard`: anything since then."""
        if heard:
            self._silent_s = 0.0
        elif passed_s <= LATE * self._look_s:
            self._silent_s += passed_s
        return 0 < self._patience_s <= self._silent_s


async def beat(link: socket.socket) -> None:
    """Says again and again that this event loop turns, until cancelled or until nobody listens any more."""
    with contextlib.suppress(ConnectionError):
        while True:
            with contextlib.suppress(BlockingIOError):  # the supervisor itself stands still, and has enough to read
                link.send(BEAT)
            await asyncio.sleep(BEAT_S)


async def until_silent(link: socket.socket, patience_s: float, look_s: float = BEAT_S) -> None:
    """Returns when the role at the other end of `link` hangs. One that closed its end and goes on is one that does."""
    silence = Silence(patience_s, look_s)
    hangs = False
    while not hangs:
        looked_s = clock.monotonic_s()
        await asyncio.sleep(look_s)
        heard = False
        with contextlib.suppress(BlockingIOError, ConnectionError):
            heard = link.recv(READ_BYTES) != b""
        hangs = silence.look(clock.monotonic_s() - looked_s, heard=heard)
