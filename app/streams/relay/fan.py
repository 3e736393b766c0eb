"""All viewers who get the same packet, and what a fan asks of each of them.

Owns who is in a fan, nothing of what is sent. The plain one here works on any machine; batch.py has the one that sends
many packets with one system call.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol


class Portion(list[bytes]):
    """RTP packets that several peers are sent one after the other, and which never change: whoever sends them may keep
    in `made` what it made of them, under a key of its own.
    """

    def __init__(self, packets: Iterable[bytes]) -> None:
        super().__init__(packets)
        self.made: dict[Any, Any] = {}
        self.octets = sum(map(len, self))


class Peer(Protocol):
    """The far end of a session: encrypts and sends, or does nothing before its handshake and after its end."""

    @property
    def line(self) -> Any:
        """Its own end of a batch (batch.Line); None before its handshake."""

    def send_rtp(self, packet: bytes) -> None:
        """Sends one RTP packet under the session's own keys."""

    def send_burst(self, packets: Sequence[bytes]) -> None:
        """Sends several RTP packets in order."""

    def send_rtcp(self, packet: bytes) -> None:
        """Sends one compound RTCP packet under the session's own keys."""


class Fan(Protocol):
    """Viewers who know the same codec by the same payload type. `octets`: what each was sent who is in it from the
    first; its owner counts.
    """

    octets: int

    def __len__(self) -> int: ...

    def add(self, peer: Peer) -> None:
        """From the next packet on the peer is sent what all are sent."""

    def discard(self, peer: Peer) -> None:
        """No longer. A peer that is not in it is passed over."""

    def send(self, packets: Sequence[bytes]) -> Iterator[int]:
        """A run of packets to all, in portions: sends one at each step, and says how many packets went out. All are as
        long as the first, but for the last, which may be shorter. Nobody leaves in between.
        """


NewFan = Callable[[], Fan]


class PlainFan:
    """A packet at a time, on any machine."""

    def __init__(self) -> None:
        self._peers: dict[Peer, None] = {}
        self.octets = 0

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: Peer) -> None:
        """See Fan."""
        self._peers[peer] = None

    def discard(self, peer: Peer) -> None:
        """See Fan."""
        self._peers.pop(peer, None)

    def send(self, packets: Sequence[bytes]) -> Iterator[int]:
        """See Fan. A portion is a viewer."""
        for peer in tuple(self._peers):
            for packet in packets:
                peer.send_rtp(packet)
            yield len(packets)
