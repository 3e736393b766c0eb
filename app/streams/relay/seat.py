"""Who sits where: a session's seat in a show, and a show's stage with its room. Plain records; the relay moves them."""

import asyncio
import secrets

from app.refusal import Refusal
from app.streams.relay.answer import RoomSources
from app.streams.relay.callers import Allowance, caller_of
from app.streams.relay.fan import NewFan
from app.streams.relay.ingest import Ingest
from app.streams.relay.limits import ADDRESS_KEPT_S, REPORTS_BURST_MAX, REPORTS_PER_S_MAX, SYNTHETIC_WAITS_S
from app.streams.relay.publish_rules import Present, refuse_publisher
from app.streams.relay.room import Room
from app.streams.relay.session import Credentials, Session, State
from app.streams.relay.udp import Address
from app.streams.relay.wire import NewSession, ShowFigures


class Seat:
    """A session and what it is in its show. `kind` is publish or play."""

    def __init__(self, session: Session, wanted: NewSession) -> None:
        self.session = session
        self.show = wanted.show
        self.kind = wanted.kind
        self.owner = wanted.owner
        self.person = wanted.person
        self.caller = caller_of(wanted.caller)
        self.ingest: Ingest | None = None
        self.task: asyncio.Task[None] | None = None
        self.checked = asyncio.Event()
        self.reports = Allowance(REPORTS_PER_S_MAX, REPORTS_BURST_MAX)

    def keeps_address(self, address: Address, now_s: float) -> bool:
        """Whether `address` stays its own when another session's check comes from there: a check says where it comes
        from, not that it does, and whoever forged that would have this session's packets taken for their own. An
        address that it has left for another is anybody's: a network gives it to the next who comes.
        """
        session = self.session
        in_use = session.state is State.CONNECTED and session.address == address
        return in_use and now_s - session.heard_s < ADDRESS_KEPT_S


class Stage:
    """A show's room, the seat that publishes in it and the one that is about to."""

    def __init__(self, show: str, new_fan: NewFan) -> None:
        self.show = show
        ssrcs = secrets.SystemRandom().sample(range(0x100, 0xFFFFFFFF), 3)
        sequences = secrets.randbits(15), secrets.randbits(15)
        timestamps = secrets.randbits(32), secrets.randbits(32)
        self.room = Room(RoomSources(*ssrcs), sequences, timestamps, new_fan)
        self.publisher: Seat | None = None
        self.coming: Seat | None = None
        self.left_s: float | None = None  # when the last person stopped publishing
        self.bitrate_kbps = self.fps = 0
        self._measured_s = 0.0
        self._measured_octets = self._measured_frames = 0

    def refuse(self, owner: str, now_s: float, *, takeover: bool) -> Refusal | None:
        """Why `owner` may not publish here now, or None."""
        seat, present = self.publisher or self.coming, None
        if seat is not None:
            heard_s = max(seat.session.began_s, self.room.last_rtp_s if seat is self.publisher else 0.0)
            present = Present(seat.owner, now_s - heard_s)
        vacant_s = None if self.left_s is None else now_s - self.left_s
        return refuse_publisher(owner, present, takeover=takeover, vacant_s=vacant_s)

    def empty(self, now_s: float) -> bool:
        """Nobody is here, and nobody's coming back is waited for."""
        waited = self.left_s is None or now_s - self.left_s > SYNTHETIC_WAITS_S
        return self.publisher is None and self.coming is None and not self.room.viewers and waited

    def measure(self, now_s: float) -> None:
        """Takes bitrate and frames of what the room was sent, once a second."""
        passed_s = now_s - self._measured_s
        if passed_s >= 1:
            octets = sum(self.room.octets.values())
            self.bitrate_kbps = round((octets - self._measured_octets) * 8 / passed_s / 1000)
            self.fps = round((self.room.frames - self._measured_frames) / passed_s)
            for viewer in self.room.viewers.values():
                viewer.measure(passed_s)
            self._measured_s, self._measured_octets, self._measured_frames = now_s, octets, self.room.frames

    def figures(self, now_s: float) -> ShowFigures:
        """The room's present."""
        video = self.room.ingest.tracks.get("video") if self.room.ingest is not None else None
        history = self.room.history["video"]
        return ShowFigures(
            show=self.show,
            publishing=self.publisher is not None,
            owner=self.publisher.owner if self.publisher is not None else "",
            viewers=len(self.room.viewers),
            bitrate_kbps=self.bitrate_kbps,
            codec=video.codec.name if video is not None else "",
            key_frame_age_ms=None if history.group is None else round((now_s - history.group_s) * 1000),
            lost=video.reception.lost if video is not None else 0,
            fps=self.fps,
            width=self.room.size[0],
            height=self.room.size[1],
            loss_percent=round(video.reception.last_fraction_lost / 2.56, 1) if video is not None else 0.0,
            key_frame_interval_ms=(
                None if history.group_interval_s is None else round(history.group_interval_s * 1000)
            ),
            viewers_loss_percent=self._viewers_loss_percent(),
            round_trip_ms=self._round_trip_ms(),
            viewers_kbps=sum(viewer.kbps for viewer in self.room.viewers.values()),
            viewer_kbps=self._viewer_kbps(),
        )

    def _viewers_loss_percent(self) -> float:
        told = [viewer.lost_fraction for viewer in self.room.viewers.values()]
        return round(sum(told) / len(told) / 2.56, 1) if told else 0.0

    def _round_trip_ms(self) -> int | None:
        known = sorted(one.round_trip_s for one in self.room.viewers.values() if one.round_trip_s is not None)
        return round(known[len(known) // 2] * 1000) if known else None

    def _viewer_kbps(self) -> int | None:
        known = sorted(one.kbps for one in self.room.viewers.values() if one.ready_s is not None)
        return known[len(known) // 2] if known else None

    @staticmethod
    def nothing(show: str) -> ShowFigures:
        """The figures of a show without a stage."""
        return ShowFigures(show, False, "", 0, 0, "", None, 0)


def fresh_credentials() -> Credentials:
    """For a new generation of ICE."""
    return Credentials(secrets.token_hex(8), secrets.token_hex(16), f'"{secrets.token_hex(8)}"')
