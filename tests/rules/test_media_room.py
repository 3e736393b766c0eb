"""A show's media room without a network: what each viewer is sent, and when the publisher is asked for a key frame."""

import struct

import pytest
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)

from app.streams.relay.answer import RoomSources
from app.streams.relay.audience import Viewer
from app.streams.relay.ingest import Ingest
from app.streams.relay.limits import (
    GROUP_AGE_MAX_S,
    GROUP_OLD_S,
    KEY_FRAME_ASK_INTERVAL_S,
    KEY_FRAME_WAIT_S,
    PACE_PACKETS,
    PACE_SENDS,
    RESENDS_PER_REPORT_MAX,
    TURN_SENDS,
)
from app.streams.relay.offer import Codec
from app.streams.relay.red import wrap_red
from app.streams.relay.room import Room

VP8 = Codec("VP8", 96, rtx=97)
OPUS = Codec("opus", 111)
KEY, DELTA = b"\x10\x00" + bytes(20), b"\x10\x01" + bytes(20)


class Ear:
    """A peer that keeps what it is sent."""

    def __init__(self) -> None:
        self.rtp: list[bytes] = []
        self.rtcp: list = []

    line = None

    def send_rtp(self, packet: bytes) -> None:
        self.rtp.append(packet)

    def send_burst(self, packets: list[bytes]) -> None:
        self.rtp += packets

    def send_rtcp(self, packet: bytes) -> None:
        self.rtcp += RtcpPacket.parse(packet)

    def key_frames_asked(self) -> int:
        return sum(isinstance(one, RtcpPsfbPacket) and one.fmt == RTCP_PSFB_PLI for one in self.rtcp)

    def sequences(self, payload_type: int) -> list[int]:
        return [struct.unpack_from("!H", one, 2)[0] for one in self.rtp if one[1] & 0x7F == payload_type]


class Stage:
    """A room with a publisher, and a clock to turn."""

    def __init__(self) -> None:
        self.room = Room(RoomSources(1001, 1002, 1003), (100, 200), (5_000, 6_000))
        self.now_s = 50.0
        self.sequence = 0
        self.publisher = self.publish()

    def publish(self, codec: Codec = VP8) -> Ear:
        ear = Ear()
        self.room.publish(ear, Ingest({"video": codec, "audio": OPUS}, {"video": 7, "audio": 8}))
        return ear

    def send(self, payload: bytes, *, lose: bool = False) -> None:
        """The publisher's next packet; the clock goes on by a frame."""
        self.sequence += 1
        self.now_s += 0.033
        if not lose:
            self.receive(self.sequence, payload)

    def receive(self, sequence: int, payload: bytes) -> None:
        self.room.receive_rtp(struct.pack("!BBHII", 0x80, 96, sequence, sequence * 3_000, 7) + payload, self.now_s)
        while self.room.audience.fan_out(TURN_SENDS):
            pass

    def viewer(self, name: str, *codecs: Codec) -> Ear:
        ear = Ear()
        self.room.expect(name, Viewer(ear, {"video": codecs or (VP8,), "audio": (OPUS,)}), self.now_s)
        self.room.flush_key_frame(self.now_s)
        return ear

    def admit(self, name: str) -> None:
        self.room.admit(name, self.now_s)
        self.room.flush_key_frame(self.now_s)

    def turn(self, seconds: float) -> None:
        self.now_s += seconds
        self.room.tick(self.now_s)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_viewer_who_is_on_the_way_has_the_key_frame_asked_for_already(stage: Stage):
    stage.viewer("a")
    assert stage.publisher.key_frames_asked() == 1
    bitrates = [one for one in stage.publisher.rtcp if isinstance(one, RtcpPsfbPacket) and one.fmt == RTCP_PSFB_APP]
    assert len(bitrates) == 1, "the sign by which a publisher that sleeps wakes up"


