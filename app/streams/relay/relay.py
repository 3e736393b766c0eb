"""The relay: all sessions and rooms of one UDP port, from an offer to the last packet.

Owns who sits where (sessions by id, ufrag and address, rooms by show) and the tasks that keep time. Admission beyond
"who publishes now" is the web role's; packets are the rooms'.
"""

import asyncio
import secrets
from collections.abc import Callable

import structlog

from app import clock
from app.refusal import Refusal
from app.streams.relay import stun
from app.streams.relay.answer import Local, answer_publisher, answer_viewer, codec_for
from app.streams.relay.audience import Viewer
from app.streams.relay.batch import Batch, BatchFan, available
from app.streams.relay.callers import Callers, caller_of
from app.streams.relay.dtls import Certificate
from app.streams.relay.fan import Fan, PlainFan
from app.streams.relay.ingest import Ingest
from app.streams.relay.limits import PUBLISHERS_MAX, SESSIONS_MAX, VIEWERS_PER_ROOM_MAX
from app.streams.relay.offer import Offer, read_fragment, read_offer
from app.streams.relay.publish_rules import SYNTHETIC
from app.streams.relay.seat import Seat, Stage, fresh_credentials
from app.streams.relay.session import Credentials, Session, State
from app.streams.relay.turns import Turns
from app.streams.relay.udp import Address, UdpPort
from app.streams.relay.wire import (
    NewSession,
    RelayFigures,
    SessionMade,
    ShowFigures,
    Trickled,
    TrickleTaken,
)

TICK_S = 0.05
SEATS_TURN = 16  # ticks in which every session is looked at once
_NOT_FOUND = Refusal("not_found", "There is no such session.")
_NOT_LIVE = Refusal("not_live", "Nobody is publishing in this show just now.", 1_000)
_CLOSING = Refusal("unavailable", "The video service is restarting; try again.", 1_000)
_FULL = Refusal("too_many_sessions", "This relay is full; try again shortly.", 2_000)

log = structlog.get_logger("hawker.relay")


