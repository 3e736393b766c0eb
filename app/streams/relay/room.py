"""One show's media: a publisher's packets in, the same packets out to every viewer, and the RTCP between them.

Owns the room's sequence numbers and history, and what publisher and viewers tell each other. Its audience (audience.py)
says which viewer is sent what. It reads no clock; sockets, keys and who may do what are none of its business.
"""

from typing import Final

from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from app.streams.relay import rtcp
from app.streams.relay.answer import RoomSources
from app.streams.relay.audience import KINDS, Audience, Viewer
from app.streams.relay.fan import NewFan, Peer, PlainFan
from app.streams.relay.history import History
from app.streams.relay.ingest import Ingest, Received
from app.streams.relay.limits import (
    AUDIO_HISTORY,
    GROUP_AGE_MAX_S,
    GROUP_OLD_S,
    KEY_FRAME_ASK_INTERVAL_S,
    KEY_FRAME_WAIT_S,
    PICTURE_GONE_S,
    RESENDS_PER_REPORT_MAX,
    VIDEO_HISTORY,
)
from app.streams.relay.pictures import begins_group, picture_size
from app.streams.relay.red import under, with_the_one_before
from app.streams.relay.rewrite import Numbering

REPORT_INTERVAL_S: Final = 1.0


class Room:
    """The media of one show."""

    def __init__(
        self,
        sources: RoomSources,
        sequences: tuple[int, int],
        timestamps: tuple[int, int],
        new_fan: NewFan = PlainFan,
    ) -> None:
        """`sources`, `sequences` and `timestamps` (video, audio) are random beginnings."""
        self.sources = sources
        self.numbering = {
            "video": Numbering(sources.video, 90_000, sequences[0], timestamps[0]),
            "audio": Numbering(sources.audio, 48_000, sequences[1], timestamps[1]),
        }
        self.history = {"video": History(VIDEO_HISTORY), "audio": History(AUDIO_HISTORY)}
        self.audience = Audience(self.history["video"], new_fan)
        self.viewers = self.audience.viewers
        self.publisher: Peer | None = None
        self.ingest: Ingest | None = None
        self._sender_reports: dict[str, tuple[int, int]] = {}  # kind -> NTP and room timestamp
        self._sent_report = 0, 0.0  # the middle bits of video's last one, and when viewers were told it
        self.sent = dict.fromkeys(KINDS, 0)
        self.octets = dict.fromkeys(KINDS, 0)
        self.frames = 0
        self.size = 0, 0  # of the picture, where its key frames tell
        self._key_frame_asked_s = float("-inf")
        self._key_frame_wanted = False
        self._reported_s = float("-inf")
        self.last_rtp_s = self._last_picture_s = float("-inf")

    # Publisher.

    def publish(self, peer: Peer, ingest: Ingest) -> None:
        """From here on the room's media is this publisher's. What was before stays in the viewers' past."""
        self.publisher, self.ingest = peer, ingest
        self._sender_reports.clear()
        self.size = 0, 0
        self.last_rtp_s = float("-inf")
        self.history["video"].forget_group()
        for numbering in self.numbering.values():
            numbering.interrupt()
        self.audience.change_publisher(ingest.tracks)
        self._key_frame_wanted = bool(self.viewers)

    def unpublish(self) -> None:
        """The publisher is gone; viewers stay for the next."""
        self.publisher = self.ingest = None

    def receive_rtp(self, data: bytes, now_s: float) -> None:
        """One decrypted RTP packet of the publisher."""
        if self.ingest is None:
            return
        for received in self.ingest.receive(data, now_s):
            self._take(received, now_s)

    def _take(self, received: Received, now_s: float) -> None:
        self.last_rtp_s = now_s
        track = received.track
        kind, history, numbering = track.kind, self.history[track.kind], self.numbering[track.kind]
        if received.fresh:
            numbering.interrupt()
            self._key_frame_wanted |= kind == "video" and bool(self.viewers)
        place = numbering.place(received.packet, now_s)
        if place is None or history.get(place) is not None:
            return
        key = kind == "video" and begins_group(track.codec.name, received.packet.payload)
        placed = numbering.write(received.packet, place, key=key)
        if kind == "audio":
            placed = with_the_one_before(placed, history.get(place - 1))
        if not history.put(placed, now_s):
            return
        self.sent[kind] += 1
        self.octets[kind] += len(placed.data)
        self.frames += kind == "video" and bool(received.packet.marker)
        self.audience.put(kind, placed)
        if key:
            self._key_frame_wanted = False
            self.size = picture_size(track.codec.name, received.packet.payload) or self.size
        if kind == "video":
            self._last_picture_s = now_s
        if kind == "video" or "nack" in track.codec.feedback:
            track.gaps.arrived(place, now_s)
            if track.gaps:
                self._ask_again(now_s)

    def receive_reports(self, peer: Peer, session: str, data: bytes, now_s: float) -> None:
        """One decrypted RTCP datagram, the publisher's or a viewer's."""
        arrivals = None if peer is self.publisher else rtcp.plain_report(data)
        if arrivals is not None:
            self._note_arrivals(session, arrivals, now_s)
            return
        for packet in rtcp.read_reports(data):
            if peer is self.publisher:
                self.receive_publisher_report(packet, now_s)
            else:
                self.receive_viewer_report(session, packet, now_s)
        self.flush_key_frame(now_s)

    def receive_publisher_report(self, packet: AnyRtcpPacket, now_s: float) -> None:
        """One RTCP packet of the publisher. Its sender reports are said again on the room's clock."""
        if self.ingest is None or not isinstance(packet, RtcpSrPacket):
            return
        track = next((one for one in self.ingest.tracks.values() if one.heard == packet.ssrc), None)
        info = packet.sender_info
        if track is None or not info.ntp_timestamp:
            return  # a zero NTP time would tear sound from picture
        track.reception.reported(info.ntp_timestamp, now_s)
        timestamp = self.numbering[track.kind].timestamp(info.rtp_timestamp)
        self._sender_reports[track.kind] = info.ntp_timestamp, timestamp
        if track.kind == "video":
            self._sent_report = (info.ntp_timestamp >> 16) & 0xFFFFFFFF, now_s
        report = self._sender_report(track.kind)
        for viewer in self.viewers.values():
            if viewer.ready_s is not None:
                viewer.peer.send_rtcp(report)

    def _sender_report(self, kind: str) -> bytes:
        ntp, timestamp = self._sender_reports[kind]
        return rtcp.report_sending(self.numbering[kind].ssrc, ntp, timestamp, self.sent[kind], self.octets[kind])

    # Viewers.

    def expect(self, session: str, viewer: Viewer, now_s: float) -> None:
        """A viewer is coming: its handshake takes a while, and by its end a picture should be here that is not old."""
        alone = not self.viewers
        self.audience.expect(session, viewer, self.ingest.tracks if self.ingest is not None else {})
        if alone and self.publisher is not None and self.ingest is not None:
            self.publisher.send_rtcp(self.ingest.tell_bitrate())
        history = self.history["video"]
        if not history.group_kept() or now_s - history.group_s > GROUP_OLD_S:
            self._key_frame_wanted = True

    def admit(self, session: str, now_s: float) -> None:
        """The viewer's handshake is done: sound from now, picture from the last group's beginning."""
        viewer = self.audience.admit(session, now_s)
        for kind in self._sender_reports:
            viewer.peer.send_rtcp(self._sender_report(kind))
        history = self.history["video"]
        fresh = history.group_kept() and now_s - history.group_s <= GROUP_AGE_MAX_S
        if history.group is not None and fresh and not self._picture_gone(now_s):
            self.audience.begin_at(session, history.group)
        else:
            self._key_frame_wanted = True

    def leave(self, session: str) -> None:
        """The viewer is gone. With the last one goes the group: nobody keeps it fresh."""
        if self.audience.leave(session) and not self.viewers:
            self.history["video"].forget_group()
            self._key_frame_wanted = False

    def receive_viewer_report(self, session: str, packet: AnyRtcpPacket, now_s: float) -> None:
        """One RTCP packet of a viewer: packets it misses, a key frame it needs, what it lost."""
        viewer = self.viewers.get(session)
        if viewer is None:
            return
        if rtcp.wants_key_frame(packet):
            self._key_frame_wanted = True
        lost = rtcp.missed(packet)
        if lost is not None:
            kind = "audio" if getattr(packet, "media_ssrc", 0) == self.sources.audio else "video"
            for sequence in lost[:RESENDS_PER_REPORT_MAX]:
                self._resend(viewer, kind, sequence, now_s)
        told = [rtcp.Arrival(one.ssrc, one.fraction_lost, one.lsr, one.dlsr) for one in getattr(packet, "reports", ())]
        self._note_arrivals(session, told, now_s)

    def _note_arrivals(self, session: str, arrivals: list[rtcp.Arrival], now_s: float) -> None:
        viewer = self.viewers.get(session)
        if viewer is None:
            return
        for one in arrivals:
            if one.ssrc != self.sources.video:
                continue
            viewer.lost_fraction = one.lost
            middle, sent_s = self._sent_report
            # A joiner was told an older report anew: how long ago it was sent is not known.
            if one.report == middle and middle and viewer.ready_s is not None and viewer.ready_s <= sent_s:
                viewer.round_trip_s = max(0.0, now_s - sent_s - one.since / 65_536)

    def _resend(self, viewer: Viewer, kind: str, sequence: int, now_s: float) -> None:
        codec = viewer.codecs[kind]
        placed = self.history[kind].get(self.numbering[kind].unwrap(sequence))
        if codec is None or placed is None or not viewer.resends.take(now_s):
            return
        viewer.resent += 1
        if codec.rtx is None:
            packet = under(placed, codec)
        else:
            viewer.rtx_sequence += 1
            packet = placed.retransmission(codec.rtx, self.sources.video_rtx, viewer.rtx_sequence)
        viewer.octets += len(packet)
        viewer.peer.send_rtp(packet)

    # Time.

    def tick(self, now_s: float) -> None:
        """Everything that is due: call it about every 50 ms."""
        if self.publisher is not None and self.ingest is not None:
            self._ask_again(now_s)
            self._ask_key_frame(now_s)
            if now_s - self._reported_s >= REPORT_INTERVAL_S:
                self._reported_s = now_s
                self.publisher.send_rtcp(self.ingest.reports(now_s))
                if self.viewers:
                    self.publisher.send_rtcp(self.ingest.tell_bitrate())
        history = self.history["video"]
        self._key_frame_wanted |= bool(self.audience.waiting)
        if self._picture_gone(now_s):
            return
        for session in list(self.audience.waiting):
            waits_since_s = self.viewers[session].ready_s
            assert waits_since_s is not None
            if now_s - waits_since_s > KEY_FRAME_WAIT_S and history.group is not None and history.group_kept():
                self.audience.begin_at(session, history.group)

    def _picture_gone(self, now_s: float) -> bool:
        """Whether the camera is off: better no picture then than one that stands still."""
        return now_s - self._last_picture_s > PICTURE_GONE_S

    def flush_key_frame(self, now_s: float) -> None:
        """Asks for a key frame at once when one is wanted and the last asking is long enough ago."""
        self._ask_key_frame(now_s)

    def _ask_key_frame(self, now_s: float) -> None:
        video = self.ingest.tracks.get("video") if self.ingest is not None else None
        if not self._key_frame_wanted or self.publisher is None or video is None or video.ssrc is None:
            return
        if now_s - self._key_frame_asked_s >= KEY_FRAME_ASK_INTERVAL_S:
            self._key_frame_asked_s = now_s
            self._key_frame_wanted = False
            self.publisher.send_rtcp(rtcp.ask_key_frame(video.ssrc))

    def _ask_again(self, now_s: float) -> None:
        if self.publisher is None or self.ingest is None:
            return
        for kind, track in self.ingest.tracks.items():
            due = track.gaps.due(now_s) if track.ssrc is not None else []
            if due and track.ssrc is not None:
                sequences = [self.numbering[kind].theirs(place) for place in due]
                self.publisher.send_rtcp(rtcp.ask_again(track.ssrc, sequences))