def test_without_viewers_the_publisher_hears_no_bitrate_and_no_asking(stage: Stage):
    for _ in range(5):
        stage.send(DELTA)
        stage.turn(1)
    assert not [one for one in stage.publisher.rtcp if isinstance(one, RtcpPsfbPacket)]


def test_a_joiner_gets_the_whole_group_and_then_what_comes_in_order_once(stage: Stage):
    stage.viewer("early")
    for payload in (KEY, *[DELTA] * 9):
        stage.send(payload)
    ear = stage.viewer("a")
    stage.admit("a")
    for _ in range(3):
        stage.send(DELTA)
    assert ear.sequences(96) == list(range(101, 114))


def test_a_long_group_is_paced(stage: Stage):
    stage.viewer("early")
    stage.send(KEY)
    for _ in range(3 * PACE_PACKETS):
        stage.sequence += 1
        stage.receive(stage.sequence, DELTA)
    ear = stage.viewer("a")
    stage.admit("a")
    assert len(ear.rtp) == PACE_PACKETS
    stage.send(DELTA)
    assert len(ear.rtp) == PACE_PACKETS, "what comes meanwhile waits its turn"
    while stage.room.audience.pace(PACE_SENDS):
        pass
    assert ear.sequences(96) == list(range(101, 101 + 3 * PACE_PACKETS + 2))


def test_a_joiner_without_a_group_waits_for_a_key_frame_and_sees_nothing_before(stage: Stage):
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(DELTA)
    assert ear.rtp == []
    stage.send(KEY)
    stage.send(DELTA)
    assert ear.sequences(96) == [102, 103]


def test_an_old_group_is_not_replayed_while_a_key_frame_can_be_had(stage: Stage):
    stage.viewer("early")
    stage.send(KEY)
    stage.now_s += GROUP_AGE_MAX_S + 1
    ear = stage.viewer("a")
    stage.admit("a")
    assert ear.rtp == []
    assert stage.publisher.key_frames_asked() == 2
    stage.send(KEY)
    assert ear.sequences(96) == [102]


def test_an_old_group_is_replayed_after_all_when_the_publisher_heeds_no_asking(stage: Stage):
    stage.viewer("early")
    stage.send(KEY)
    stage.now_s += GROUP_AGE_MAX_S + 1
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(DELTA)
    stage.turn(KEY_FRAME_WAIT_S + 0.1)
    assert ear.sequences(96) == [101, 102]


def test_who_joins_while_the_camera_is_off_is_shown_no_old_picture_and_the_next_one_at_once(stage: Stage):
    stage.viewer("early")
    stage.send(KEY)
    stage.now_s += GROUP_AGE_MAX_S + 1
    ear = stage.viewer("a")
    stage.admit("a")
    for _ in range(5):
        stage.turn(KEY_FRAME_WAIT_S + 0.1)
    assert ear.rtp == [], "a picture that stands still"
    stage.send(KEY)
    assert ear.sequences(96) == [102]


def test_when_the_last_viewer_has_left_the_group_is_forgotten(stage: Stage):
    stage.viewer("a")
    stage.send(KEY)
    stage.room.leave("a")
    stage.viewer("b")
    stage.turn(KEY_FRAME_ASK_INTERVAL_S)
    assert stage.publisher.key_frames_asked() == 2


def test_many_who_want_a_key_frame_make_one_asking_per_interval(stage: Stage):
    stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    for _ in range(20):
        stage.room.receive_viewer_report("a", RtcpPsfbPacket(RTCP_PSFB_PLI, 1, 1001), stage.now_s)
        stage.room.flush_key_frame(stage.now_s)
    assert stage.publisher.key_frames_asked() == 1
    stage.turn(KEY_FRAME_ASK_INTERVAL_S)
    assert stage.publisher.key_frames_asked() == 2
    stage.send(KEY)
    stage.turn(KEY_FRAME_ASK_INTERVAL_S)
    assert stage.publisher.key_frames_asked() == 2


