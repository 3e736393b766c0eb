"""One session's DTLS against a client of OpenSSL's own, which shows certificates that no browser would."""

import asyncio
import contextlib
import gc
import hashlib
import weakref
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from app.streams.relay.dtls import WINDOW_OUT, Certificate, Handshake
from app.streams.relay.flight import _finishes
from app.streams.relay.limits import HANDSHAKE_SETTLES_AT_LATEST_S, LATE_MAX
from app.streams.relay.offer import Offer
from app.streams.relay.session import Credentials, Session
from tests.waiting import eventually_true

VERSION_3 = bytes.fromhex("a003020102")  # as DER has it: [0] { INTEGER 2 }


def certificate_of_version(number: int) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """A key, and its certificate in DER that claims the version field `number` (a sane one has 2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert der.count(VERSION_3) == 1
    return key, der.replace(VERSION_3, VERSION_3[:-1] + bytes([number]))


def client_of(key: ec.EllipticCurvePrivateKey, der: bytes) -> SSL.Connection:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, der))
    context.use_privatekey(crypto.PKey.from_cryptography_key(key))
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    client = SSL.Connection(context)
    client.set_connect_state()
    return client


async def shake_hands(client: SSL.Connection, handshake: Handshake, answers: asyncio.Queue[bytes]) -> None:
    """The client's half, for as long as it is not cancelled."""
    while True:
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            while True:
                handshake.feed(client.bio_read(1500))
        client.bio_write(await answers.get())


pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # the only way in for such


@pytest.mark.parametrize(("version", "connects"), [(2, True), (0, False), (1, False), (5, False)])
async def test_a_certificate_that_cannot_be_read_fails_its_own_session_alone(version: int, connects: bool):
    """Such a certificate raised out of the session's task, and the whole relay ended with it."""
    key, der = certificate_of_version(version)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    fingerprint = hashlib.sha256(der).digest().hex(":").upper()
    handshake = Handshake(
        Certificate.generateCertificate(), (("sha-256", fingerprint),), answers.put_nowait, begins=False
    )
    client = asyncio.create_task(shake_hands(client_of(key, der), handshake, answers))
    try:
        async with asyncio.timeout(60):
            assert await handshake.run() is connects
    finally:
        client.cancel()
        await handshake.stop()


@pytest.mark.parametrize(
    ("told", "connects"),
    [
        (["sha-256"], True),
        (["SHA-256", "sha-512"], True),
        (["sha-256", "md5"], True),
        (["md5"], False),
        (["sha-256", "-sha-512"], False),
        (["-sha-256"], False),
    ],
)
async def test_a_peer_must_show_the_certificate_that_its_offer_named(told: list[str], connects: bool):
    """Under each digest that is known, and under one at least. A minus: the offer names another certificate."""
    key, der = certificate_of_version(2)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    fingerprints = []
    for name in told:
        shown = b"another" if name.startswith("-") else der
        algorithm = name.removeprefix("-")
        digest = hashlib.new(algorithm.replace("-", "").lower(), shown, usedforsecurity=False)
        fingerprints.append((algorithm, digest.digest().hex(":").upper()))
    handshake = Handshake(Certificate.generateCertificate(), tuple(fingerprints), answers.put_nowait, begins=False)
    client = asyncio.create_task(shake_hands(client_of(key, der), handshake, answers))
    try:
        async with asyncio.timeout(60):
            assert await handshake.run() is connects
        assert (handshake.sending is not None) is connects
    finally:
        client.cancel()
        await handshake.stop()


async def shaken(
    certificate: Certificate, named: tuple[str, str] | None = None, *, connects: bool = True
) -> tuple[Handshake, Handshake]:
    """Both ends of a session, the relay's first, which was told of the fingerprint `named`."""

    def to_theirs(datagram: bytes) -> None:
        theirs.feed(datagram)

    ours = Handshake(certificate, (named or certificate.sha256,), to_theirs, begins=False)
    theirs = Handshake(certificate, (certificate.sha256,), ours.feed, begins=True)
    async with asyncio.timeout(60):
        assert await asyncio.gather(ours.run(), theirs.run()) == [connects, True]
    return ours, theirs


async def test_sessions_that_share_what_is_made_once_have_keys_of_their_own():
    certificate, packet = Certificate.generateCertificate(), b"\x80\x60" + bytes(60)
    ours, theirs = await shaken(certificate)
    other, far = await shaken(certificate)
    assert ours.sending is not None
    assert theirs.sending is not None
    assert theirs.receiving is not None
    assert ours.receiving is not None
    assert other.sending is not None
    sent = ours.sending.protect(packet)
    assert sent != other.sending.protect(packet)
    assert theirs.receiving.unprotect(sent) == packet
    assert ours.receiving.unprotect(theirs.sending.protect(packet)) == packet
    for one in (ours, theirs, other, far):
        await one.stop()


def test_what_may_come_late_from_a_publisher_has_room_in_the_window_under_which_it_is_sent():
    assert LATE_MAX < WINDOW_OUT


