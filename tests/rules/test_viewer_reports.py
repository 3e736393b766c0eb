"""What viewers report of the way to them: read quickly or wholly, and what the room makes of it."""

import pytest
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpRtpfbPacket, RtcpSenderInfo, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from app.streams.relay import rtcp
from app.streams.relay.limits import PACE_SENDS, RESENDS_BURST_MAX, RESENDS_PER_S_MAX
from tests.rules.test_media_room import DELTA, KEY, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


def _told(ssrc: int, fraction: int, report: int = 4, since: int = 5) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=ssrc, fraction_lost=fraction, packets_lost=1, highest_sequence=2, jitter=3, lsr=report, dlsr=since
    )


NUMBER = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(NUMBER, st.integers(0, 255), NUMBER, NUMBER), max_size=31))
def test_a_plain_receiver_report_is_read_as_the_whole_reader_reads_it(blocks: list[tuple[int, int, int, int]]):
    report = RtcpRrPacket(ssrc=9, reports=[_told(*block) for block in blocks])
    assert rtcp.plain_report(bytes(report)) == blocks
    assert rtcp.plain_report(bytes(report) + bytes(report)) is None, "it is not alone"


@given(st.binary(min_size=2, max_size=80), st.booleans())
def test_any_datagram_is_a_plain_report_or_none(data: bytes, almost: bool):
    head = bytes((0x80 | data[0] & 0x1F, 201)) + (len(data) // 4).to_bytes(2, "big") if almost else b""
    arrivals = rtcp.plain_report(head + data)
    assert arrivals is None or arrivals == [
        (one.ssrc, one.fraction_lost, one.lsr, one.dlsr)
        for packet in rtcp.read_reports(head + data)
        for one in packet.reports
    ]


def test_what_a_viewer_reports_is_noted_with_the_round_trip_whichever_way_it_is_read(stage: Stage):
    viewer = stage.viewer("ann")
    stage.admit("ann")
    stage.send(KEY)
    sent = RtcpSrPacket(ssrc=7, sender_info=RtcpSenderInfo(0x1234_5678_9ABC_DEF0, stage.sequence * 3_000, 1, 1))
    stage.room.receive_reports(stage.publisher, "", bytes(sent), stage.now_s)
    video = stage.room.sources.video
    for fraction, rest in ((64, b""), (32, rtcp.ask_key_frame(video))):
        report = RtcpRrPacket(ssrc=9, reports=[_told(video, fraction, 0x5678_9ABC, 65_536)])
        stage.room.receive_reports(viewer, "ann", bytes(report) + rest, stage.now_s + 1 + fraction / 1_000)
        heard = stage.room.viewers["ann"]
        assert (heard.lost_fraction, round(heard.round_trip_s * 1_000)) == (fraction, fraction)
    late = stage.viewer("ben")
    stage.now_s += 1
    stage.admit("ben")
    stage.room.receive_reports(late, "ben", bytes(report), stage.now_s)
    assert stage.room.viewers["ben"].round_trip_s is None, "it was told an older report, at a time that nobody noted"


def test_a_viewer_who_asks_for_everything_over_and_over_is_sent_so_much_a_second_and_no_more(stage: Stage):
    """A datagram of a kilobyte can hold some dozens of askings, for thousands of packets."""
    ear = stage.viewer("a")
    stage.admit("a")
    stage.send(KEY)
    for _ in range(40):
        stage.send(DELTA)
    greedy = RtcpRtpfbPacket(1, 1, stage.room.sources.video, lost=list(range(101, 142)))

    def asked(times: int) -> int:
        before = len(ear.sequences(97))
        for _ in range(times):
            stage.room.receive_viewer_report("a", greedy, stage.now_s)
        return len(ear.sequences(97)) - before

    assert asked(5) == 5 * 41, "what a bad network takes"
    assert asked(100) == RESENDS_BURST_MAX - 5 * 41
    stage.now_s += 0.1
    assert asked(100) == pytest.approx(RESENDS_PER_S_MAX / 10, abs=1)


def test_the_bitrate_to_each_viewer_counts_all_that_it_was_sent(stage: Stage):
    """In common and alone: joiners' portions, what was missed, and another publisher's."""
    ears = {"ann": stage.viewer("ann")}
    stage.admit("ann")
    for payload in (KEY, *[DELTA] * 40):
        stage.send(payload)
    ears["ben"] = stage.viewer("ben")
    stage.admit("ben")
    assert not stage.room.audience.pace(PACE_SENDS), "it has caught up"
    stage.send(DELTA)
    video = stage.room.sources.video
    missed = RtcpRtpfbPacket(fmt=1, ssrc=9, media_ssrc=video, lost=[103, 104])
    stage.room.receive_viewer_report("ben", missed, stage.now_s)

    def told() -> dict[str, int]:
        for viewer in stage.room.viewers.values():
            viewer.measure(0.008)  # so that it is in octets
        return {name: stage.room.viewers[name].kbps for name in ears}

    def heard() -> dict[str, int]:
        counted = {name: sum(map(len, ear.rtp)) for name, ear in ears.items()}
        for ear in ears.values():
            ear.rtp.clear()
        return counted

    first = told()
    assert first == heard()
    assert first["ben"] > first["ann"] > 0
    assert set(told().values()) == {0}, "nothing since"
    stage.publisher = stage.publish()
    stage.send(KEY)
    assert told() == heard() != {"ann": 0, "ben": 0}
