"""Real browsers on the relay: a Chromium with a fake camera publishes by our publisher.js, more watch by our
player.js, and the frames that they put on the screen are counted and compared.

Which flags WebRTC over loopback needs: none, as long as the machine has any interface beside `lo`. The answer is
ICE-lite with 127.0.0.1 in it, and the relay learns the browser's address from its checks, so neither mDNS names nor
missing loopback candidates on the browser's side matter. With `lo` alone Chromium finds no interface to send from
and needs `--allow-loopback-in-peer-connection` (test_media_without_network.py). The fake camera has flags of its
own in tests/journeys/browser.py.
"""

import asyncio

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.protocol.media_site import MediaSite, media_site
from tests.waiting import eventually


@pytest_asyncio.fixture(loop_scope="session")
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


async def open_page(browser: Browser, site: MediaSite) -> Page:
    page = await (await browser.new_context(permissions=["camera", "microphone"])).new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page threw {error}"))
    await page.goto(f"{site.url}/page")
    await page.wait_for_function("globalThis.Publisher !== undefined")
    return page


async def publish(page: Page, show: str, key: str, *, takeover: bool = False) -> None:
    await page.evaluate(
        """async ([show, key, takeover]) => {
          const headers = { Authorization: `Bearer ${key}` };
          globalThis.publisher = new Publisher({ endpoint: `/whip/${show}`, headers });
          await publisher.open("camera");
          await publisher.start({ takeover });
        }""",
        [show, key, takeover],
    )
    await page.wait_for_function("publisher.state === 'publishing'")


async def watch(page: Page, show: str) -> float:
    """Starts the player; milliseconds from its start to the first frame on the screen."""
    return await page.evaluate(
        """(show) => new Promise((resolve) => {
          const began = performance.now();
          globalThis.player = new Player(video, { endpoint: `/whep/${show}` });
          player.addEventListener("state", ({ detail }) => {
            if (detail.state === "playing") resolve(performance.now() - began);
          });
          player.start();
        })""",
        show,
    )


def changed(one: list[int], other: list[int]) -> int:
    """How many of the sampled bytes differ visibly."""
    return sum(abs(a - b) > 8 for a, b in zip(one, other, strict=True))


async def decoded(page: Page) -> int:
    return (await page.evaluate("player.stats()"))["frames_decoded"]


async def test_a_camera_reaches_two_viewers_whose_picture_moves(site: MediaSite, browser: Browser, record_property):
    show, key = await site.show()
    host, *viewers = [await open_page(browser, site) for _ in range(3)]
    await publish(host, show, key)
    for page in viewers:
        took_ms = await asyncio.wait_for(watch(page, show), 60)
        record_property("first_frame_ms", round(took_ms))
        before = await page.evaluate("sample()")
        seen = await page.evaluate("frames.length")
        await page.wait_for_function(f"frames.length >= {seen + 20}")

        async def moved(page=page, before=before) -> bool:
            return changed(before, await page.evaluate("sample()")) > 20

        await eventually(moved, what="the picture to change")
        assert await decoded(page) >= 20


# A camera that is a drawing of ours, so that it can be turned; and a screen, which no headless browser has.
DRAWN = """
  const canvas = document.createElement("canvas");
  globalThis.turn = (width, height) => [canvas.width, canvas.height] = [width, height];
  turn(640, 360);
  setInterval(() => {
    const context = canvas.getContext("2d");
    context.fillStyle = `hsl(${performance.now() / 5 % 360} 80% 50%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 33);
  const sound = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
  navigator.mediaDevices.getUserMedia = async () =>
    new MediaStream([...canvas.captureStream(30).getVideoTracks(), ...sound.map((one) => one.clone())]);
  const screen = document.createElement("canvas");
  [screen.width, screen.height] = [1000, 700];
  navigator.mediaDevices.getDisplayMedia = async () => {
    setInterval(() => screen.getContext("2d").fillRect(Math.random() * 1000, Math.random() * 700, 9, 9), 33);
    return screen.captureStream(30);
  };
"""


async def is_as_large_as(page: Page, width: int, height: int) -> None:
    """Waits until the picture on the screen has this shape (its encoder may make it smaller), and moves."""
    await page.wait_for_function(
        f"Math.abs(video.videoWidth / video.videoHeight - {width / height}) < 0.02 && video.videoWidth <= {width}"
    )
    seen = await page.evaluate("frames.length")
    await page.wait_for_function(f"frames.length > {seen + 3}")


