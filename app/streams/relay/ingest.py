"""One publisher's streams as they arrive in its room: what was accepted, what is missing, what to tell it.

Bytes in, packets and RTCP bytes out; no socket and no clock (`now_s` comes in). It knows nothing of viewers.
"""

from typing import Final

import msgspec

from app.streams.relay import rtcp
from app.streams.relay.limits import BITRATE_MAX, BITRATE_MIN, PACKET_BYTES_MAX
from app.streams.relay.offer import Codec
from app.streams.relay.red import unwrap_red
from app.streams.relay.repair import Gaps, Reception
from app.streams.relay.rewrite import Packet, read_packet, unwrap_retransmission

_LOSS_HIGH: Final = 0.10
_LOSS_LOW: Final = 0.02


class Track(msgspec.Struct):
    """One kind of a publisher's media. `ssrc` is what its offer named, or else what its packets have;
    `heard` is what has been heard: a publisher that sleeps can be woken by its SSRC before its first packet.
    """

    kind: str
    codec: Codec
    rate: int
    reception: Reception
    gaps: Gaps
    ssrc: int | None = None
    heard: int | None = None


class Received(msgspec.Struct, frozen=True):
    """A packet that belongs to a track. `fresh`: the first of a new SSRC, so the room's numbering must interrupt."""

    track: Track
    packet: Packet
    fresh: bool


class Ingest:
    """The receiving half of one publisher session."""

    def __init__(self, codecs: dict[str, Codec], ssrcs: dict[str, int]) -> None:
        """`codecs` by kind as they were answered, `ssrcs` by kind as far as the offer named them."""
        self.tracks: dict[str, Track] = {}
        for kind, rate in (("video", 90_000), ("audio", 48_000)):
            if kind in codecs:
                self.tracks[kind] = Track(kind, codecs[kind], rate, Reception(rate), Gaps(), ssrcs.get(kind))
        self._by_type = {track.codec.payload_type: track for track in self.tracks.values()}
        self._by_rtx = {track.codec.rtx: track for track in self.tracks.values() if track.codec.rtx is not None}
        self._by_red = {track.codec.red: track for track in self.tracks.values() if track.codec.red is not None}
        self.bitrate = BITRATE_MAX
        self.dropped = 0

    def receive(self, data: bytes, now_s: float) -> list[Received]:
        """The packets in decrypted bytes, in order; none for what no viewer needs."""
        packet = read_packet(data)
        if packet is None or len(packet.payload) > PACKET_BYTES_MAX:
            self.dropped += 1
            return []
        track = self._by_type.get(packet.payload_type) or self._by_red.get(packet.payload_type)
        if track is None:
            return self._receive_again(packet)
        fresh = track.heard != packet.ssrc
        if fresh:
            track.heard = track.ssrc = packet.ssrc
            track.reception, track.gaps = Reception(track.rate), Gaps()
        track.reception.arrived(packet.sequence, packet.timestamp, len(data), now_s)
        packets = [packet] if packet.payload_type != track.codec.red else unwrap_red(packet, track.codec.payload_type)
        return [Received(track, one, fresh=fresh and one is packets[0]) for one in packets]

    def _receive_again(self, packet: Packet) -> list[Received]:
        track = self._by_rtx.get(packet.payload_type)
        if track is None or track.heard is None:
            self.dropped += 1
            return []
        again = unwrap_retransmission(packet, track.codec.payload_type, track.heard)
        if again is None:
            return []
        track.reception.received += 1
        return [Received(track, again, fresh=False)]

    def reports(self, now_s: float) -> bytes:
        """The receiver report on all that arrives, and a bitrate adapted to the loss it shows."""
        streams = {track.heard: track.reception for track in self.tracks.values() if track.heard is not None}
        report = rtcp.report_reception(streams, now_s)
        video = self.tracks.get("video")
        if video is not None and video.heard is not None:
            self._adapt(video.reception.last_fraction_lost / 256)
        return report

    def _adapt(self, loss: float) -> None:
        """The loss-based half of draft-ietf-rmcat-gcc: down by half the loss, up by 8 % a second."""
        if loss > _LOSS_HIGH:
            self.bitrate = max(BITRATE_MIN, int(self.bitrate * (1 - 0.5 * loss)))
        elif loss < _LOSS_LOW:
            self.bitrate = min(BITRATE_MAX, int(self.bitrate * 1.08))

    def tell_bitrate(self) -> bytes:
        """The bitrate for the publisher. Sent only while somebody watches, which a publisher may take as a sign."""
        return rtcp.tell_bitrate(self.bitrate, [track.ssrc for track in self.tracks.values() if track.ssrc is not None])
