"""Publishers and viewers for the media tests: aiortc peers that speak WHIP and WHEP to a site as any client would."""

import asyncio
import contextlib
from fractions import Fraction

import av
import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from PIL import Image

from app.streams.synthetic_host import offer_loopback

SDP = {"Content-Type": "application/sdp"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Colours(VideoStreamTrack):
    """A plain picture whose red grows by 8 a frame; green and blue say whose it is. `size` may change under way."""

    def __init__(self, tint: int) -> None:
        super().__init__()
        self.tint = tint
        self.size = (160, 120)
        self.frames = 0

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        colour = (self.frames * 8 % 256, self.tint, self.tint)
        self.frames += 1
        frame = av.VideoFrame.from_image(Image.new("RGB", self.size, colour))
        frame.pts, frame.time_base = pts, Fraction(time_base)
        return frame


class Client:
    """One WebRTC peer and its session."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        offer_loopback()
        self.http = http
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.session = ""
        self.etag = ""

    async def offer(self) -> str:
        """The local offer, with all candidates."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def post(self, path: str, **headers: str) -> httpx.Response:
        """Asks for a session; takes the answer when there is one."""
        answer = await self.http.post(path, content=await self.offer(), headers={**SDP, **headers})
        if answer.status_code == 201:
            self.session, self.etag = answer.headers["Location"], answer.headers["ETag"]
            await self.peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        return answer

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        await self.peer.close()


class Publisher(Client):
    """Sends Colours and silence; silence alone without a codec."""

    def __init__(self, http: httpx.AsyncClient, tint: int = 40, codec: str | None = "video/VP8") -> None:
        super().__init__(http)
        self.track = Colours(tint)
        if codec is not None:
            transceiver = self.peer.addTransceiver(self.track, "sendonly")
            known = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([one for one in known if one.mimeType in {codec, "video/rtx"}])
        self.peer.addTransceiver(AudioStreamTrack(), "sendonly")

    async def publish(self, show: str, key: str, query: str = "") -> httpx.Response:
        """POSTs with the show's stream key."""
        return await self.post(f"/whip/{show}{query}", **bearer(key))


class Viewer(Client):
    """Decodes what it is sent and keeps count."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        self.pictures: asyncio.Queue[tuple[int, int, int]] = asyncio.Queue()
        self.size = (0, 0)
        self.sounds = 0
        self._pumps: list[asyncio.Task[None]] = []
        self.peer.addTransceiver("video", "recvonly")
        self.peer.addTransceiver("audio", "recvonly")
        self.peer.on("track", lambda track: self._pumps.append(asyncio.create_task(self._pump(track))))

    async def _pump(self, track) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self.size = frame.width, frame.height
                    self.pictures.put_nowait(frame.to_image().getpixel((80, 60)))
                else:
                    self.sounds += 1

    async def watch(self, show: str) -> httpx.Response:
        """POSTs as anybody."""
        return await self.post(f"/whep/{show}")

    async def see(self, count: int, tint: int | None = None) -> list[tuple[int, int, int]]:
        """The next `count` pictures, of a publisher with that tint if one is named."""
        seen = []
        async with asyncio.timeout(60):
            while len(seen) < count:
                picture = await self.pictures.get()
                if tint is None or abs(picture[1] - tint) < 12:
                    seen.append(picture)
        return seen

    async def __aexit__(self, *_) -> None:
        await self.peer.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