async def test_a_settled_session_keeps_nothing_but_its_keys_and_still_says_goodbye():
    key, der = certificate_of_version(2)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    fingerprint = hashlib.sha256(der).digest().hex(":").upper()
    handshake = Handshake(
        Certificate.generateCertificate(), (("sha-256", fingerprint),), answers.put_nowait, begins=False
    )
    client = client_of(key, der)
    shaking = asyncio.create_task(shake_hands(client, handshake, answers))
    async with asyncio.timeout(60):
        assert await handshake.run()
    shaking.cancel()
    handshake.settle()
    handshake.settle()
    handshake.feed(b"\x16 too late")
    assert handshake.settled
    assert handshake.sending is not None
    while not answers.empty():
        client.bio_write(answers.get_nowait())
    with contextlib.suppress(SSL.WantReadError):
        client.recv(100)
    await handshake.stop()
    client.bio_write(answers.get_nowait())
    with pytest.raises(SSL.ZeroReturnError):
        client.recv(100)


@pytest.mark.parametrize("comes", [b"", b"\x16 looks like DTLS"])
async def test_what_comes_from_a_peer_that_has_its_keys_holds_up_for_seconds_that_its_handshake_is_freed(comes: bytes):
    """A datagram now and then from its address kept some 60 KiB for as long as the session lived."""
    key, der = certificate_of_version(2)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    offer = Offer((), "their", "password", (("sha-256", hashlib.sha256(der).digest().hex(":").upper()),), waits=False)
    session = Session(
        "one",
        offer,
        Credentials("ours", "password", "tag"),
        certificate=Certificate.generateCertificate(),
        send=lambda data, _: answers.put_nowait(data),
        now_s=0.0,
    )
    session.address = ("127.0.0.1", 9)
    shaking = asyncio.create_task(shake_hands(client_of(key, der), session.handshake, answers))
    async with asyncio.timeout(60):
        assert await session.handshake.run()
    shaking.cancel()
    session.settle(1.0)
    assert not session.handshake.settled  # it has shown nothing yet
    session.handshake.receiving = Mock(unprotect=lambda data: data)
    assert session.open_rtp(b"authentic", 1.0)
    seen = []
    for tenth in range(10, 70):
        if comes:
            session.feed_handshake(comes, tenth / 10)
        session.settle(tenth / 10)
        seen.append(session.handshake.settled)
    assert seen.index(True) == (0 if not comes else round(10 * HANDSHAKE_SETTLES_AT_LATEST_S) + 1)
    await session.handshake.stop()


@pytest.mark.parametrize("ends", ["settled", "stopped", "refused", "never came"])
async def test_what_the_handshake_alone_needed_is_freed_at_once(ends: str):
    """OpenSSL's part of a session is most of it. In a circle it waited for the collector: half of a viewer's memory."""
    certificate = Certificate.generateCertificate()
    shown = certificate.sha256 if ends != "refused" else ("sha-256", ":".join(["00"] * 32))
    gc.disable()
    try:
        if ends == "never came":
            ours = Handshake(certificate, (shown,), lambda _: None, begins=True)
            running = asyncio.create_task(ours.run())
            await eventually_true(lambda: ours._transport._ssl is not None)
        else:
            ours, theirs = await shaken(certificate, shown, connects=ends != "refused")
            await theirs.stop()
        needed = weakref.ref(ours._transport._ssl)
        if ends == "settled":
            ours.settle()
        else:
            await ours.stop()
        if ends == "never came":
            assert not await running
            del running
        await eventually_true(lambda: needed() is None, what="OpenSSL's part is freed")
        assert (ours.sending is not None) is (ends in {"settled", "stopped"})
    finally:
        gc.enable()


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_a_flight_that_is_lost_goes_again_as_it_was_and_no_more_once_the_peer_has_its_keys(lost: int):
    """OpenSSL repeats itself after a second at first, and then under another record number."""
    key, der = certificate_of_version(2)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    sent: list[bytes] = []

    def lossy(datagram: bytes) -> None:
        sent.append(datagram)
        if len(sent) > lost:
            answers.put_nowait(datagram)

    fingerprint = hashlib.sha256(der).digest().hex(":").upper()
    handshake = Handshake(Certificate.generateCertificate(), (("sha-256", fingerprint),), lossy, begins=False)
    shaking = asyncio.create_task(shake_hands(client_of(key, der), handshake, answers))
    async with asyncio.timeout(60):
        assert await handshake.run()
    assert sent[:lost] == [sent[lost]] * lost
    last = len(sent)
    await eventually_true(lambda: len(sent) > last, what="the last flight goes again while nothing proves that it came")
    handshake.proven()
    assert handshake._wire.flight._timer is None
    shaking.cancel()
    await handshake.stop()


@pytest.mark.parametrize("begins", [False, True])
async def test_to_a_publisher_what_may_end_its_handshake_goes_once_and_all_before_it_again(monkeypatch, begins: bool):
    """FFmpeg stalls on any DTLS after its handshake."""
    monkeypatch.setattr("app.streams.relay.flight.FLIGHT_WAIT_S", 0.001)
    certificate = Certificate.generateCertificate()
    sent: list[bytes] = []

    def lossy(datagram: bytes) -> None:
        sent.append(datagram)
        if len(sent) > 3:
            theirs.feed(datagram)

    ours = Handshake(certificate, (certificate.sha256,), lossy, begins=begins, last_once=True)
    theirs = Handshake(certificate, (certificate.sha256,), ours.feed, begins=not begins)
    async with asyncio.timeout(60):
        assert await asyncio.gather(ours.run(), theirs.run()) == [True, True]
    assert sent[:3] == [sent[3]] * 3
    assert ours._wire.flight._timer is None, "nobody has proven anything yet"
    assert sum(map(_finishes, sent)) == 1
    for one in (ours, theirs):
        await one.stop()
