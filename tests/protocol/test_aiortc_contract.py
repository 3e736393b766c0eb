"""What we use of aiortc, aioice and pylibsrtp without their promise. A new version that breaks one of these breaks
here first, by name.
"""

import inspect
import re
import subprocess
import sys

import aioice.ice
import aiortc
import pylibsrtp
from aiortc import RTCPeerConnection
from aiortc.rtcdtlstransport import SRTP_AES128_CM_SHA1_80, RTCCertificate, RTCDtlsTransport, State
from aiortc.rtcrtpsender import RTCRtpSender
from pylibsrtp._binding import ffi, lib

from app.streams.relay.dtls import _OVERHEAD, _PACKET_BYTES_MAX, PROFILES, Certificate, Handshake
from app.streams.synthetic_host import Wakefulness, heed_signs, offer_loopback
from tests.running import ROOT


def test_the_version_that_this_was_written_for():
    assert aiortc.__version__.split(".")[:2] == ["1", "16"]


def test_the_dtls_transport_asks_its_ice_transport_for_three_things():
    source = inspect.getsource(RTCDtlsTransport)
    uses = set(re.findall(r"self\.transport\.(\w+)", source))
    assert uses == {"role", "_recv", "_send"}


async def test_the_names_of_the_dtls_transport_that_we_set_and_read():
    transport = Handshake(Certificate.generateCertificate(), (), lambda _: None, begins=True)._transport
    assert transport._srtp_profiles is PROFILES
    assert transport._role == "client"
    assert transport._rx_srtp is transport._tx_srtp is None
    assert transport._state is State.NEW
    assert transport.state == "new"
    assert "statechange" in inspect.getsource(RTCDtlsTransport._set_state)


def test_the_ssl_context_is_made_by_the_method_that_we_cache():
    assert list(inspect.signature(RTCCertificate._create_ssl_context).parameters) == ["self", "srtp_profiles"]
    certificate = Certificate.generateCertificate()
    assert certificate._create_ssl_context(PROFILES) is certificate._create_ssl_context(PROFILES)
    assert certificate.sha256[0] == "sha-256"


def test_an_srtp_session_takes_packets_up_to_our_bound():
    policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    session = pylibsrtp.Session(policy)
    assert len(session._cdata) == len(session._buffer) == _PACKET_BYTES_MAX
    assert session.protect(b"\x80\x60" + bytes(10) + bytes(1_340))


def test_an_srtp_session_is_a_pointer_that_its_library_encrypts_with_in_place():
    """app/streams/relay/batch.py calls the library past pylibsrtp's own methods."""
    policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    twins = [pylibsrtp.Session(policy) for _ in range(2)]
    packet = b"\x80\x60" + bytes(50)
    room, size = ffi.new("char[]", packet + bytes(20)), ffi.new("int *", len(packet))
    assert lib.srtp_protect(twins[0]._srtp[0], room, size) == 0
    assert ffi.buffer(room, size[0])[:] == twins[1].protect(packet)
    assert size[0] == len(packet) + _OVERHEAD[SRTP_AES128_CM_SHA1_80.openssl_profile]
    assert "get_selected_srtp_profile" in inspect.getsource(RTCDtlsTransport._setup_srtp)


async def test_the_sender_hands_every_rtcp_packet_to_the_method_that_we_wrap():
    peer = RTCPeerConnection()
    sender = peer.addTransceiver("video", "sendonly").sender
    heed_signs(sender, Wakefulness())
    assert inspect.iscoroutinefunction(RTCRtpSender._handle_rtcp_packet)
    assert inspect.iscoroutinefunction(sender._handle_rtcp_packet)
    assert not inspect.iscoroutinefunction(sender._send_keyframe)
    assert "recipient._handle_rtcp_packet(packet)" in inspect.getsource(RTCDtlsTransport._handle_rtcp_data)
    await peer.close()


def test_aioice_offers_loopback_once_it_is_told_to():
    offer_loopback()
    offer_loopback()
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False).count("127.0.0.1") == 1
    assert "get_host_addresses(" in inspect.getsource(aioice.ice.Connection.gather_candidates)


def test_the_web_and_worker_roles_never_load_aiortc():
    code = "import sys, app.web_role, app.worker_role; sys.exit('aiortc' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
