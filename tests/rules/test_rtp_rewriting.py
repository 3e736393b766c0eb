"""A room's own RTP numbers: they go on over a lost publisher, keep gaps and order, and never jump back."""

import struct

from aiortc.rtp import HeaderExtensionsMap, RtpPacket, wrap_rtx
from hypothesis import given
from hypothesis import strategies as st

from app.streams.relay.history import History
from app.streams.relay.limits import LATE_MAX
from app.streams.relay.rewrite import Numbering, Packet, Placed, read_packet, unwrap_retransmission


def packet(sequence: int, timestamp: int = 0, *, ssrc: int = 7, payload: bytes = b"payload", marker: int = 0) -> Packet:
    return Packet(96, marker, 0, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload)


def numbering(sequence: int = 100, timestamp: int = 5_000) -> Numbering:
    return Numbering(ssrc=1001, rate=90_000, sequence=sequence, timestamp=timestamp)


def parsed(placed: Placed, payload_type: int = 96) -> RtpPacket:
    return RtpPacket.parse(placed.under(payload_type), HeaderExtensionsMap())


def test_a_packet_keeps_payload_and_marker_and_gets_the_rooms_numbers():
    numbers = numbering()
    one = packet(40_000, 123, marker=0x80)
    place = numbers.place(one, now_s=1)
    seen = parsed(numbers.write(one, place, key=False), 108)
    assert (seen.ssrc, seen.sequence_number, seen.timestamp) == (1001, 101, 5_001)
    assert (seen.payload, seen.marker, seen.payload_type) == (b"payload", 1, 108)


def test_header_extensions_csrcs_and_a_lying_length():
    whole = struct.pack("!BBHII", 0x92, 96, 1, 2, 3) + bytes(8) + struct.pack("!HHI", 0xBEDE, 1, 9) + b"rest"
    assert read_packet(whole).payload == b"rest"
    assert read_packet(whole[:20]) is None
    assert read_packet(whole[:11]) is None
    assert read_packet(b"\x50" + whole[1:]) is None
    assert read_packet(struct.pack("!BBHII", 0xA0, 96, 1, 2, 3) + b"\x09") is None, "more padding than packet"


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_none(data: bytes):
    read_packet(data)


def test_gaps_and_late_packets_keep_their_places():
    numbers = numbering()
    places = [numbers.place(packet(sequence), 1) for sequence in (65_533, 65_535, 65_534, 0, 3, 1)]
    assert places == [101, 103, 102, 104, 107, 105]


def test_a_packet_from_before_the_publisher_began_is_left_out():
    numbers = numbering()
    numbers.place(packet(10), 1)
    assert numbers.place(packet(9), 1) is None


def test_a_packet_that_is_much_too_late_is_left_out():
    numbers = numbering()
    for sequence in range(0, LATE_MAX + 2, 50):
        numbers.place(packet(sequence), 1)
    assert numbers.place(packet(0), 1) is None


def test_a_publisher_that_comes_back_goes_on_where_the_last_one_was():
    numbers = numbering()
    numbers.place(packet(500, 90_000), now_s=10)
    before = numbers.highest, numbers.timestamp(90_000)
    numbers.interrupt()
    place = numbers.place(packet(9, 77, ssrc=8), now_s=12)
    assert place == before[0] + 1
    assert numbers.timestamp(77) == before[1] + 2 * 90_000, "two seconds have passed"


def test_a_publisher_that_jumps_has_begun_anew():
    numbers = numbering()
    numbers.place(packet(1, 0), 1)
    assert numbers.place(packet(30_000, 500), 1) == numbers.highest == 102


@given(st.integers(0, 0xFFFF), st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=60))
def test_places_never_jump_back_further_than_a_viewers_replay_window(first: int, steps: list[tuple[int, bool]]):
    numbers = numbering()
    sequence, highest = first, numbers.highest
    for step, again in steps:
        sequence += step
        if again:
            numbers.interrupt()
        place = numbers.place(packet(sequence), 1)
        assert place is None or place > highest - LATE_MAX
        highest = max(highest, place or 0)
        assert numbers.highest == highest


@given(st.integers(0, 5_000), st.integers(-2_000, 2_000))
def test_a_viewers_sequence_number_means_the_nearest_place(rounds: int, distance: int):
    numbers = numbering()
    numbers.highest = 65_530 + rounds * 7
    assert numbers.unwrap((numbers.highest + distance) & 0xFFFF) == numbers.highest + distance


def test_the_publishers_own_number_comes_back_from_a_place():
    numbers = numbering()
    place = numbers.place(packet(65_535), 1)
    assert numbers.theirs(place) == 65_535
    assert numbers.theirs(place + 1) == 0


def test_a_retransmission_is_one_that_aiortc_unwraps_and_so_is_ours():
    numbers = numbering()
    placed = numbers.write(packet(5, payload=b"lost"), numbers.place(packet(5), 1), key=False)
    rtx = RtpPacket.parse(placed.retransmission(97, 1002, 9), HeaderExtensionsMap())
    assert (rtx.payload_type, rtx.ssrc, rtx.sequence_number) == (97, 1002, 9)
    assert rtx.payload == struct.pack("!H", placed.place & 0xFFFF) + b"lost"
    theirs = RtpPacket(payload_type=96, sequence_number=44, timestamp=3, ssrc=7, payload=b"lost")
    wrapped = wrap_rtx(theirs, payload_type=97, sequence_number=1, ssrc=70)
    again = unwrap_retransmission(read_packet(wrapped.serialize()), 96, 7)
    assert (again.sequence, again.payload, again.payload_type, again.ssrc) == (44, b"lost", 96, 7)


def test_an_rtx_packet_that_only_probes_is_nothing():
    assert unwrap_retransmission(Packet(97, 0, 0x20, 1, 1, 70, b"\x00" * 9 + b"\x0a"), 96, 7) is None


def placed(place: int, *, key: bool = False, timestamp: int = 0) -> Placed:
    return Placed(place, struct.pack("!BBHII", 0x80, 0, place & 0xFFFF, timestamp, 1) + b"x", 96, key)


def test_the_history_keeps_the_last_packets_and_no_other():
    history = History(8)
    for place in range(20):
        assert history.put(placed(place), 0)
    assert history.get(11) is None
    assert history.get(12).place == 12
    assert not history.put(placed(12), 0), "a second copy"
    assert not history.put(placed(4), 0), "a packet that is out of the window"


def test_a_group_begins_with_its_parameter_sets_not_with_the_picture_behind_them():
    history = History(8)
    history.put(placed(1, key=True, timestamp=9), 1)
    history.put(placed(2, key=True, timestamp=9), 1)
    assert history.group == 1
    history.put(placed(5, key=True, timestamp=18), 2)
    assert history.group == 5
    for place in range(6, 16):
        history.put(placed(place), 3)
    assert not history.group_kept()