def test_viewers_with_other_payload_types_get_the_same_packets_under_theirs(stage: Stage):
    ears = [stage.viewer("a"), stage.viewer("b", Codec("VP8", 120))]
    for name in ("a", "b"):
        stage.admit(name)
    stage.send(KEY)
    assert ears[0].sequences(96) == ears[1].sequences(120) == [101]
    assert ears[0].rtp[0][2:] == ears[1].rtp[0][2:]


def test_a_missed_packet_comes_again_by_rtx_or_plainly(stage: Stage):
    ears = [stage.viewer("a"), stage.viewer("b", Codec("VP8", 96))]
    for name in ("a", "b"):
        stage.admit(name)
    stage.send(KEY)
    stage.send(DELTA)
    for name in ("a", "b"):
        stage.room.receive_viewer_report(name, RtcpRtpfbPacket(1, 1, 1001, lost=[102, 40_000]), stage.now_s)
    assert ears[0].rtp[-1][12:14] == struct.pack("!H", 102)
    assert ears[0].sequences(97) == [1]
    assert ears[1].sequences(96) == [101, 102, 102]


def test_one_report_cannot_ask_for_more_than_its_share(stage: Stage):
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    stage.room.receive_viewer_report("a", RtcpRtpfbPacket(1, 1, 1001, lost=[101] * 1_000), stage.now_s)
    assert len(ear.sequences(97)) == RESENDS_PER_REPORT_MAX


def test_what_the_publisher_lost_is_asked_for_under_its_own_numbers_and_passed_on(stage: Stage):
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    stage.send(DELTA, lose=True)
    stage.send(DELTA)
    asked = [one for one in stage.publisher.rtcp if isinstance(one, RtcpRtpfbPacket)]
    assert [one.lost for one in asked] == [[2]]
    stage.receive(2, DELTA)
    assert ear.sequences(96) == [101, 103, 102]


def test_a_sender_report_is_said_again_on_the_rooms_clock_and_to_joiners_at_once(stage: Stage):
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    info = struct.pack("!BBHIQIII", 0x80, 200, 6, 7, 0xAABBCCDD00000000, 1 * 3_000, 1, 22)
    stage.room.receive_publisher_report(RtcpPacket.parse(info)[0], stage.now_s)
    late = stage.viewer("b")
    stage.admit("b")
    for reports in (ear.rtcp, late.rtcp):
        (report,) = [one for one in reports if isinstance(one, RtcpSrPacket)]
        assert report.ssrc == 1001
        assert report.sender_info.ntp_timestamp == 0xAABBCCDD00000000
        assert report.sender_info.rtp_timestamp == struct.unpack_from("!I", ear.rtp[0], 4)[0]


def test_a_sender_report_without_a_time_is_not_passed_on(stage: Stage):
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    stage.room.receive_publisher_report(
        RtcpPacket.parse(struct.pack("!BBHIQIII", 0x80, 200, 6, 7, 0, 3_000, 1, 22))[0], stage.now_s
    )
    assert ear.rtcp == []


def test_a_publisher_who_comes_back_goes_on_in_the_same_sequence(stage: Stage):
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    stage.room.unpublish()
    publisher = stage.publish()
    stage.sequence = 30_000
    stage.turn(KEY_FRAME_ASK_INTERVAL_S)
    assert publisher.key_frames_asked() == 1
    stage.send(KEY)
    assert ear.sequences(96) == [101, 102]


def test_a_new_publisher_with_another_codec_reaches_who_can_decode_it(stage: Stage):
    h264 = Codec("H264", 108, fmtp="profile-level-id=42e01f")
    both, only = stage.viewer("a", VP8, h264), stage.viewer("b")
    for name in ("a", "b"):
        stage.admit(name)
    stage.send(KEY)
    stage.publish(Codec("H264", 96, fmtp="profile-level-id=42e01f"))
    stage.send(b"\x67" + bytes(20))
    assert both.sequences(108) == [102]
    assert only.sequences(96) == [101]


