"""The relay's RTCP in bytes: what it tells publishers and viewers, and what it reads from them.

Pure; aiortc's classes hold the formats. Every packet is compound, a report first (RFC 3550, 6.1).
"""

import struct
from typing import Final, NamedTuple

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RR,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
)

from app.streams.relay.answer import CNAME
from app.streams.relay.repair import Reception

RELAY_SSRC: Final = 1  # whom the relay's own reports are from; libwebrtc uses the same for a receiver without media
_CNAME_ITEM: Final = 1
REPORTS_MAX: Final = 64
_REPORT_BYTES: Final = 24
_BLOCK: Final = struct.Struct("!IB11xII")


class Arrival(NamedTuple):
    """How a viewer says that a stream arrives: of 256 packets those lost since it told last, and how long ago, in
    1/65,536 s, it got the sender report whose middle 32 bits of NTP time are `report`.
    """

    ssrc: int
    lost: int
    report: int
    since: int


def plain_report(data: bytes) -> list[Arrival] | None:
    """What a datagram that is one receiver report and nothing else says. None for any other. It is what nearly all
    viewers send each second, and reading it with all the rest costs ten times as much.
    """
    count = data[0] & 0x1F
    if len(data) != 8 + _REPORT_BYTES * count or data[:2] != bytes((0x80 | count, RTCP_RR)):
        return None
    if int.from_bytes(data[2:4], "big") * 4 + 4 != len(data):
        return None
    return [Arrival(*_BLOCK.unpack_from(data, at)) for at in range(8, len(data), _REPORT_BYTES)]


def read_reports(data: bytes) -> list[AnyRtcpPacket]:
    """The packets of one datagram; nothing when any of them is malformed."""
    try:
        return RtcpPacket.parse(data)[:REPORTS_MAX]
    except (ValueError, IndexError, ArithmeticError):
        return []


def wants_key_frame(packet: AnyRtcpPacket) -> bool:
    """A picture loss indication or a full intra request."""
    return isinstance(packet, RtcpPsfbPacket) and packet.fmt in {RTCP_PSFB_PLI, RTCP_PSFB_FIR}


def missed(packet: AnyRtcpPacket) -> list[int] | None:
    """The 16-bit sequence numbers that a NACK asks for; None for anything else."""
    return packet.lost if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK else None


def ask_key_frame(ssrc: int) -> bytes:
    """A picture loss indication to the publisher of `ssrc`."""
    return _compound(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=RELAY_SSRC, media_ssrc=ssrc))


def ask_again(ssrc: int, sequences: list[int]) -> bytes:
    """A NACK to the publisher of `ssrc`, for its own sequence numbers in their order."""
    return _compound(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=RELAY_SSRC, media_ssrc=ssrc, lost=sequences))


def tell_bitrate(bitrate: int, ssrcs: list[int]) -> bytes:
    """A receiver's estimated maximum bitrate (REMB) to a publisher."""
    return _compound(
        RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=RELAY_SSRC, media_ssrc=0, fci=pack_remb_fci(bitrate, ssrcs))
    )


def report_reception(streams: dict[int, Reception], now_s: float) -> bytes:
    """A receiver report on a publisher's streams."""
    reports = [
        RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=reception.fraction_lost(),
            packets_lost=reception.lost,
            highest_sequence=reception.highest & 0xFFFFFFFF,
            jitter=reception.jitter,
            lsr=reception.report_middle,
            dlsr=reception.delay_since_report(now_s),
        )
        for ssrc, reception in streams.items()
    ]
    return bytes(RtcpRrPacket(ssrc=RELAY_SSRC, reports=reports))


def report_sending(ssrc: int, ntp: int, timestamp: int, packets: int, octets: int) -> bytes:
    """A sender report on a room's stream: the publisher's moment on the room's clock."""
    info = RtcpSenderInfo(
        ntp_timestamp=ntp,
        rtp_timestamp=timestamp,
        packet_count=packets & 0xFFFFFFFF,
        octet_count=octets & 0xFFFFFFFF,
    )
    named = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=ssrc, items=[(_CNAME_ITEM, CNAME.encode())])])
    return bytes(RtcpSrPacket(ssrc=ssrc, sender_info=info)) + bytes(named)


def _compound(packet: AnyRtcpPacket) -> bytes:
    return bytes(RtcpRrPacket(ssrc=RELAY_SSRC)) + bytes(packet)
