"""Publishers that are nobody's browser: FFmpeg's WHIP muxer as it comes, beside aiortc's stock client."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import imageio_ffmpeg
import pytest

from app.streams.relay import flight
from app.streams.relay.dtls import Handshake
from tests.protocol.media_peers import Publisher, Viewer
from tests.protocol.media_site import MediaSite, media_site, publishing

SIZE = "320x180"
MOVING = f"testsrc2=size={SIZE}:rate=15,hue=h=24*n"  # without hue a pixel may stay as it is for seconds
PLAIN, PLAIN_RGB = f"color=c=0xC86432:size={SIZE}:rate=15", (200, 100, 50)


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


@contextlib.asynccontextmanager
async def ffmpeg(
    site: MediaSite, show: str, key: str, *options: str, picture: str = MOVING
) -> AsyncIterator[asyncio.subprocess.Process]:
    """FFmpeg on air with a picture that moves and a tone; ended politely."""
    process = await asyncio.create_subprocess_exec(
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-loglevel", "warning", "-re", "-f", "lavfi", "-i", picture, "-re", "-f", "lavfi", "-i", "sine=440"),
        *("-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency"),
        *("-pix_fmt", "yuv420p", "-bf", "0", "-g", "15", "-threads", "1"),
        *("-c:a", "libopus", "-ar", "48000", "-ac", "2"),
        *("-f", "whip", "-authorization", key, *options, f"{site.url}/whip/{show}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def sees_plain(viewer: Viewer) -> None:
    """Returns once three pictures in a row are PLAIN."""
    seen = 0
    async with asyncio.timeout(25):
        while seen < 3:
            picture = await viewer.pictures.get()
            near = all(abs(one - other) < 12 for one, other in zip(picture, PLAIN_RGB, strict=True))
            seen = seen + 1 if near else 0


@pytest.mark.parametrize("options", [(), ("-whip_flags", "dtls_active")])
async def test_ffmpeg_publishes_and_ends_its_session_itself(site: MediaSite, monkeypatch, options: tuple[str, ...]):
    """As from afar: what of the handshake went again until its first packet came had FFmpeg all but stop sending."""
    monkeypatch.setattr(flight, "FLIGHT_WAIT_S", 0.01)
    monkeypatch.setattr(Handshake, "proven", lambda _: None)
    show, key = await site.show()
    async with ffmpeg(site, show, key, *options) as process:
        await publishing(site, show)
        async with Viewer(site.http) as viewer:
            assert (await viewer.watch(show)).status_code == 201
            seen = await viewer.see(20)
            assert len(set(seen)) > 3, "the picture moves"
        figures = await site.control.show(show)
        assert figures.codec == "H264"
        assert process.stdin is not None
        process.stdin.write(b"q")
        await process.stdin.drain()
        await publishing(site, show, wanted=False)
        async with asyncio.timeout(60):
            assert await process.wait() == 0, (await process.stderr.read()).decode() if process.stderr else ""


async def test_an_encoder_that_is_killed_and_started_again_is_seen_in_the_sessions_that_viewers_have(
    site: MediaSite, monkeypatch, record_property
):
    """Until the killed one has been silent for a moment the new one is refused; whoever minds it starts it again."""
    monkeypatch.setattr("app.streams.relay.publish_rules.PUBLISHER_SILENT_S", 0.1)
    show, key = await site.show()
    async with ffmpeg(site, show, key) as killed, Viewer(site.http) as viewer, contextlib.AsyncExitStack() as again:
        await publishing(site, show)
        await viewer.watch(show)
        await viewer.see(3)
        killed.kill()
        await killed.wait()
        killed_s = time.monotonic()
        seeing = asyncio.create_task(sees_plain(viewer))
        while not seeing.done():
            process = await again.enter_async_context(ffmpeg(site, show, key, picture=PLAIN))
            await asyncio.wait({seeing, asyncio.create_task(process.wait())}, return_when=asyncio.FIRST_COMPLETED)
        await seeing
        record_property("back_ms", round((time.monotonic() - killed_s) * 1000))
        assert (await site.http.get(viewer.session)).status_code == 204
        assert (await site.control.show(show)).viewers == 1


async def test_ffmpeg_takes_over_from_an_encoder_that_has_the_same_key_and_viewers_stay(site: MediaSite):
    show, key = await site.show()
    first = Publisher(site.http, codec="video/H264")
    assert (await first.publish(show, key)).status_code == 201
    await publishing(site, show)
    async with Viewer(site.http) as viewer:
        await viewer.watch(show)
        await viewer.see(3, tint=40)
        await first.peer.close()
        await publishing(site, show, wanted=False)
        async with ffmpeg(site, show, key):
            await publishing(site, show)
            while not viewer.pictures.empty():
                viewer.pictures.get_nowait()
            assert len(set(await viewer.see(20))) > 3