def test_a_datagram_that_is_no_rtp_changes_nothing(stage: Stage):
    stage.room.receive_rtp(b"\x80", stage.now_s)
    stage.room.receive_rtp(struct.pack("!BBHII", 0x80, 50, 1, 1, 1) + b"x", stage.now_s)
    stage.room.receive_rtp(struct.pack("!BBHII", 0x80, 96, 1, 1, 1) + bytes(1_400), stage.now_s)
    assert stage.room.ingest.dropped == 3


class Soundstage(Stage):
    """A room whose publisher sends sound under `codec`."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        super().__init__()

    def publish(self, codec: Codec = VP8) -> Ear:
        ear = Ear()
        self.room.publish(ear, Ingest({"video": codec, "audio": self.codec}, {"video": 7, "audio": 8}))
        return ear

    def sound(self, sequence: int, payload: bytes, payload_type: int = 111) -> None:
        self.now_s += 0.02
        header = struct.pack("!BBHII", 0x80, payload_type, sequence, sequence * 960, 8)
        self.room.receive_rtp(header + payload, self.now_s)
        while self.room.audience.fan_out(TURN_SENDS):
            pass


def test_sound_that_was_lost_on_the_way_to_us_is_in_the_next_packet():
    stage = Soundstage(Codec("opus", 111, red=63))
    ear = stage.viewer("a")
    stage.admit("a")
    stage.sound(1, wrap_red(b"one", 111, b"nought", 960), 63)
    stage.sound(3, wrap_red(b"three", 111, b"two", 960), 63)
    stage.sound(4, wrap_red(b"four", 111, b"three", 960), 63)
    assert [one[12:] for one in ear.rtp][-4:] == [b"one", b"two", b"three", b"four"]
    assert len(set(ear.sequences(111))) == len(ear.rtp), "and nothing goes out twice"


def test_a_viewer_who_takes_redundant_sound_gets_the_one_before_too_and_again_when_asked():
    stage = Soundstage(Codec("opus", 111))
    ear = Ear()
    offered = {"video": (VP8,), "audio": (Codec("opus", 109, red=100),)}
    stage.room.expect("a", Viewer(ear, offered), stage.now_s)
    stage.admit("a")
    for sequence in (1, 2):
        stage.sound(sequence, b"%d" % sequence)
    assert [one[12:] for one in ear.rtp] == [bytes((109,)) + b"1", wrap_red(b"2", 109, b"1", 960)]
    last = ear.sequences(100)[-1]
    stage.room.receive_viewer_report("a", RtcpRtpfbPacket(1, 1, 1003, lost=[last]), stage.now_s)
    assert ear.rtp[-1] == ear.rtp[-2]


@pytest.mark.parametrize(("feedback", "asks"), [(("nack",), True), ((), False)])
def test_lost_sound_is_asked_for_where_the_offer_allows(feedback: tuple[str, ...], asks: bool):
    stage = Soundstage(Codec("opus", 111, feedback=feedback))
    for sequence in (1, 3):
        stage.sound(sequence, b"x")
    asked = [(one.media_ssrc, one.lost) for one in stage.publisher.rtcp if isinstance(one, RtcpRtpfbPacket)]
    assert asked == ([(8, [2])] if asks else [])


def test_an_old_group_has_a_new_one_asked_for_while_the_joiner_shakes_hands(stage: Stage):
    stage.viewer("early")
    stage.send(KEY)
    asked = stage.publisher.key_frames_asked()
    stage.now_s += GROUP_OLD_S - 0.5
    stage.viewer("young")
    assert stage.publisher.key_frames_asked() == asked
    stage.now_s += 1
    stage.viewer("old")
    assert stage.publisher.key_frames_asked() == asked + 1