class Relay:
    """`publishing(show, bool)` is called when a show begins or ceases to have a publisher."""

    def __init__(self, publishing: Callable[[str, bool], None]) -> None:
        self._publishing = publishing
        self._certificate = Certificate.generateCertificate()
        self.udp = UdpPort(self._datagram)
        self._turns = Turns(self.udp, lambda: [stage.room.audience for stage in self._stages.values()])
        self.udp.when_turned(self._turns.fan_out)
        self._batch = Batch(self.udp) if available() else None
        self.port = 0
        self._callers = Callers()
        self._seats: dict[str, Seat] = {}
        self._by_ufrag: dict[str, Seat] = {}
        self._by_address: dict[Address, Seat] = {}
        self._stages: dict[str, Stage] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._closing = False
        self._ticks = 0
        self._now_s = clock.monotonic_s()

    async def run(self, host: str, port: int, *, ready: Callable[[], None]) -> None:
        """Serves until cancelled; then says goodbye to everybody and lets go of the port."""
        self.port = self.udp.open(host, port)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                ready()
                try:
                    while True:
                        self._tick()
                        await asyncio.sleep(TICK_S)
                finally:
                    self._closing = True  # the group takes no more tasks; run() says goodbye below
        finally:
            self._turns.stop()
            for seat in list(self._seats.values()):
                self._forget(seat, "shutdown")
                await seat.session.handshake.stop()
            self.udp.close()

    # Sessions, as the inner HTTP asks for them.

    def create(self, wanted: NewSession) -> SessionMade | Refusal:
        """A session for an offer, or why not. A publisher's takes effect once it is connected."""
        self._now_s = clock.monotonic_s()
        # Whoever may not have one does not get an offer read either: that takes long.
        offer = self._refuse(wanted) or read_offer(wanted.sdp)
        if isinstance(offer, Refusal):
            return offer
        made = self._seat_publisher(wanted, offer) if wanted.kind == "publish" else self._seat_viewer(wanted, offer)
        if not isinstance(made, Refusal):
            log.info("session.made", show=wanted.show, kind=wanted.kind, session=made.id[:6])
        return made

    def _refuse(self, wanted: NewSession) -> Refusal | None:
        """Why there is no session to be had, whatever the offer says."""
        refused = _CLOSING if self._closing else _FULL if len(self._seats) >= SESSIONS_MAX else None
        refused = refused or self._callers.refuse(caller_of(wanted.caller))
        if refused is not None:
            return refused
        stage = self._stages.get(wanted.show)
        if wanted.kind == "publish":
            if stage is not None:
                return stage.refuse(wanted.owner, self._now_s, takeover=wanted.takeover)
            return _FULL if len(self._stages) >= PUBLISHERS_MAX else None
        if stage is None or stage.publisher is None or stage.room.ingest is None:
            return _NOT_LIVE
        return _FULL if len(stage.room.viewers) >= VIEWERS_PER_ROOM_MAX else None

    def _seat_publisher(self, wanted: NewSession, offer: Offer) -> SessionMade | Refusal:
        stage = self._stages.get(wanted.show)
        credentials = fresh_credentials()
        answer = answer_publisher(offer, self._local(credentials, wanted.addresses))
        if isinstance(answer, Refusal):
            return answer
        codecs = {kind: chosen[0] for kind, chosen in (("video", answer.video), ("audio", answer.audio)) if chosen}
        named = {kind: offer.served(kind) for kind in codecs}
        ssrcs = {kind: media.ssrcs[0] for kind, media in named.items() if media is not None and media.ssrcs}
        stage = stage or self._open_stage(wanted.show)
        if stage.coming is not None:
            self._end(stage.coming, "superseded")
        seat = Seat(self._session(offer, credentials, last_once=True), wanted)
        seat.ingest = Ingest(codecs, ssrcs)
        stage.coming = seat
        return self._seated(seat, answer.sdp)

    def _seat_viewer(self, wanted: NewSession, offer: Offer) -> SessionMade | Refusal:
        stage = self._stages[wanted.show]
        assert stage.room.ingest is not None
        credentials = fresh_credentials()
        answer = answer_viewer(offer, self._local(credentials, wanted.addresses), stage.room.sources)
        if isinstance(answer, Refusal):
            return answer
        video = stage.room.ingest.tracks.get("video")
        if video is not None and answer.video and codec_for(video.codec, answer.video) is None:
            return Refusal("sdp_unserved", f"This show is in {video.codec.name}, which the offer lacks.")
        seat = Seat(self._session(offer, credentials), wanted)
        made = self._seated(seat, answer.sdp)
        offered = {"video": answer.video, "audio": answer.audio}
        stage.room.expect(seat.session.id, Viewer(seat.session, offered), self._now_s)
        stage.room.flush_key_frame(self._now_s)
        return made

    def _session(self, offer: Offer, credentials: Credentials, *, last_once: bool = False) -> Session:
        return Session(
            clock.new_secret(),
            offer,
            credentials,
            certificate=self._certificate,
            send=self.udp.send,
            batch=self._batch,
            now_s=self._now_s,
            last_once=last_once,
        )

    def _seated(self, seat: Seat, sdp: str) -> SessionMade:
        assert self._tasks is not None
        session = seat.session
        self._seats[session.id] = seat
        self._callers.enter(seat.caller)
        self._by_ufrag[session.credentials.ufrag] = seat
        seat.task = self._tasks.create_task(self._connect(seat), name=f"session {session.id[:6]}")
        return SessionMade(session.id, sdp, session.credentials.etag)

    def _local(self, credentials: Credentials, addresses: tuple[str, ...]) -> Local:
        return Local(
            ufrag=credentials.ufrag,
            password=credentials.password,
            fingerprint=self._certificate.sha256,
            addresses=addresses,
            port=self.port,
            origin=secrets.randbits(62),
        )

    def see(self, session: str) -> Seat | None:
        """The seat of a session that lives."""
        return self._seats.get(session)

    def trickle(self, session: str, trickled: Trickled) -> TrickleTaken | Refusal:
        """A fragment from the peer. Candidates need nothing of a lite agent; new credentials restart ICE."""
        seat = self._seats.get(session)
        if seat is None:
            return _NOT_FOUND
        if trickled.if_match is None:
            return Refusal("precondition_required", "Send If-Match with the session's entity tag.")
        fragment = read_fragment(trickled.fragment)
        if isinstance(fragment, Refusal):
            return fragment
        outdated = seat.session.restarting
        outcome = seat.session.take_fragment(fragment, trickled.if_match, fresh_credentials())
        restarted = seat.session.restarting
        if isinstance(outcome, TrickleTaken) and restarted is not None and restarted is not outdated:
            if outdated is not None:
                self._by_ufrag.pop(outdated.ufrag, None)
            self._by_ufrag[restarted.ufrag] = seat
        return outcome

    def end(self, session: str) -> bool:
        """Ends a session; False when there is none."""
        seat = self._seats.get(session)
        if seat is not None:
            self._end(seat, "deleted")
        return seat is not None

    def end_sessions(self, show: str, person: str | None, owner: str | None) -> int:
        """Ends all sessions of a show, or in it one person's, or one publisher's hands'; how many there were."""
        ending = [
            seat
            for seat in self._seats.values()
            if seat.show == show and person in {None, seat.person} and owner in {None, seat.owner}
        ]
        for seat in ending:
            self._end(seat, "ended_by_show")
        return len(ending)

    # A session's life.

    async def _connect(self, seat: Seat) -> None:
        session = seat.session
        if session.begins_handshake:
            await seat.checked.wait()
        shaken = await session.handshake.run()
        seat.task = None  # it ends here, and would keep what it was about
        if not shaken:
            self._end(seat, "handshake_failed")
            return
        if session.state is not State.HANDSHAKING:
            return
        session.connect()
        self._callers.connect(seat.caller)
        session.handshake.when_closed(lambda: self._end(seat, "goodbye"))
        self._now_s = session.heard_s = clock.monotonic_s()
        stage = self._stages[seat.show]
        if seat.kind == "publish":
            self._take_stage(stage, seat)
        else:
            stage.room.admit(session.id, self._now_s)
            stage.room.flush_key_frame(self._now_s)
            self._turns.keep_pace()
        log.info("session.connected", show=seat.show, kind=seat.kind, session=session.id[:6])

    def _take_stage(self, stage: Stage, seat: Seat) -> None:
        assert seat.ingest is not None
        previous, stage.publisher = stage.publisher, seat
        if stage.coming is seat:
            stage.coming = None
        stage.room.publish(seat.session, seat.ingest)
        stage.left_s = None
        if previous is not None:
            self._end(previous, "taken_over")
        stage.room.flush_key_frame(self._now_s)
        if previous is None:
            self._publishing(seat.show, True)

    def _end(self, seat: Seat, reason: str) -> None:
        if self._closing or seat.session.state is State.ENDED:
            return
        self._forget(seat, reason)
        assert self._tasks is not None
        self._tasks.create_task(self._stop(seat), name=f"goodbye {seat.session.id[:6]}")

    @staticmethod
    async def _stop(seat: Seat) -> None:
        connecting, seat.task = seat.task, None
        if connecting is not None:
            connecting.cancel()
        await seat.session.handshake.stop()

    def _forget(self, seat: Seat, reason: str) -> None:
        """Takes a session out of every table. What it still has to say goes out by its last address."""
        session = seat.session
        self._callers.leave(seat.caller, connected=session.state is State.CONNECTED)
        session.step(State.ENDED)
        self._seats.pop(session.id, None)
        for ufrag in [session.credentials.ufrag] + ([session.restarting.ufrag] if session.restarting else []):
            self._by_ufrag.pop(ufrag, None)
        for address in session.addresses:
            if self._by_address.get(address) is seat:
                del self._by_address[address]
        stage = self._stages.get(seat.show)
        if stage is not None:
            if stage.coming is seat:
                stage.coming = None
            if stage.publisher is seat:
                stage.publisher = None
                stage.room.unpublish()
                stage.left_s = None if seat.owner == SYNTHETIC else clock.monotonic_s()
                self._publishing(seat.show, False)
            stage.room.leave(session.id)
        log.info("session.ended", show=seat.show, kind=seat.kind, session=session.id[:6], reason=reason)

    def _open_stage(self, show: str) -> Stage:
        stage = self._stages[show] = Stage(show, self._new_fan)
        return stage

    def _new_fan(self) -> Fan:
        return PlainFan() if self._batch is None else BatchFan(self._batch)

    # Datagrams.

    def _datagram(self, data: bytes, address: Address) -> None:
        """Splits by the first byte (RFC 7983). Only checks may come from an address that is not known yet."""
        first = data[0]
        if first < 4:
            self._check(data, address)
            return
        seat = self._by_address.get(address)
        if seat is None:
            self.udp.dropped += 1
        elif 20 <= first < 64:
            seat.session.feed_handshake(data, clock.monotonic_s())
        elif 128 <= first < 192 and len(data) > 1:
            self._media(seat, data)

    def _check(self, data: bytes, address: Address) -> None:
        request = stun.read_request(data)
        seat = None if request is None else self._by_ufrag.get(request.ufrag)
        self._now_s = clock.monotonic_s()
        other = self._by_address.get(address)
        taken = other is not None and other is not seat and other.keeps_address(address, self._now_s)
        if request is None or seat is None or taken:
            self.udp.dropped += 1
            return
        before = seat.session.credentials
        answer, given_up = seat.session.check(request, address, self._now_s)
        if seat.session.credentials is not before:
            self._by_ufrag.pop(before.ufrag, None)
        if not answer:
            return
        self.udp.send(answer, address)
        if address in seat.session.addresses:
            self._by_address[address] = seat
            seat.checked.set()
        if given_up is not None and self._by_address.get(given_up) is seat:
            del self._by_address[given_up]

    def _media(self, seat: Seat, data: bytes) -> None:
        self._now_s = clock.monotonic_s()
        room = self._stages[seat.show].room
        publishes = room.publisher is seat.session
        if 192 <= data[1] < 224:  # RFC 5761: RTCP's packet types
            opened = seat.session.open_rtcp(data, self._now_s)
            if opened is not None and seat.reports.take(self._now_s):
                room.receive_reports(seat.session, seat.session.id, opened, self._now_s)
        elif publishes:
            opened = seat.session.open_rtp(data, self._now_s)
            if opened is not None:
                room.receive_rtp(opened, self._now_s)

    # Time.

    def _tick(self) -> None:
        self._now_s = clock.monotonic_s()
        self._ticks += 1
        for seat in list(self._seats.values())[self._ticks % SEATS_TURN :: SEATS_TURN]:
            seat.session.settle(self._now_s)
            reason = seat.session.expired(self._now_s)
            if reason is not None:
                self._end(seat, reason)
        for show, stage in list(self._stages.items()):
            stage.room.tick(self._now_s)
            if stage.room.audience.catching_up:
                self._turns.keep_pace()
            stage.measure(self._now_s)
            if stage.empty(self._now_s):
                del self._stages[show]

    # Figures.

    def show_figures(self, show: str) -> ShowFigures:
        """One room's present; a room that is not there is one that nobody publishes in."""
        stage = self._stages.get(show)
        return Stage.nothing(show) if stage is None else stage.figures(clock.monotonic_s())

    def figures(self) -> RelayFigures:
        """The node's present."""
        return RelayFigures(
            sessions=len(self._seats),
            rooms=tuple(self.show_figures(show) for show in self._stages),
            datagrams_in=self.udp.received,
            datagrams_out=self.udp.sent,
            dropped=self.udp.dropped + sum(stage.room.audience.dropped for stage in self._stages.values()),
            port=self.port,
        )
