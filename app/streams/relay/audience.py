"""A room's viewers: who is sent what is new, who still catches up, and who waits for a picture.

Owns the fans, the packets that wait for their turn in them, and the joiners' way through the last group of pictures.
It reads no clock and encrypts nothing. What is sent at one time is bounded, so that nothing else has to wait for it.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from app.streams.relay.answer import codec_for
from app.streams.relay.callers import Allowance
from app.streams.relay.fan import Fan, NewFan, Peer, Portion
from app.streams.relay.history import History
from app.streams.relay.ingest import Track
from app.streams.relay.limits import (
    OUTBOX_MAX,
    PACE_PACKETS,
    PORTIONS_MAX,
    RESENDS_BURST_MAX,
    RESENDS_PER_S_MAX,
    RUN_MAX,
)
from app.streams.relay.offer import Codec
from app.streams.relay.red import under
from app.streams.relay.rewrite import Placed

KINDS: Final = ("video", "audio")
_MARKER: Final = 0x80  # of an RTP header's second byte: the last packet of a frame


class Viewer:
    """One viewer's place in the stream. `cursor` is the next place of video it is sent while it catches up."""

    def __init__(self, peer: Peer, offered: dict[str, tuple[Codec, ...]]) -> None:
        self.peer = peer
        self.offered = offered
        self.codecs: dict[str, Codec | None] = dict.fromkeys(KINDS)
        self.fans: dict[str, Fan | None] = dict.fromkeys(KINDS)
        self.ready_s: float | None = None
        self.cursor: int | None = None
        self.first: int | None = None  # the first place of video it was sent; None: it waits for a group to begin
        self.rtx_sequence = 0
        self.lost_fraction = 0  # of 256, since it told last
        self.round_trip_s: float | None = None
        self.resent = 0
        self.kbps = 0  # in the last second, with what it was sent again
        self.octets = 0  # what it was sent alone, and of each fan that it is in, less what that had been sent before
        self._measured_octets = 0
        self.resends = Allowance(RESENDS_PER_S_MAX, RESENDS_BURST_MAX)

    def measure(self, passed_s: float) -> None:
        """Takes the bitrate since the last time."""
        octets = self.octets + sum(fan.octets for fan in self.fans.values() if fan is not None)
        self.kbps = round((octets - self._measured_octets) * 8 / passed_s / 1000)
        self._measured_octets = octets


