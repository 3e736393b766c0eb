"""One show's media: a publisher's packets in, the same packets out to every viewer, and the RTCP between them.

Owns the room's sequence numbers, history and joiners. It sends through peers and reads no clock; sockets, keys and
who may do what are none of its business.
"""

from typing import Final, Protocol

from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from app.streams.relay import rtcp
from app.streams.relay.answer import RoomSources, codec_for
from app.streams.relay.history import History
from app.streams.relay.ingest import Ingest, Received
from app.streams.relay.limits import (
    AUDIO_HISTORY,
    GROUP_AGE_MAX_S,
    KEY_FRAME_ASK_INTERVAL_S,
    KEY_FRAME_WAIT_S,
    PACE_PACKETS,
    RESENDS_PER_REPORT_MAX,
    VIDEO_HISTORY,
)
from app.streams.relay.offer import Codec
from app.streams.relay.pictures import begins_group
from app.streams.relay.rewrite import Numbering, Placed

KINDS: Final = ("video", "audio")
REPORT_INTERVAL_S: Final = 1.0


class Peer(Protocol):
    """The far end of a session: encrypts and sends, or does nothing before its handshake and after its end."""

    def send_rtp(self, packet: bytes) -> None:
        """Sends one RTP packet under the session's own keys."""

    def send_rtcp(self, packet: bytes) -> None:
        """Sends one compound RTCP packet under the session's own keys."""


class Viewer:
    """One viewer's place in the stream. `cursor` is the next place of video it is sent while it catches up."""

    def __init__(self, peer: Peer, offered: dict[str, tuple[Codec, ...]]) -> None:
        self.peer = peer
        self.offered = offered
        self.codecs: dict[str, Codec | None] = dict.fromkeys(KINDS)
        self.ready_s: float | None = None
        self.cursor: int | None = None
        self.first: int | None = None  # the first place of video it was sent; None: it waits for a group to begin
        self.rtx_sequence = 0
        self.lost_fraction = 0
        self.resent = 0


