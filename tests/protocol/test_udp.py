"""The relay's UDP port when the network goes."""

import errno

import pytest

from app.streams.relay.udp import UdpPort


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