class Audience:
    """The viewers of one room."""

    def __init__(self, video: History, new_fan: NewFan) -> None:
        self._video = video
        self._new_fan = new_fan
        self.viewers: dict[str, Viewer] = {}
        self.waiting: set[str] = set()  # viewers without a picture
        self._catching_up: dict[str, None] = {}
        self._fans: dict[tuple[str, int, int | None], tuple[Codec, Fan]] = {}
        self._outbox: dict[str, deque[Placed]] = {"audio": deque(), "video": deque()}  # in order of urgency
        self._job: Iterator[int] | None = None  # a run that some of its viewers have been sent already
        self._portions: dict[tuple[int, int, int], Portion] = {}  # as the last group's joiners were sent them
        self._portions_of = -1
        self._fanned = -1  # the highest place of video that all fans were given
        self.dropped = 0

    # Who is here.

    def expect(self, session: str, viewer: Viewer, tracks: dict[str, Track]) -> None:
        """A viewer who shakes hands: it counts, and is sent nothing yet."""
        self.viewers[session] = viewer
        self._choose_codecs(viewer, tracks)

    def admit(self, session: str, now_s: float) -> Viewer:
        """The viewer's handshake is done: sound from now; the picture is begin_at's."""
        viewer = self.viewers[session]
        viewer.ready_s = now_s
        self.waiting.add(session)
        self._enter(viewer, "audio")
        return viewer

    def leave(self, session: str) -> bool:
        """The viewer is gone. False when it was not here."""
        viewer = self.viewers.pop(session, None)
        if viewer is None:
            return False
        self.waiting.discard(session)
        self._catching_up.pop(session, None)
        for kind in KINDS:
            self._exit(viewer, kind)
        return True

    def change_publisher(self, tracks: dict[str, Track]) -> None:
        """Other codecs, perhaps: everybody's payload types are chosen anew. What waited to be sent is still sent."""
        while self.fan_out(1):
            pass
        for viewer in self.viewers.values():
            for kind in KINDS:
                self._exit(viewer, kind)
            self._choose_codecs(viewer, tracks)
            if viewer.ready_s is not None:
                self._enter(viewer, "audio")
            if viewer.first is not None and viewer.cursor is None:
                self._enter(viewer, "video")

    def _choose_codecs(self, viewer: Viewer, tracks: dict[str, Track]) -> None:
        for kind in KINDS:
            track = tracks.get(kind)
            viewer.codecs[kind] = codec_for(track.codec, viewer.offered[kind]) if track is not None else None

    def _enter(self, viewer: Viewer, kind: str) -> None:
        codec = viewer.codecs[kind]
        if codec is None:
            return
        place = kind, codec.payload_type, codec.red
        if place not in self._fans:
            self._fans[place] = codec, self._new_fan()
        _, fan = self._fans[place]
        fan.add(viewer.peer)
        viewer.octets -= fan.octets
        viewer.fans[kind] = fan

    def _exit(self, viewer: Viewer, kind: str) -> None:
        fan = viewer.fans[kind]
        if fan is not None:
            self._finish_job()
            fan.discard(viewer.peer)
            viewer.octets += fan.octets
            viewer.fans[kind] = None
            if not len(fan):
                self._fans = {place: one for place, one in self._fans.items() if one[1] is not fan}

    # What is new.

    def put(self, kind: str, placed: Placed) -> None:
        """A packet for everybody who is up to date. Sent by fan_out, in order; the oldest gives way when it is full."""
        outbox = self._outbox[kind]
        if len(outbox) == OUTBOX_MAX:
            outbox.popleft()
            self.dropped += 1
        outbox.append(placed)

    @property
    def waits(self) -> bool:
        """Whether packets wait for their turn, or for the rest of their frame."""
        return self._job is not None or any(self._outbox.values())

    def fan_out(self, sends: int, *, patient: bool = False) -> bool:
        """Sends what waits, sound first, until about `sends` packets have gone out. True when more can go now. When
        `patient` a frame is not begun before its end has come: its packets cost far less together.
        """
        while sends > 0:
            self._job = self._job or self._next_job(patient)
            if self._job is None:
                return False
            sent = next(self._job, None)
            if sent is None:
                self._job = None
            sends -= sent or 1
        return self.waits

    def _next_job(self, patient: bool) -> Iterator[int] | None:
        for kind, outbox in self._outbox.items():
            if outbox and not (patient and kind == "video" and _goes_on(outbox)):
                return self._send_run(kind, _take_run(outbox))
        return None

    def _send_run(self, kind: str, run: list[Placed]) -> Iterator[int]:
        """Sends a run in portions."""
        if kind == "video" and run[0].key and run[0].place > self._fanned:
            self._begin_waiting(run[0].place)
        for (of, *_), (codec, fan) in list(self._fans.items()):
            if of == kind:
                packets = [under(placed, codec) for placed in run]
                fan.octets += sum(map(len, packets))
                yield from fan.send(packets)
        if kind == "video":
            self._fanned = max(self._fanned, *(placed.place for placed in run))

    def _finish_job(self) -> None:
        """Who is in a fan must not change while a run is half sent: somebody would miss it, or get it twice."""
        if self._job is not None:
            for _ in self._job:
                pass
            self._job = None

    def _begin_waiting(self, group: int) -> None:
        """A group of pictures begins with the next packet, and whoever has no picture with it."""
        for session in self.waiting:
            viewer = self.viewers[session]
            viewer.first = group
            self._enter(viewer, "video")
        self.waiting.clear()

    # Joiners.

    def begin_at(self, session: str, group: int) -> None:
        """The viewer's picture begins with the packet at `group`; it is sent what has gone by since, in portions. While
        that packet waits for its turn itself, so does the viewer.
        """
        if group > self._fanned:
            self._finish_job()  # it may be on its way
        if group > self._fanned:
            return
        self.waiting.discard(session)
        viewer = self.viewers[session]
        if group != self._portions_of:
            self._portions_of = group
            self._portions.clear()
        viewer.cursor = viewer.first = group
        self._catching_up[session] = None
        self._pace_one(session)

    def pace(self, sends: int) -> bool:
        """The next portions, to each joiner in turn, about `sends` packets in all. False when nobody catches up."""
        for session in list(self._catching_up):
            if sends <= 0:
                break
            del self._catching_up[session]
            self._catching_up[session] = None  # behind the others
            sends -= self._pace_one(session)
        return bool(self._catching_up)

    def _pace_one(self, session: str) -> int:
        viewer = self.viewers[session]
        codec = viewer.codecs["video"]
        assert viewer.cursor is not None
        # Every look counts, not every packet: a joiner behind a long hole must not hold up the loop.
        end = min(viewer.cursor + PACE_PACKETS, self._fanned + 1)
        if codec is not None:
            portion = self._portion(viewer.cursor, end, codec.payload_type)
            viewer.octets += portion.octets
            viewer.peer.send_burst(portion)
        looked, viewer.cursor = end - viewer.cursor, end
        if end > self._fanned and self._job is None:
            viewer.cursor = None
            del self._catching_up[session]
            self._enter(viewer, "video")
        return max(1, looked)

    def _portion(self, start: int, end: int, payload_type: int) -> Portion:
        """Packets of the history by place. The next joiner is sent the same portions: they are kept while they are
        whole, which what a hole may still be filled in is not.
        """
        key = start, end, payload_type
        portion = self._portions.get(key)
        if portion is None:
            places = [self._video.get(place) for place in range(start, end)]
            portion = Portion(placed.under(payload_type) for placed in places if placed is not None)
            if len(portion) == PACE_PACKETS:
                if len(self._portions) >= PORTIONS_MAX:
                    del self._portions[next(iter(self._portions))]
                self._portions[key] = portion
        return portion

    @property
    def catching_up(self) -> bool:
        """Whether any joiner needs pace()."""
        return bool(self._catching_up)


def _goes_on(outbox: deque[Placed]) -> bool:
    """Whether the frame at the end will soon be longer; one that is long enough for a run is not waited for."""
    return len(outbox) < RUN_MAX and not outbox[-1].data[1] & _MARKER


def _take_run(outbox: deque[Placed]) -> list[Placed]:
    """The next packets that may go as one run: as long as the first, the last perhaps shorter. A group of pictures
    begins with a run, since somebody may begin with it.
    """
    run = [outbox.popleft()]
    size = len(run[0].data)
    while outbox and len(run) < RUN_MAX and len(run[-1].data) == size:
        if len(outbox[0].data) > size or outbox[0].key:
            break
        run.append(outbox.popleft())
    return run
