"""The demo's synthetic host: a generated picture and tone, published by real WebRTC through our own WHIP endpoint.

Owns one publisher that gives way to any person and comes back when the stage is free. It sleeps, encoding nothing,
while nobody watches: the relay says PLI when a viewer comes and REMB each second while one is there, and both are
all that it listens for. It proves itself with the secret of app/streams/synthetic_key.py, a file in the data folder
that the web role reads too: its process needs the same HAWKER_DATA, and nothing else.
"""

import asyncio
import ssl
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import aioice.ice
import av
import httpx
import structlog
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_FIR, RTCP_PSFB_PLI, RtcpPsfbPacket

from app import clock
from app.settings import Settings
from app.streams.synthetic_key import DEMO_SHOW, synthetic_key
from app.streams.synthetic_picture import PACKET_S, TONE_RATE, Studio, tone

SLEEPS_AFTER_S: Final = 3.0  # without a sign from the relay, which gives one each second while somebody watches
LOOKS_EVERY_S: Final = 1.0
RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 5.0
_VIDEO_CLOCK: Final = Fraction(1, 90_000)
_ANYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared, not bound
_SIGNS: Final = frozenset({RTCP_PSFB_PLI, RTCP_PSFB_FIR, RTCP_PSFB_APP})

log = structlog.get_logger("hawker.synthetic_host")


class Wakefulness:
    """Whether somebody watches, as far as the relay's signs tell."""

    def __init__(self) -> None:
        self._awake = asyncio.Event()
        self._sign_s = float("-inf")
        self.on_wake: Callable[[], None] = lambda: None

    def sign(self) -> None:
        """Somebody is there."""
        self._sign_s = clock.monotonic_s()
        if not self._awake.is_set():
            self.on_wake()
            self._awake.set()

    async def wait(self) -> bool:
        """Returns when somebody watches; True when that had to be waited for."""
        if self._awake.is_set() and clock.monotonic_s() - self._sign_s > SLEEPS_AFTER_S:
            self._awake.clear()
        slept = not self._awake.is_set()
        await self._awake.wait()
        return slept


class _Track(MediaStreamTrack):
    """A track that keeps a pace while awake. Its time goes on while it sleeps, as a camera's would."""

    def __init__(self, wakefulness: Wakefulness, period_s: float, began_s: float) -> None:
        super().__init__()
        self._wakefulness = wakefulness
        self._period_s = period_s
        self._began_s = self._next_s = began_s

    async def _pace(self) -> float:
        """Waits for the next frame's time; seconds since the beginning."""
        slept = await self._wakefulness.wait()
        now_s = clock.monotonic_s()
        if slept or now_s - self._next_s > 1:  # at once, rather than all that was missed
            self._next_s = now_s
        elif now_s < self._next_s:
            await asyncio.sleep(self._next_s - now_s)
        due_s = self._next_s
        self._next_s += self._period_s
        return due_s - self._began_s


class StudioTrack(_Track):
    """The picture."""

    kind = "video"

    def __init__(self, wakefulness: Wakefulness, studio: Studio, frames_per_s: int, began_s: float) -> None:
        super().__init__(wakefulness, 1 / frames_per_s, began_s)
        self._studio = studio
        self.frames = 0

    async def recv(self) -> av.VideoFrame:
        """The next frame."""
        at_s = await self._pace()
        frame = self._studio.frame(clock.now_ms())
        frame.pts, frame.time_base = round(at_s / _VIDEO_CLOCK), _VIDEO_CLOCK
        self.frames += 1
        return frame


class ToneTrack(_Track):
    """The tone, in packets that are encoded already."""

    kind = "audio"

    def __init__(self, wakefulness: Wakefulness, packets: list[bytes], began_s: float) -> None:
        super().__init__(wakefulness, PACKET_S, began_s)
        self._packets = packets

    async def recv(self) -> av.Packet:
        """The next 20 ms."""
        at_s = await self._pace()
        place = round(at_s / PACKET_S)
        packet = av.Packet(self._packets[place % len(self._packets)])
        packet.pts, packet.time_base = place * round(PACKET_S * TONE_RATE), Fraction(1, TONE_RATE)
        return packet


