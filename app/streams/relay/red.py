"""Redundant audio (RFC 2198) as browsers send and take it: each packet carries the one before it once more.

Pure. Nobody asks for sound again in time, so what is lost has to be there already: one packet in twenty lost makes one
in four hundred missed.
"""

import struct
from typing import Final

import msgspec

from app.streams.relay.limits import PACKET_BYTES_MAX
from app.streams.relay.offer import Codec
from app.streams.relay.rewrite import HEADER_BYTES, Packet, Placed

BLOCKS_MAX: Final = 4
_OFFSET_MAX: Final = 0x3FFF  # in samples: 14 bits
_LENGTH_MAX: Final = 0x3FF  # in bytes: 10 bits
_HEADERS_BYTES: Final = 5  # of both blocks
_PADDING: Final = 0x20
_WORD: Final = struct.Struct("!I")


def unwrap_red(packet: Packet, payload_type: int) -> list[Packet]:
    """The packets in a packet, oldest first and the one that it is sent for last, all as `payload_type`; nothing when
    the headers lie. A packet further back is taken for one sequence number less.
    """
    payload = packet.payload
    if packet.padding and payload:
        payload = payload[: -payload[-1] or None] if payload[-1] <= len(payload) else b""
    blocks: list[tuple[int, int]] = []  # timestamp offset, length
    at = 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload) or len(blocks) == BLOCKS_MAX:
            return []
        (word,) = _WORD.unpack_from(payload, at)
        if (word >> 24) & 0x7F != payload_type:
            return []
        blocks.append(((word >> 10) & _OFFSET_MAX, word & _LENGTH_MAX))
        at += 4
    if at >= len(payload) or payload[at] != payload_type:
        return []
    at += 1
    if at + sum(length for _, length in blocks) > len(payload):
        return []
    found = []
    for back, (offset, length) in zip(range(len(blocks), 0, -1), blocks, strict=True):
        if length and offset:
            found.append(
                msgspec.structs.replace(
                    packet,
                    payload_type=payload_type,
                    marker=0,
                    padding=0,
                    sequence=(packet.sequence - back) & 0xFFFF,
                    timestamp=(packet.timestamp - offset) & 0xFFFFFFFF,
                    payload=payload[at : at + length],
                )
            )
        at += length
    return [*found, msgspec.structs.replace(packet, payload_type=payload_type, padding=0, payload=payload[at:])]


def with_the_one_before(placed: Placed, before: Placed | None) -> Placed:
    """A packet that remembers the one before it, if that is known."""
    if before is None or before.data[0] & _PADDING:
        return placed
    (now,), (then,) = _WORD.unpack_from(placed.data, 4), _WORD.unpack_from(before.data, 4)
    return msgspec.structs.replace(placed, before=before.data[HEADER_BYTES:], offset=(now - then) & 0xFFFFFFFF)


def under(placed: Placed, codec: Codec) -> bytes:
    """The packet as a viewer with `codec` takes it."""
    if codec.red is None:
        return placed.under(codec.payload_type)
    header = placed.under(codec.red)[:HEADER_BYTES]
    return header + wrap_red(placed.data[HEADER_BYTES:], codec.payload_type, placed.before, placed.offset)


def wrap_red(payload: bytes, payload_type: int, before: bytes, offset: int) -> bytes:
    """`payload` with the payload of the packet `before` it, `offset` samples earlier, both of `payload_type`. Too old
    or too long, and it goes alone: what is sent has its room in buffers of one size.
    """
    told = 0 < offset <= _OFFSET_MAX and 0 < len(before) <= _LENGTH_MAX
    if not told or _HEADERS_BYTES + len(before) + len(payload) > PACKET_BYTES_MAX:
        return bytes((payload_type,)) + payload
    return (
        _WORD.pack((0x80 | payload_type) << 24 | offset << 10 | len(before)) + bytes((payload_type,)) + before + payload
    )
