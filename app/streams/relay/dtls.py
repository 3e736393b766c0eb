"""DTLS-SRTP for one session by aiortc's RTCDtlsTransport, which is fed DTLS datagrams alone and gives the SRTP keys.

Owns all uses of aiortc's private names; tests/protocol/test_aiortc_contract.py lists them. RTP and RTCP never pass
through here: the relay takes the SRTP sessions and does those itself.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pylibsrtp
from aiortc.rtcdtlstransport import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AES128_CM_SHA1_80,
    X509_DIGEST_ALGORITHMS,
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
)
from cryptography.x509 import InvalidVersion
from OpenSSL import SSL
from pylibsrtp._binding import ffi

from app.streams.relay.flight import Flight
from app.streams.relay.limits import HANDSHAKE_QUEUE_MAX

# As the passive side we pick, and AES-128-GCM is the quickest by far where the processor knows AES.
PROFILES: Final = [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80]

_OVERHEAD: Final = {SRTP_AEAD_AES_128_GCM.openssl_profile: 16, SRTP_AES128_CM_SHA1_80.openssl_profile: 10}

# In packets. Ours is moved along with each packet that each viewer is sent, and needs room for what is sent late alone.
_WINDOW_IN: Final = 1_024
WINDOW_OUT: Final = 512

_PACKET_BYTES_MAX: Final = 1_500  # as pylibsrtp has it
_PASSED_OVER: Final = b"\0"  # neither DTLS nor media: the transport passes it over
_FAREWELL_BYTES_MAX: Final = 256

# What a peer can make the handshake raise. OpenSSL takes certificates that `cryptography` then refuses to read.
_PEER_FAILURES: Final = (SSL.Error, pylibsrtp.Error, InvalidVersion, ValueError)


class Certificate(RTCCertificate):
    """The process's certificate. Its SSL context is made once: a fresh one costs 0.4 ms a join."""

    _context: SSL.Context | None = None
    _sha256: str | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
            self._context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        return self._context

    @property
    def sha256(self) -> tuple[str, str]:
        """The fingerprint for the answer."""
        if self._sha256 is None:
            self._sha256 = next(one.value for one in self.getFingerprints() if one.algorithm == "sha-256")
        return "sha-256", self._sha256


class _Wire:
    """What RTCDtlsTransport takes for its ICE transport: datagrams in by a bounded queue, out by a call."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None], *, last_once: bool) -> None:
        self.flight = Flight(send, last_once=last_once)
        self.mute = False  # the peer has all of ours: OpenSSL would only answer what came twice
        self._in: deque[bytes] = deque(maxlen=HANDSHAKE_QUEUE_MAX)
        self._asked: asyncio.Future[bytes] | None = None
        self._ended = False

    def feed(self, datagram: bytes) -> None:
        """A datagram that came. A full queue drops one, as a network would."""
        self.flight.answered()
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(datagram)
        else:
            self._in.append(datagram)

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(_PASSED_OVER)  # and the next is asked for

    def _recv(self) -> asyncio.Future[bytes]:
        """The next datagram: a future, which asyncio.wait_for needs no task to wait for. ConnectionError after the end,
        raised here: one that a future holds knows who waited for it.
        """
        if self._ended:
            raise ConnectionError
        self._asked = asyncio.get_running_loop().create_future()
        if self._in:
            self._asked.set_result(self._in.popleft())
        return self._asked

    async def _send(self, data: bytes) -> None:
        if not self.mute:
            self.flight.send(data)


class _Transport(RTCDtlsTransport):
    """aiortc's, which makes and formats for each session what is the same for all: a tenth of a millisecond a join."""

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803 as it is called there
        """Every fingerprint of a digest that is known must be the peer's certificate's, and there must be one."""
        assert self._ssl is not None
        shown = self._ssl.get_peer_certificate(as_cryptography=True)
        known = [one for one in remoteParameters.fingerprints if one.algorithm.lower() in X509_DIGEST_ALGORITHMS]
        proven = shown is not None and all(
            shown.fingerprint(X509_DIGEST_ALGORITHMS[one.algorithm.lower()]).hex(":") == one.value.lower()
            for one in known
        )
        if not known or not proven:
            self._set_state(State.FAILED)

    def _setup_srtp(self) -> None:
        """The keys of both directions, by RFC 5764, section 4.2."""
        assert self._ssl is not None
        chosen = self._ssl.get_selected_srtp_profile()
        profile = next((one for one in self._srtp_profiles if one.openssl_profile == chosen), None)
        if profile is None:
            self._set_state(State.FAILED)
            return
        size = 2 * (profile.key_length + profile.salt_length)
        secret = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
        ours, theirs = (1, 0) if self._role == "server" else (0, 1)
        self._rx_srtp = _keyed(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND, secret, theirs)
        self._tx_srtp = _keyed(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, secret, ours)


@cache
def _policy(profile: SRTPProtectionProfile, direction: int) -> pylibsrtp.Policy:
    policy = pylibsrtp.Policy(ssrc_type=direction, srtp_profile=profile.libsrtp_profile)
    policy.allow_repeat_tx = True
    policy.window_size = WINDOW_OUT if direction == pylibsrtp.Policy.SSRC_ANY_OUTBOUND else _WINDOW_IN
    return policy