class Room:
    """The media of one show."""

    def __init__(self, sources: RoomSources, sequences: tuple[int, int], timestamps: tuple[int, int]) -> None:
        """`sources`, `sequences` and `timestamps` (video, audio) are random beginnings."""
        self.sources = sources
        self.numbering = {
            "video": Numbering(sources.video, 90_000, sequences[0], timestamps[0]),
            "audio": Numbering(sources.audio, 48_000, sequences[1], timestamps[1]),
        }
        self.history = {"video": History(VIDEO_HISTORY), "audio": History(AUDIO_HISTORY)}
        self.viewers: dict[str, Viewer] = {}
        self.publisher: Peer | None = None
        self.ingest: Ingest | None = None
        self._fans: dict[str, dict[int, list[Viewer]]] = {"video": {}, "audio": {}}
        self._waiting: set[str] = set()  # viewers without a picture
        self._catching_up: set[str] = set()
        self._sender_reports: dict[str, tuple[int, int]] = {}  # kind -> NTP and room timestamp
        self.sent = dict.fromkeys(KINDS, 0)
        self.octets = dict.fromkeys(KINDS, 0)
        self._key_frame_asked_s = float("-inf")
        self._key_frame_wanted = False
        self._reported_s = float("-inf")
        self.last_rtp_s = float("-inf")

    # Publisher.

    def publish(self, peer: Peer, ingest: Ingest) -> None:
        """From here on the room's media is this publisher's. What was before stays in the viewers' past."""
        self.publisher, self.ingest = peer, ingest
        self._sender_reports.clear()
        self.last_rtp_s = float("-inf")
        self.history["video"].forget_group()
        for numbering in self.numbering.values():
            numbering.interrupt()
        for viewer in self.viewers.values():
            self._choose_codecs(viewer)
        self._rebuild_fans()
        self._key_frame_wanted = bool(self.viewers)

    def unpublish(self) -> None:
        """The publisher is gone; viewers stay for the next."""
        self.publisher = self.ingest = None

    def receive_rtp(self, data: bytes, now_s: float) -> None:
        """One decrypted RTP packet of the publisher."""
        if self.ingest is None:
            return
        received = self.ingest.receive(data, now_s)
        if received is None:
            return
        self.last_rtp_s = now_s
        kind = received.track.kind
        numbering = self.numbering[kind]
        if received.fresh:
            numbering.interrupt()
            self._key_frame_wanted |= kind == "video" and bool(self.viewers)
        place = numbering.place(received.packet, now_s)
        if place is None:
            return
        key = kind == "video" and begins_group(received.track.codec.name, received.packet.payload)
        placed = numbering.write(received.packet, place, key=key)
        if not self.history[kind].put(placed, now_s):
            return
        self._fan(kind, placed)
        if kind == "video":
            self._note_video(received, placed, now_s)

    def _note_video(self, received: Received, placed: Placed, now_s: float) -> None:
        gaps = received.track.gaps
        gaps.arrived(placed.place, now_s)
        if gaps:
            self._ask_again(now_s)
        if placed.key:
            self._key_frame_wanted = False
            group = self.history["video"].group
            if group is not None:
                for session in list(self._waiting):
                    self._begin_at(session, group)

    def _fan(self, kind: str, placed: Placed) -> None:
        """The same packet to every viewer that is up to date, once per payload type."""
        self.sent[kind] += 1
        self.octets[kind] += len(placed.data)
        for payload_type, viewers in self._fans[kind].items():
            packet = placed.under(payload_type)
            for viewer in viewers:
                if kind == "video" and (viewer.cursor is not None or viewer.first is None):
                    continue
                viewer.peer.send_rtp(packet)

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
        report = self._sender_report(track.kind)
        for viewer in self.viewers.values():
            if viewer.ready_s is not None:
                viewer.peer.send_rtcp(report)

    def _sender_report(self, kind: str) -> bytes:
        ntp, timestamp = self._sender_reports[kind]
        return rtcp.report_sending(self.numbering[kind].ssrc, ntp, timestamp, self.sent[kind], self.octets[kind])

    # Viewers.

    def expect(self, session: str, viewer: Viewer) -> None:
        """A viewer is coming: its handshake takes a while, and by its end the picture should be here."""
        alone = not self.viewers
        self.viewers[session] = viewer
        self._choose_codecs(viewer)
        if alone and self.publisher is not None and self.ingest is not None:
            self.publisher.send_rtcp(self.ingest.tell_bitrate())
        if self.history["video"].group is None:
            self._key_frame_wanted = True

    def admit(self, session: str, now_s: float) -> None:
        """The viewer's handshake is done: sound from now, picture from the last group's beginning."""
        viewer = self.viewers[session]
        viewer.ready_s = now_s
        self._waiting.add(session)
        self._rebuild_fans()
        for kind in self._sender_reports:
            viewer.peer.send_rtcp(self._sender_report(kind))
        history = self.history["video"]
        if history.group is not None and history.group_kept() and now_s - history.group_s <= GROUP_AGE_MAX_S:
            self._begin_at(session, history.group)
        else:
            self._key_frame_wanted = True

    def leave(self, session: str) -> None:
        """The viewer is gone. With the last one goes the group: nobody keeps it fresh."""
        if self.viewers.pop(session, None) is None:
            return
        self._waiting.discard(session)
        self._catching_up.discard(session)
        self._rebuild_fans()
        if not self.viewers:
            self.history["video"].forget_group()
            self._key_frame_wanted = False

    def receive_viewer_report(self, session: str, packet: AnyRtcpPacket) -> None:
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
                self._resend(viewer, kind, sequence)
        for report in getattr(packet, "reports", ()):
            if report.ssrc == self.sources.video:
                viewer.lost_fraction = report.fraction_lost

    def _resend(self, viewer: Viewer, kind: str, sequence: int) -> None:
        codec = viewer.codecs[kind]
        placed = self.history[kind].get(self.numbering[kind].unwrap(sequence))
        if codec is None or placed is None:
            return
        viewer.resent += 1
        if codec.rtx is None:
            viewer.peer.send_rtp(placed.under(codec.payload_type))
            return
        viewer.rtx_sequence += 1
        viewer.peer.send_rtp(placed.retransmission(codec.rtx, self.sources.video_rtx, viewer.rtx_sequence))

    def _begin_at(self, session: str, group: int) -> None:
        self._waiting.discard(session)
        viewer = self.viewers[session]
        viewer.cursor = viewer.first = group
        self._catching_up.add(session)
        self._pace_one(session)

    def pace(self) -> bool:
        """Sends the next packets to each joiner that catches up. False when there is none."""
        for session in list(self._catching_up):
            self._pace_one(session)
        return bool(self._catching_up)

    def _pace_one(self, session: str) -> None:
        viewer = self.viewers[session]
        codec, highest = viewer.codecs["video"], self.numbering["video"].highest
        history = self.history["video"]
        sent = 0
        assert viewer.cursor is not None
        # Every look counts, not every packet: a joiner behind a long hole must not hold up the loop.
        while viewer.cursor <= highest and sent < PACE_PACKETS:
            placed = history.get(viewer.cursor)
            viewer.cursor += 1
            sent += 1
            if placed is not None and codec is not None:
                viewer.peer.send_rtp(placed.under(codec.payload_type))
        if viewer.cursor > highest:
            viewer.cursor = None
            self._catching_up.discard(session)

    @property
    def catching_up(self) -> bool:
        """Whether any joiner needs pace()."""
        return bool(self._catching_up)

    def _choose_codecs(self, viewer: Viewer) -> None:
        tracks = self.ingest.tracks if self.ingest is not None else {}
        for kind in KINDS:
            track = tracks.get(kind)
            viewer.codecs[kind] = codec_for(track.codec, viewer.offered[kind]) if track is not None else None

    def _rebuild_fans(self) -> None:
        self._fans = {"video": {}, "audio": {}}
        for viewer in self.viewers.values():
            if viewer.ready_s is None:
                continue
            for kind, codec in viewer.codecs.items():
                if codec is not None:
                    self._fans[kind].setdefault(codec.payload_type, []).append(viewer)

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
        self._key_frame_wanted |= bool(self._waiting)
        for session in list(self._waiting):
            waits_since_s = self.viewers[session].ready_s
            assert waits_since_s is not None
            if now_s - waits_since_s > KEY_FRAME_WAIT_S and history.group is not None and history.group_kept():
                self._begin_at(session, history.group)

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
        video = self.ingest.tracks.get("video") if self.ingest is not None else None
        if self.publisher is None or video is None or video.ssrc is None or not video.gaps:
            return
        due = video.gaps.due(now_s)
        if due:
            sequences = [self.numbering["video"].theirs(place) for place in due]
            self.publisher.send_rtcp(rtcp.ask_again(video.ssrc, sequences))