async def test_a_camera_that_is_turned_off_and_on_or_is_a_screen_is_what_viewers_see(site: MediaSite, browser: Browser):
    show, key = await site.show()
    host, viewer = await open_page(browser, site), await open_page(browser, site)
    await host.evaluate(f"async () => {{ {DRAWN} }}")
    await publish(host, show, key)
    await watch(viewer, show)
    sessions = (await site.control.stats()).sessions
    await is_as_large_as(viewer, 640, 360)
    await host.evaluate("turn(360, 640)")
    await is_as_large_as(viewer, 360, 640)

    await host.evaluate("publisher.camera = false; publisher.microphone = false")
    await viewer.wait_for_function("player.state === 'listening'")
    late = await open_page(browser, site)
    await late.evaluate(
        "(show) => { globalThis.player = new Player(video, { endpoint: `/whep/${show}` }); player.start(); }", show
    )
    await late.wait_for_function("player.state === 'listening'")
    assert await late.evaluate("frames.length") == 0, "no old picture"

    async def dark() -> bool:
        return (await site.control.show(show)).fps == 0

    await eventually(dark, what="no picture comes any more")
    await host.evaluate("publisher.camera = true")
    for page in (viewer, late):
        await page.wait_for_function("player.state === 'playing'")

    await host.evaluate("publisher.open('screen')")
    await is_as_large_as(viewer, 1000, 700)
    await host.evaluate("turn(640, 360); publisher.open('camera')")
    await is_as_large_as(late, 640, 360)
    assert await host.evaluate("[publisher.camera, publisher.microphone]") == [True, False], "still silent"
    assert (await site.control.stats()).sessions == sessions + 1, "all in the same sessions"


async def test_viewers_stay_while_the_host_stops_and_comes_back(site: MediaSite, browser: Browser):
    show, key = await site.show()
    host, viewer = await open_page(browser, site), await open_page(browser, site)
    await publish(host, show, key)
    await watch(viewer, show)
    sessions = (await site.control.stats()).sessions
    await host.evaluate("publisher.stop()")
    await viewer.wait_for_function("player.state === 'stalled'")
    await publish(host, show, key)
    await viewer.wait_for_function("player.state === 'playing'")
    assert (await site.control.stats()).sessions == sessions


ONLY_H264 = """
const plain = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (track, init) {
  const made = plain.call(this, track, init);
  const known = RTCRtpSender.getCapabilities("video").codecs;
  globalThis.knowsH264 = known.some(({ mimeType }) => mimeType === "video/H264");
  if (track.kind === "video" && knowsH264)
    made.setCodecPreferences(known.filter(({ mimeType }) => /h264|rtx/i.test(mimeType)));
  return made;
};"""


async def test_a_host_who_reloads_the_page_is_back_in_the_same_room(site: MediaSite, browser: Browser, record_property):
    """In H264, where this Chromium can encode it; the tests above are in VP8, which it offers first."""
    show, key = await site.show()
    host, viewer = await open_page(browser, site), await open_page(browser, site)
    await host.add_init_script(ONLY_H264)
    await host.reload()
    await host.wait_for_function("globalThis.Publisher !== undefined")
    await publish(host, show, key)
    await watch(viewer, show)
    sessions = (await site.control.stats()).sessions
    await host.reload()
    await host.wait_for_function("globalThis.Publisher !== undefined")
    seen = await viewer.evaluate("frames.length")
    await publish(host, show, key, takeover=True)
    await viewer.wait_for_function(f"player.state === 'playing' && frames.length > {seen + 20}")
    longest_ms = await viewer.evaluate("Math.max(...frames.slice(1).map((at, place) => at - frames[place]))")
    record_property("without_a_picture_ms", round(longest_ms))
    assert (await site.control.stats()).sessions == sessions
    await host.wait_for_function("publisher.stats().then(({ height }) => height === 720)")
    codec = "H264" if await host.evaluate("knowsH264") else "VP8"

    async def arrives() -> bool:
        figures = await site.control.show(show)
        return (figures.codec, figures.width, figures.height) == (codec, 1280, 720)

    await eventually(arrives, what=f"720p in {codec}")


async def test_a_viewer_that_came_too_early_sees_the_show_begin(site: MediaSite, browser: Browser):
    show, key = await site.show("scheduled")
    host, viewer = await open_page(browser, site), await open_page(browser, site)
    await viewer.evaluate(
        "(show) => { globalThis.player = new Player(video, { endpoint: `/whep/${show}` }); player.start(); }", show
    )
    await viewer.wait_for_function("player.state === 'waiting'")
    await publish(host, show, key)
    await site.pg.execute("UPDATE shows SET state = 'live' WHERE id = $1", show)
    await viewer.wait_for_function("player.state === 'playing'")


async def test_who_gets_no_connection_tries_again_by_the_turn_servers_that_the_answer_named(
    site: MediaSite, browser: Browser
):
    show, key = await site.show()
    host, viewer = await open_page(browser, site), await open_page(browser, site)
    await publish(host, show, key)

    async def behind_a_firewall(route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        answer = await route.fetch()
        link = '<turn:127.0.0.1:9>; rel="ice-server"; username="u"; credential="c"; credential-type="password"'
        body = (await answer.text()).replace(f" {site.settings.media_port} typ host", " 9 typ host")
        await route.fulfill(response=answer, body=body, headers={**answer.headers, "link": link})

    await viewer.route("**/whep/**", behind_a_firewall)
    await viewer.evaluate(
        """(show) => {
          const Plain = RTCPeerConnection;
          globalThis.asked = [];
          globalThis.RTCPeerConnection = class extends Plain {
            constructor(config) { super(config); asked.push(config.iceServers); }
          };
          globalThis.player = new Player(video, { endpoint: `/whep/${show}` });
          player.start();
        }""",
        show,
    )
    await viewer.wait_for_function("asked.length >= 2")
    assert await viewer.evaluate("asked.slice(0, 2)") == [
        [],
        [{"urls": "turn:127.0.0.1:9", "username": "u", "credential": "c"}],
    ]
