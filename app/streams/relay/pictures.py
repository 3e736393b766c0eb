"""Where a group of pictures begins, read from the first bytes of an RTP payload. Pure; it decodes nothing.

VP8 by RFC 7741, section 4; H264 by RFC 6184, section 5.
"""

import struct
from collections.abc import Iterator
from typing import Final

from app.streams.relay.h264_size import parameter_set_size

_NAL_IDR: Final = 5
_NAL_SPS: Final = 7
_NAL_STAP_A: Final = 24
_NAL_FU_A: Final = 28
_VP8_START_CODE: Final = b"\x9d\x01\x2a"
_KEY_NALS: Final = frozenset({_NAL_IDR, _NAL_SPS})


def begins_group(codec: str, payload: bytes) -> bool:
    """True for the packet with which a key frame, or the parameter sets before it, begin."""
    if codec == "VP8":
        return _vp8_key(payload)
    if codec == "H264":
        return _h264_key(payload)
    return False


def picture_size(codec: str, payload: bytes) -> tuple[int, int] | None:
    """Width and height in the packet that begins a group, by RFC 6386, section 9.1. None where it does not tell."""
    if codec == "H264":
        unit = next((unit for unit in _units(payload) if unit[0] & 0x1F == _NAL_SPS), None)
        return None if unit is None else parameter_set_size(unit)
    at = _vp8_frame(payload) if codec == "VP8" and _vp8_key(payload) else None
    if at is None or payload[at + 3 : at + 6] != _VP8_START_CODE:
        return None
    # The upper two bits of each are a scale that nobody uses.
    width, height = struct.unpack_from("<HH", payload, at + 6)
    return width & 0x3FFF, height & 0x3FFF


def _vp8_key(payload: bytes) -> bool:
    at = _vp8_frame(payload)
    # The frame header's first bit is inverse: 0 for a key frame. Ten bytes make a whole key frame header.
    return at is not None and at + 10 <= len(payload) and not payload[at] & 0x01


def _vp8_frame(payload: bytes) -> int | None:
    """Where the frame begins in the first packet of one; None in any other."""
    if len(payload) < 2 or payload[0] & 0x1F != 0x10:  # S set and partition 0: the first packet of a frame
        return None
    at = 1
    if payload[0] & 0x80:
        flags = payload[1]
        at += 1
        if flags & 0x80:  # picture id, in one byte or two
            at += 2 if at < len(payload) and payload[at] & 0x80 else 1
        at += bool(flags & 0x40) + bool(flags & 0x30)
    return at


def _h264_key(payload: bytes) -> bool:
    if len(payload) < 2:
        return False
    kind = payload[0] & 0x1F
    if kind == _NAL_FU_A:
        return bool(payload[1] & 0x80) and payload[1] & 0x1F in _KEY_NALS
    return any(unit[0] & 0x1F in _KEY_NALS for unit in _units(payload))


def _units(payload: bytes) -> Iterator[bytes]:
    """The whole NAL units in a payload: the one that it is, or those that it aggregates."""
    if not payload or payload[0] & 0x1F != _NAL_STAP_A:
        if payload and payload[0] & 0x1F < _NAL_STAP_A:
            yield payload
        return
    at = 1
    while at + 3 <= len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        if size:
            yield payload[at + 2 : at + 2 + size]
        at += 2 + size
