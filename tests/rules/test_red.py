"""Sound that carries the packet before it once more: read from publishers, written for viewers, never in two ways."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from app.streams.relay.limits import PACKET_BYTES_MAX
from app.streams.relay.offer import Codec
from app.streams.relay.red import BLOCKS_MAX, under, unwrap_red, with_the_one_before, wrap_red
from app.streams.relay.rewrite import Packet, Placed

OPUS, RED = 111, 63


def packet(payload: bytes, sequence: int = 10, padding: int = 0) -> Packet:
    return Packet(RED, 0, padding, sequence, 9_600, 7, payload)


def placed(place: int, timestamp: int, payload: bytes) -> Placed:
    return Placed(place, struct.pack("!BBHII", 0x80, 0x80, place, timestamp, 5) + payload, OPUS)


def test_a_packet_brings_the_one_before_it_and_itself():
    before, itself = unwrap_red(packet(wrap_red(b"now", OPUS, b"before", 960), sequence=0), OPUS)
    assert (before.sequence, before.timestamp, before.payload, before.payload_type) == (0xFFFF, 8_640, b"before", OPUS)
    assert (itself.sequence, itself.timestamp, itself.payload, itself.payload_type) == (0, 9_600, b"now", OPUS)


def test_several_blocks_are_the_packets_before_in_their_order():
    blocks = [(1_920, b"older"), (960, b"old")]
    head = b"".join(struct.pack("!I", (0x80 | OPUS) << 24 | offset << 10 | len(data)) for offset, data in blocks)
    found = unwrap_red(packet(head + bytes((OPUS,)) + b"olderoldnow"), OPUS)
    assert [(one.sequence, one.timestamp, one.payload) for one in found] == [
        (8, 7_680, b"older"),
        (9, 8_640, b"old"),
        (10, 9_600, b"now"),
    ]


def test_padding_is_no_sound():
    (itself,) = unwrap_red(packet(bytes((OPUS,)) + b"now\x00\x00\x03", padding=0x20), OPUS)
    assert (itself.payload, itself.padding) == (b"now", 0)


def test_headers_that_lie_bring_nothing():
    one = struct.pack("!I", (0x80 | OPUS) << 24 | 960 << 10 | 50)
    for payload in (
        b"",
        one,
        one[:3],
        one + bytes((OPUS,)) + b"short",
        bytes((OPUS + 1,)) + b"x",
        one * (BLOCKS_MAX + 1),
    ):
        assert unwrap_red(packet(payload), OPUS) == []


@given(st.binary(max_size=60))
def test_no_payload_makes_it_raise(payload: bytes):
    for padding in (0, 0x20):
        for one in unwrap_red(packet(payload, padding=padding), OPUS):
            assert one.payload_type == OPUS


def test_what_is_too_old_or_too_long_goes_without_the_one_before():
    alone = bytes((OPUS,)) + b"now"
    assert wrap_red(b"now", OPUS, b"before", 0x4000) == alone
    assert wrap_red(b"now", OPUS, b"before", 0) == alone
    assert wrap_red(b"now", OPUS, b"", 960) == alone
    assert wrap_red(b"now", OPUS, bytes(1_024), 960) == alone


@given(st.integers(0, PACKET_BYTES_MAX), st.integers(0, 2_000))
def test_two_large_packets_are_never_more_than_the_room_for_one(size: int, before: int):
    """A publisher's own packets, each of a size that is taken, made one that ran over the end of its buffer."""
    assert len(wrap_red(bytes(size), OPUS, bytes(before), 960)) <= PACKET_BYTES_MAX + 1


def test_viewers_take_it_as_their_offer_has_it_and_again_just_the_same():
    """The same number under the same key must never go out with other content: that breaks the cipher."""
    one = with_the_one_before(placed(2, 1_960, b"now"), placed(1, 1_000, b"before"))
    plain, red = Codec("opus", 96), Codec("opus", 109, red=100)
    assert under(one, plain) == one.data[:1] + b"\xe0" + one.data[2:]
    sent = under(one, red)
    assert sent == under(one, red)
    assert sent[1] == 0x80 | 100
    assert sent[2:12] == one.data[2:12]
    assert sent[12:] == wrap_red(b"now", 109, b"before", 960)
    assert with_the_one_before(one, None) is one
