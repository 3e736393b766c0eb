"""One WHIP or WHEP session's transport: its ICE credentials, its addresses, its keys, and whether it still lives.

Owns the session's states and what a datagram of each kind means for them. It knows neither rooms nor the socket:
the relay hands datagrams in and gets decrypted packets back.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec
import pylibsrtp

from app.refusal import Refusal
from app.streams.relay import stun
from app.streams.relay.batch import Batch, Line
from app.streams.relay.dtls import Certificate, Handshake
from app.streams.relay.limits import (
    ADDRESSES_PER_SESSION_MAX,
    CONSENT_LOST_S,
    GOODBYE_HEARD_S,
    HANDSHAKE_SETTLES_AT_LATEST_S,
    HANDSHAKE_SETTLES_S,
    ICE_GIVES_UP_S,
)
from app.streams.relay.offer import Fragment, Offer
from app.streams.relay.udp import Address
from app.streams.relay.wire import TrickleTaken


class State(StrEnum):
    """Where a session is in its life."""

    CHECKING = "checking"  # answered; no authenticated check has come yet
    HANDSHAKING = "handshaking"
    CONNECTED = "connected"
    ENDED = "ended"


_NEXT: Final = {
    State.CHECKING: {State.HANDSHAKING, State.ENDED},
    State.HANDSHAKING: {State.CONNECTED, State.ENDED},
    State.CONNECTED: {State.ENDED},
    State.ENDED: set[State](),
}


class IllegalStep(AssertionError):  # noqa: N818 it names what happened
    """A session was asked to go where its table has no way."""


class Credentials(msgspec.Struct, frozen=True):
    """Our ufrag and password of one ICE generation, and its entity tag."""

    ufrag: str
    password: str
    etag: str


class Session:
    """One peer. `send` puts a datagram on the wire; `now_s` comes in with every call that needs it; `last_once`: see
    Flight.
    """

    def __init__(
        self,
        identity: str,
        offer: Offer,
        credentials: Credentials,
        *,
        certificate: Certificate,
        send: Callable[[bytes, Address], None],
        batch: Batch | None = None,
        now_s: float,
        last_once: bool = False,
    ) -> None:
        self.id = identity
        self.state = State.CHECKING
        self.credentials = credentials
        self.restarting: Credentials | None = None  # offered by an ICE restart, not used by the peer yet
        self.their_ufrag = offer.ufrag
        self.address: Address | None = None  # where our packets go: the nominated pair's far end
        self.addresses: list[Address] = []  # all that passed an authenticated check, oldest first
        self.began_s = self.heard_s = now_s
        self.begins_handshake = offer.waits
        self.handshake_s = now_s  # when the last DTLS datagram came
        self.proven_s: float | None = None  # when an authenticated packet first came: the peer has its keys
        self._doubted_s: float | None = None
        self.unsent = self.unproven = 0
        self._send = send
        self._batch = batch
        self.line: Line | None = None
        self.handshake = Handshake(
            certificate, offer.fingerprints, self._send_datagram, begins=offer.waits, last_once=last_once
        )

    def step(self, to: State) -> None:
        """Moves on. An illegal step raises IllegalStep."""
        if to not in _NEXT[self.state]:
            raise IllegalStep(f"{self.state} -> {to}")
        self.state = to

    def connect(self) -> None:
        """The handshake is done: what is sent from here on is encrypted."""
        self.step(State.CONNECTED)
        if self._batch is not None and self.handshake.sending is not None and self.address is not None:
            self.line = Line(self.handshake.sending, self.handshake.overhead, self.address)

    def _send_datagram(self, data: bytes) -> None:
        if self.address is not None:
            self._send(data, self.address)

    # Inbound.

    def check(self, request: stun.BindingRequest, address: Address, now_s: float) -> tuple[bytes, Address | None]:
        """The answer to a binding request under one of our ufrags, and an address given up for the new one, if any.

        An empty answer: the sender does not know the password, and learns nothing.
        """
        of = self._generation(request.ufrag)
        password = of.password.encode()
        if not request.is_from(password):
            self.unproven += 1
            return b"", None
        if request.unknown:
            return stun.write_error(request, password, 420), None
        if request.claims_controlled:
            return stun.write_error(request, password, 487), None  # a lite agent is the controlled one
        if of is self.restarting:
            self.credentials, self.restarting = of, None
        self.heard_s = now_s
        given_up = None
        if address not in self.addresses:
            self.addresses.append(address)
            if len(self.addresses) > ADDRESSES_PER_SESSION_MAX:
                given_up = self.addresses.pop(0)
        if request.use_candidate or self.address is None:
            self.address = address
            if self.line is not None and self.line.address != address:
                self.line.move(address)
        if self.state is State.CHECKING:
            self.step(State.HANDSHAKING)
        return stun.write_success(request, password, address), given_up

    def _generation(self, ufrag: str) -> Credentials:
        if self.restarting is not None and self.restarting.ufrag == ufrag:
            return self.restarting
        return self.credentials

    def take_fragment(self, fragment: Fragment, if_match: str, fresh: Credentials) -> TrickleTaken | Refusal:
        """A trickled fragment under its If-Match. Candidates need nothing of a lite agent; other credentials of the
        peer restart ICE under `fresh`, while the present pair lives until the peer uses them (RFC 9725, 4.3.3).
        """
        if fragment.ufrag == self.their_ufrag:
            if if_match in {"*", self.credentials.etag}:
                return TrickleTaken()
            return Refusal("precondition_failed", "The session has another entity tag by now.")
        if if_match != "*":
            return Refusal("precondition_failed", "An ICE restart is asked for with If-Match: *.")
        self.restarting, self.their_ufrag = fresh, fragment.ufrag
        lines = ["a=ice-lite", f"a=ice-ufrag:{fresh.ufrag}", f"a=ice-pwd:{fresh.password}"]
        return TrickleTaken("\r\n".join(lines) + "\r\n", fresh.etag)

    def feed_handshake(self, data: bytes, now_s: float) -> None:
        """A DTLS datagram. Once settled it can only be the peer's goodbye, which nobody can prove any more: it has the
        session end soon unless the peer is heard of again (`expired`).
        """
        self.handshake_s = now_s
        if self.handshake.settled:
            self._doubted_s = now_s
        self.handshake.feed(data)

    def settle(self, now_s: float) -> None:
        """Frees what only the handshake needed, once the peer has its keys and asks for no flight again, or ought not
        to: DTLS that nobody reads would keep it for ever.
        """
        if self.proven_s is None or self.handshake.settled:
            return
        quiet = now_s - self.handshake_s > HANDSHAKE_SETTLES_S
        if quiet or now_s - self.proven_s > HANDSHAKE_SETTLES_AT_LATEST_S:
            self.handshake.settle()

    def open_rtp(self, data: bytes, now_s: float) -> bytes | None:
        """The RTP packet in an SRTP datagram; None for what is forged, replayed or too early."""
        return self._opened(data, now_s, rtcp=False)

    def open_rtcp(self, data: bytes, now_s: float) -> bytes | None:
        """The RTCP packet in an SRTCP datagram; None for what is forged, replayed or too early."""
        return self._opened(data, now_s, rtcp=True)

    def _opened(self, data: bytes, now_s: float, *, rtcp: bool) -> bytes | None:
        keys = self.handshake.receiving
        if keys is None or len(data) > 1_500:
            return None
        try:
            opened = keys.unprotect_rtcp(data) if rtcp else keys.unprotect(data)
        except pylibsrtp.Error:
            self.unproven += 1
            return None
        self.heard_s = now_s
        if self.proven_s is None:
            self.proven_s = now_s
            self.handshake.proven()
        return opened

    # Outbound: the room's Peer.

    def send_rtp(self, packet: bytes) -> None:
        """Sends an RTP packet under this session's keys; nothing before the handshake or after the end."""
        keys = self.handshake.sending
        if keys is None or self.state is not State.CONNECTED:
            return
        try:
            self._send_datagram(keys.protect(packet))
        except pylibsrtp.Error:  # a resent packet older than the replay window
            self.unsent += 1

    def send_burst(self, packets: Sequence[bytes]) -> None:
        """Sends several RTP packets, in order and likewise."""
        if self._batch is not None and self.line is not None and self.state is State.CONNECTED:
            self._batch.burst(self.line, packets)
            return
        for packet in packets:
            self.send_rtp(packet)

    def send_rtcp(self, packet: bytes) -> None:
        """Sends a compound RTCP packet likewise."""
        keys = self.handshake.sending
        if keys is not None and self.state is State.CONNECTED:
            self._send_datagram(keys.protect_rtcp(packet))

    # Life.

    def expired(self, now_s: float) -> str | None:
        """Why the session must end now, or None."""
        if self.state is not State.CONNECTED:
            return "never_connected" if now_s - self.began_s > ICE_GIVES_UP_S else None
        doubted_s = self._doubted_s
        if doubted_s is not None and self.heard_s <= doubted_s and now_s - doubted_s > GOODBYE_HEARD_S:
            return "goodbye"
        return "consent_lost" if now_s - self.heard_s > CONSENT_LOST_S else None