def offer_loopback() -> None:
    """Has aioice offer 127.0.0.1, which it leaves out. The one place that does; a contract test watches it."""
    addresses = aioice.ice.get_host_addresses
    if getattr(addresses, "with_loopback", False):
        return

    def with_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["127.0.0.1", *addresses(use_ipv4, use_ipv6)]

    with_loopback.with_loopback = True  # type: ignore[attr-defined]
    aioice.ice.get_host_addresses = with_loopback


def heed_signs(sender: RTCRtpSender, wakefulness: Wakefulness) -> None:
    """Tells `wakefulness` of the relay's PLI and REMB. REMB goes no further: 360p needs no more bits than it has, and
    a new bitrate would begin a new encoder with a key frame.
    """
    inner = sender._handle_rtcp_packet  # noqa: SLF001

    async def heed(packet: Any) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in _SIGNS:
            wakefulness.sign()
            if packet.fmt == RTCP_PSFB_APP:
                return
        await inner(packet)

    sender._handle_rtcp_packet = heed  # type: ignore[method-assign]  # noqa: SLF001


class SyntheticHost:
    """Publishes in the demo show for as long as run() is not cancelled."""

    def __init__(self, settings: Settings) -> None:
        host = "127.0.0.1" if settings.host in _ANYWHERE else settings.host
        scheme = "https" if settings.secure else "http"
        self._url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}/whip/{DEMO_SHOW}"
        self._headers = {"Authorization": f"Bearer {synthetic_key(settings)}"}
        self._verify = _trusts_own_certificate(settings) if settings.secure else True
        self._studio = Studio()
        self._frames_per_s = settings.demo_frames_per_s
        self._tone = tone()

    async def run(self) -> None:
        """Comes, goes and comes back."""
        offer_loopback()
        async with httpx.AsyncClient(headers=self._headers, verify=self._verify, timeout=5) as http:
            while True:
                await asyncio.sleep(await self._publish(http))

    async def _publish(self, http: httpx.AsyncClient) -> float:
        """One session from offer to end; how long to wait before the next try."""
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # the default would ask a stranger's STUN server
        try:
            self._add_tracks(peer)
            await peer.setLocalDescription(await peer.createOffer())
            try:
                answer = await http.post(
                    self._url, content=peer.localDescription.sdp, headers={"Content-Type": "application/sdp"}
                )
            except httpx.TransportError:
                return RETRY_S
            if answer.status_code != 201:
                return _patience_s(answer)
            await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            await self._stay(http, httpx.URL(self._url).join(answer.headers["Location"]))
            return 0.0
        finally:
            await peer.close()

    def _add_tracks(self, peer: RTCPeerConnection) -> None:
        wakefulness = Wakefulness()
        began_s = clock.monotonic_s()
        video = peer.addTransceiver(
            StudioTrack(wakefulness, self._studio, self._frames_per_s, began_s), "sendonly"
        ).sender
        audio = peer.addTransceiver(ToneTrack(wakefulness, self._tone, began_s), "sendonly").sender
        # Whoever wakes it needs a picture that needs no other.
        wakefulness.on_wake = video._send_keyframe  # noqa: SLF001
        for sender in (video, audio):
            heed_signs(sender, wakefulness)

    async def _stay(self, http: httpx.AsyncClient, session: httpx.URL) -> None:
        """Returns when the session has ended: somebody took over, or a role was started again."""
        log.info("synthetic_host.publishes")
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            try:
                answer = await http.get(session)
            except httpx.TransportError:
                continue  # the web role is away; the session may well live
            if answer.status_code == 404:
                log.info("synthetic_host.gives_way")
                return


def _patience_s(answer: httpx.Response) -> float:
    after = answer.headers.get("Retry-After", "")
    return min(RETRY_MAX_S, max(RETRY_S, float(after))) if after.isdecimal() else RETRY_MAX_S


def _trusts_own_certificate(settings: Settings) -> ssl.SSLContext:
    """Our own site's certificate and no other: it is often self-signed, and for another name than loopback."""
    context = ssl.create_default_context(cafile=settings.tls_cert)
    context.check_hostname = False
    return context


async def run_synthetic_host(settings: Settings) -> None:
    """The synthetic host until cancelled. It waits by itself until the web role answers."""
    await SyntheticHost(settings).run()
