"""How a publisher's RTP packet becomes the room's: under the room's SSRC, sequence number and timestamp.

Pure. A room's numbers go on where they were when its publisher comes back or another takes over: viewers keep one
SRTP stream, whose replay window (512 packets as we send it) a jump backwards would fall foul of.
"""

import struct
from typing import Final

import msgspec

from app.streams.relay.limits import LATE_MAX

HEADER_BYTES: Final = 12
_HEADER: Final = struct.Struct("!BBHII")
_RTX_HEADER: Final = struct.Struct("!BBHIIH")
JUMP_MAX: Final = 3_000  # a publisher that jumps further has begun anew
_FIRST_SEQUENCE_MAX: Final = 0x7FFF  # so that no early wrap can be lost with its packets (RFC 3711, 3.3.1)


class Packet(msgspec.Struct, frozen=True):
    """One RTP packet as it came. `payload` begins behind CSRCs and header extensions, and keeps its padding."""

    payload_type: int
    marker: int  # 0 or 0x80, as it stands in the header's second byte
    padding: int  # 0 or 0x20, as it stands in the first
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_packet(data: bytes) -> Packet | None:
    """The packet in decrypted bytes, or None when its header lies about its length."""
    if len(data) < HEADER_BYTES:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    start = HEADER_BYTES + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if first >> 6 != 2 or len(data) < start or (first & 0x20 and not 0 < data[-1] <= len(data) - start):
        return None
    return Packet(second & 0x7F, second & 0x80, first & 0x20, sequence, timestamp, ssrc, data[start:])


def unwrap_retransmission(packet: Packet, payload_type: int, ssrc: int) -> Packet | None:
    """The packet that an RTX packet repeats (RFC 4588); None for the empty ones that only probe for bandwidth."""
    size = len(packet.payload) - (packet.payload[-1] if packet.padding and packet.payload else 0)
    if size <= 2:
        return None
    sequence = int.from_bytes(packet.payload[:2], "big")
    return Packet(payload_type, packet.marker, 0, sequence, packet.timestamp, ssrc, packet.payload[2:size])


class Placed(msgspec.Struct, frozen=True):
    """A packet as the room keeps it. `place` counts the room's packets without wrapping; `data` has payload type 0.
    `before` is the payload of the packet before it, `offset` samples older, where that is to be sent once more: settled
    here once, as whatever is sent again under the same number must be the same (RFC 3711, 9.1).
    """

    place: int
    data: bytes
    payload_type: int
    key: bool = False
    before: bytes = b""
    offset: int = 0

    def under(self, payload_type: int) -> bytes:
        """The packet for viewers who know its codec as `payload_type`."""
        return self.data[:1] + bytes(((self.data[1] & 0x80) | payload_type,)) + self.data[2:]

    def retransmission(self, payload_type: int, ssrc: int, sequence: int) -> bytes:
        """The packet wrapped for a viewer that knows retransmissions as `payload_type` under `ssrc`."""
        first, second, original, timestamp, _ = _HEADER.unpack_from(self.data)
        header = _RTX_HEADER.pack(
            first, (second & 0x80) | payload_type, sequence & 0xFFFF, timestamp, ssrc, original & 0xFFFF
        )
        return header + self.data[HEADER_BYTES:]


class Numbering:
    """The numbers of one kind of a room's media. `now_s` is any clock that never jumps."""

    def __init__(self, ssrc: int, rate: int, sequence: int, timestamp: int) -> None:
        """`sequence` and `timestamp` are random beginnings, as RFC 3550 wants."""
        self.ssrc = ssrc
        self.rate = rate
        self.highest = sequence & _FIRST_SEQUENCE_MAX
        self._timestamp = timestamp
        self._last_s: float | None = None
        self._first = self.highest + 1  # the first place that the present publisher may fill
        self._shift = 0  # from the publisher's unwrapped sequence numbers to places
        self._shift_timestamp = 0
        self._theirs: int | None = None  # the publisher's highest sequence number, unwrapped

    def interrupt(self) -> None:
        """The publisher is another one from here on: its first packet goes right behind what was last."""
        self._theirs = None

    def place(self, packet: Packet, now_s: float) -> int | None:
        """The room's place for a packet; None when it is too late to be of use."""
        if self._theirs is None:
            self._begin(packet, now_s)
        assert self._theirs is not None
        ahead = ((packet.sequence - self._theirs + 0x8000) & 0xFFFF) - 0x8000
        if abs(ahead) > JUMP_MAX:
            self._begin(packet, now_s)
            ahead = 0
        if ahead <= -LATE_MAX:
            return None  # it would look replayed to viewers
        place = self._theirs + ahead + self._shift
        if place < self._first:
            return None
        if ahead > 0:
            self._theirs += ahead
        if place >= self.highest:
            self.highest = place
            self._timestamp = self.timestamp(packet.timestamp)
            self._last_s = now_s
        return place

    def _begin(self, packet: Packet, now_s: float) -> None:
        passed_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._theirs = packet.sequence
        self._first = self.highest + 1
        self._shift = self._first - packet.sequence
        follows = (self._timestamp + max(1, round(passed_s * self.rate))) & 0xFFFFFFFF
        self._shift_timestamp = follows - packet.timestamp

    def timestamp(self, theirs: int) -> int:
        """A timestamp of the publisher's clock on the room's."""
        return (theirs + self._shift_timestamp) & 0xFFFFFFFF

    def theirs(self, place: int) -> int:
        """The publisher's own sequence number for a place of the room."""
        return (place - self._shift) & 0xFFFF

    def unwrap(self, sequence: int) -> int:
        """The place that a viewer means by a 16-bit sequence number: the nearest to the highest."""
        return self.highest + ((sequence - self.highest + 0x8000) & 0xFFFF) - 0x8000

    def write(self, packet: Packet, place: int, *, key: bool) -> Placed:
        """The packet as the room keeps it, without the publisher's header extensions and CSRCs."""
        header = _HEADER.pack(
            0x80 | packet.padding, packet.marker, place & 0xFFFF, self.timestamp(packet.timestamp), self.ssrc
        )
        return Placed(place, header + packet.payload, packet.payload_type, key)
