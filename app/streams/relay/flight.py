"""The last flight of a handshake, which goes again while it is not answered.

OpenSSL waits a second before it repeats itself, then two, four and eight: with a fifth of all datagrams lost one viewer
in twenty waited for seven seconds and more. A repeated datagram is what a network may deliver twice anyway: whoever got
the first passes it over. Owns the datagrams and the timer; knows nothing of what is in them.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from app.streams.relay.limits import FLIGHT_DATAGRAMS_MAX, FLIGHT_TRIES_MAX, FLIGHT_WAIT_MAX_S, FLIGHT_WAIT_S

_RECORD_HEADER_BYTES: Final = 13
_CHANGE_CIPHER_SPEC: Final = 20


class Flight:
    """What is sent before the next datagram comes is one flight; the first one sent after that begins another."""

    def __init__(self, send: Callable[[bytes], None], *, last_once: bool = False) -> None:
        """`last_once`: what ends the peer's handshake is left to OpenSSL's own patience. FFmpeg's publisher takes no
        DTLS after its handshake: one datagram of it, and it sends a packet only for each that it is sent.
        """
        self._out = send
        self._last_once = last_once
        self._datagrams: deque[bytes] = deque(maxlen=FLIGHT_DATAGRAMS_MAX)
        self._answered = self._stopped = False
        self._wait_s = FLIGHT_WAIT_S
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, datagram: bytes) -> None:
        """Sends it, now and again."""
        self._out(datagram)
        if self._stopped:
            return
        if self._last_once and _finishes(datagram):
            self.stop()
            return
        if self._answered:
            self._datagrams.clear()
        self._answered = False
        self._datagrams.append(datagram)
        self._wait_s, self._tries = FLIGHT_WAIT_S, 0
        self._arm()

    def answered(self) -> None:
        """Something came. It may be half of the peer's flight, so ours goes on until there is another."""
        self._answered = True

    def stop(self) -> None:
        """Nothing goes again, from here on."""
        self._stopped = True
        self._datagrams.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._wait_s, self._again)

    def _again(self) -> None:
        self._timer = None
        for datagram in self._datagrams:
            self._out(datagram)
        self._tries += 1
        self._wait_s = min(FLIGHT_WAIT_MAX_S, 2 * self._wait_s)
        if self._tries < FLIGHT_TRIES_MAX:
            self._arm()


def _finishes(datagram: bytes) -> bool:
    """Whether one of its records is a ChangeCipherSpec, behind which comes Finished (RFC 6347, 4.1 and 4.2.4)."""
    at = 0
    while at + _RECORD_HEADER_BYTES <= len(datagram):
        if datagram[at] == _CHANGE_CIPHER_SPEC:
            return True
        at += _RECORD_HEADER_BYTES + int.from_bytes(datagram[at + 11 : at + 13], "big")
    return False
