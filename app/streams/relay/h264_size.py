"""How large an H264 picture is, read from its sequence parameter set (ITU-T H.264, 7.3.2.1.1). Pure.

What the set says beyond the size is passed over; one that is longer or stranger than encoders write tells nothing.
"""

from typing import Final

_BYTES_MAX: Final = 256
_WITH_CHROMA: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})  # profiles
_LEADING_ZEROS_MAX: Final = 16
_CYCLE_MAX: Final = 255
_SIDE_MAX: Final = 16_384


class _Bits:
    """Reads from the front. IndexError behind the end, ValueError for a number that is too long."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def flag(self) -> int:
        byte = self._data[self._at >> 3]
        bit = byte >> (7 - (self._at & 7)) & 1
        self._at += 1
        return bit

    def skip(self, bits: int) -> None:
        self._at += bits

    def number(self) -> int:
        """ue(v): as many bits behind a one as there were zeros before it (9.1)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > _LEADING_ZEROS_MAX:
                raise ValueError
        value = 1
        for _ in range(zeros):
            value = value << 1 | self.flag()
        return value - 1

    def signed(self) -> int:
        """se(v): 0, 1, -1, 2, -2 and so on (9.1.1)."""
        number = self.number()
        return (number + 1) // 2 if number & 1 else -(number // 2)


def parameter_set_size(unit: bytes) -> tuple[int, int] | None:
    """Width and height that the NAL unit of a sequence parameter set tells; None for one that cannot be read."""
    if len(unit) > _BYTES_MAX:
        return None
    try:
        return _size(_Bits(unit[1:].replace(b"\0\0\x03", b"\0\0")))
    except (IndexError, ValueError):
        return None


def _size(bits: _Bits) -> tuple[int, int] | None:
    profile = 0
    for _ in range(8):
        profile = profile << 1 | bits.flag()
    bits.skip(16)  # constraints and level
    bits.number()  # the set's own id
    chroma = _chroma(bits) if profile in _WITH_CHROMA else 1
    bits.number()  # of frame numbers
    _pass_order(bits)
    bits.number()  # reference frames
    bits.skip(1)
    width, height = bits.number() + 1, bits.number() + 1
    frames_only = bits.flag()
    if not frames_only:
        bits.skip(1)
    bits.skip(1)
    left, right, top, bottom = [bits.number() for _ in range(4)] if bits.flag() else [0] * 4
    across = 2 if chroma in {1, 2} else 1
    down = (2 if chroma == 1 else 1) * (2 - frames_only)
    size = 16 * width - across * (left + right), 16 * (2 - frames_only) * height - down * (top + bottom)
    return size if all(0 < side <= _SIDE_MAX for side in size) else None


def _chroma(bits: _Bits) -> int:
    chroma = bits.number()
    if chroma == 3:
        bits.skip(1)
    bits.number()  # depths of luma and chroma
    bits.number()
    bits.skip(1)
    if bits.flag():
        for place in range(8 if chroma != 3 else 12):
            if bits.flag():
                _pass_scaling(bits, 16 if place < 6 else 64)
    return chroma


def _pass_scaling(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _pass_order(bits: _Bits) -> None:
    """How the order of pictures is told (pic_order_cnt_type)."""
    kind = bits.number()
    if kind == 0:
        bits.number()
    elif kind == 1:
        bits.skip(1)
        bits.signed()
        bits.signed()
        count = bits.number()
        if count > _CYCLE_MAX:
            raise ValueError
        for _ in range(count):
            bits.signed()
