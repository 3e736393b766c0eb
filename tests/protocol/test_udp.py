"""The relay's UDP port when the network goes."""

import errno
import socket

import pytest

from app.streams.relay.udp import UdpPort
from tests.waiting import eventually_true, loop_turned


class Gone:
    """A socket whose network is away."""

    def __init__(self, number: int) -> None:
        self._number = number

    def sendto(self, *_) -> int:
        raise OSError(self._number, "away")


@pytest.mark.parametrize("number", [errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EMSGSIZE, errno.EPERM])
def test_a_datagram_that_cannot_leave_is_dropped_and_counted(number: int):
    """An interface that went down raised into whoever sent, and a session's task ended the relay with it."""
    port = UdpPort(lambda *_: None)
    port._socket = Gone(number)
    port.send(b"x", ("192.0.2.1", 9))
    assert (port.sent, port.dropped) == (0, 1)


async def test_what_comes_during_a_rest_is_read_in_one_turn_after_it():
    heard, turns = [], []
    port = UdpPort(lambda data, _: heard.append(data))
    number = port.open("127.0.0.1", 0)
    port.when_turned(lambda: turns.append(len(heard)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        port.rest(0.5)
        port.rest(9)
        for one in range(5):
            far.sendto(bytes((one,)), ("127.0.0.1", number))
        await loop_turned(5)
        assert heard == []
        await eventually_true(lambda: len(heard) == 5)
        assert turns == [5]
        far.sendto(b"x", ("127.0.0.1", number))
        await eventually_true(lambda: len(heard) == 6, what="it is read as ever")
    port.rest(0.05)
    port.close()
    port.rest(0.05)
    assert port._resting is None