def _keyed(profile: SRTPProtectionProfile, direction: int, secret: bytes, side: int) -> pylibsrtp.Session:
    policy = _policy(profile, direction)
    policy.key = profile.get_key_and_salt(secret, side)
    session = pylibsrtp.Session(policy)  # which has copied the key
    policy.key = None
    session._cdata, session._buffer = _room()  # noqa: SLF001
    return session


@cache
def _room() -> tuple[Any, Any]:
    """Where packets are encrypted one at a time: nothing stays there, so one for all sessions is enough."""
    room = ffi.new("char[]", _PACKET_BYTES_MAX)
    return room, ffi.buffer(room)


def _nowhere(_: bytes) -> None:
    """Where a session sends that has ended."""


class Handshake:
    """One session's DTLS. After run() has returned True, `receiving` and `sending` are its SRTP sessions.

    What is let go of is in no circle: a circle would be freed by the collector, which thousands of sessions keep from
    coming round for minutes, and OpenSSL's part of one is more than all the rest of a session.
    """

    def __init__(
        self,
        certificate: Certificate,
        fingerprints: tuple[tuple[str, str], ...],
        send: Callable[[bytes], None],
        *,
        begins: bool,
        last_once: bool = False,
    ) -> None:
        """`begins`: we send the first flight, because the peer's offer said that it waits (setup:passive). `last_once`:
        see Flight.
        """
        self._send = send
        self._wire: _Wire | None = _Wire(send, last_once=last_once)
        self._farewell = b""
        self._transport: RTCDtlsTransport | None = _Transport(self._wire, [certificate])  # type: ignore[arg-type]
        self._transport._srtp_profiles = PROFILES  # noqa: SLF001
        self._transport._set_role("client" if begins else "server")  # noqa: SLF001
        self._mutes = begins and last_once  # their Finished, the last, says that ours came
        self._theirs = RTCDtlsParameters([RTCDtlsFingerprint(*one) for one in fingerprints], "auto")
        self.receiving: pylibsrtp.Session | None = None
        self.sending: pylibsrtp.Session | None = None
        self.overhead = 0  # bytes by which an RTP packet grows under `sending`

    @property
    def settled(self) -> bool:
        """Whether all that belongs to DTLS is let go of, which is most of a session's memory."""
        return self._transport is None

    def feed(self, datagram: bytes) -> None:
        """A datagram whose first byte says DTLS (20..63)."""
        if self._wire is not None:
            self._wire.feed(datagram)

    async def run(self) -> bool:
        """Shakes hands; True when the peer proved the offer's fingerprint and both sides have keys."""
        transport, wire = self._transport, self._wire
        assert transport is not None
        assert wire is not None
        try:
            await transport.start(self._theirs)
        except _PEER_FAILURES:
            return False
        if transport.state != "connected":
            return False
        wire.mute = self._mutes
        self.receiving = transport._rx_srtp  # noqa: SLF001
        self.sending = transport._tx_srtp  # noqa: SLF001
        assert transport._ssl is not None  # noqa: SLF001
        self.overhead = _OVERHEAD[transport._ssl.get_selected_srtp_profile()]  # noqa: SLF001
        return True

    def when_closed(self, tell: Callable[[], None]) -> None:
        """Has `tell` called once the peer says goodbye (close_notify), for as long as this is not settled."""
        transport = self._transport
        assert transport is not None

        def changed() -> None:
            if transport._state in {State.CLOSED, State.FAILED}:  # noqa: SLF001
                tell()

        transport.on("statechange", changed)

    def proven(self) -> None:
        """The peer has shown to have its keys: it got all of ours, and nothing need be sent again."""
        if self._wire is not None:
            self._wire.flight.stop()

    def settle(self) -> None:
        """Lets go of everything but the SRTP keys. Only for a peer that has shown to have its own: it needs no flight
        of ours again. Our goodbye is written now and kept.
        """
        transport, wire = self._let_go()
        if transport is None or wire is None:
            return
        wire.flight.stop()
        transport.remove_all_listeners()
        assert transport._ssl is not None  # noqa: SLF001
        with contextlib.suppress(SSL.Error):
            transport._ssl.shutdown()  # noqa: SLF001
            self._farewell = transport._ssl.bio_read(_FAREWELL_BYTES_MAX)  # noqa: SLF001
        # What cancels the task tells it where, which is within the transport.
        reading, transport._task = transport._task, None  # noqa: SLF001
        if reading is not None:
            reading.cancel()

    async def stop(self) -> None:
        """Says goodbye and lets go of everything."""
        transport, wire = self._let_go()
        if self._farewell:
            self._send(self._farewell)
        self._send = _nowhere
        if transport is None or wire is None:
            return
        wire.flight.stop()
        wire.mute = False
        transport.remove_all_listeners()
        await transport.stop()
        wire.end()

    def _let_go(self) -> tuple[RTCDtlsTransport | None, _Wire | None]:
        """What DTLS needed, for the last time."""
        gone = self._transport, self._wire
        self._transport = self._wire = None
        return gone
