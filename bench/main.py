"""`make bench-main`: how long a newcomer waits, and how long it takes from a click in one window to another's screen.

Starts a Hawker of its own with the demo and looks at it with Chromium. x_to_screen is the time from the click in one
person's page to the change of the document in another person's page; both clocks are performance.timeOrigin +
performance.now() of this machine. first_frame_ms is from the page's first WebRTC call to the first frame on the
screen, with the stream already running; start_s is from the command to the first answer of the watch page with every
role ready, with all set up before. Medians are reported.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import open_chromium, open_window
from tests.journeys.people import Host, Moderator, Viewer
from tests.running import RunningHawker

TARGETS: Final = {
    "start_s": 3,
    "first_frame_ms": 300,
    "chat_to_screen_ms": 100,
    "pin_to_screen_ms": 100,
    "stock_to_screen_ms": 150,
    "moderation_to_screen_ms": 300,
}
STARTS: Final = 3
FIRST_FRAMES: Final = 10
ROUNDS: Final = 20
START_GUARD_S: Final = 30

# Notes when the page first asks for a connection, and when its video shows the first frame.
FIRST_FRAME_PROBE: Final = """
  const Original = RTCPeerConnection;
  window.RTCPeerConnection = class extends Original {
    constructor(...given) {
      super(...given);
      window.askedAt ??= performance.now();
    }
  };
  window.firstFrame = new Promise((resolve) => {
    const watch = (video) => video.requestVideoFrameCallback(() => resolve(performance.now()));
    new MutationObserver((_, observer) => {
      const video = document.querySelector("#video");
      if (!video) return;
      observer.disconnect();
      watch(video);
    }).observe(document, { subtree: true, childList: true });
  });
"""
ARM: Final = """
([selector, text]) => {
  window.seenAt = new Promise((resolve) => {
    const look = () => [...document.querySelectorAll(selector)].some((node) => node.textContent.includes(text));
    const observer = new MutationObserver(() => {
      if (!look()) return;
      observer.disconnect();
      resolve(performance.timeOrigin + performance.now());
    });
    observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });
}
"""
CLICK: Final = """
(node) => {
  const at = performance.timeOrigin + performance.now();
  node.click();
  return at;
}
"""


def start_once(running: RunningHawker) -> float:
    """Seconds from the command until the watch page answers and all roles are ready."""
    said = len(running.log)
    began = time.perf_counter()
    running.start(wait=False)
    with httpx.Client(base_url=running.base_url, timeout=2) as client:
        while time.perf_counter() - began < START_GUARD_S:
            try:
                ready = client.get("/readyz").status_code == 200 and client.get("/watch/demo").status_code == 200
            except httpx.TransportError:
                ready = False
            if ready and any("hawker: up in" in line for line in running.log[said:]):
                return time.perf_counter() - began
            time.sleep(0.01)
    raise TimeoutError("Hawker did not start:\n" + "\n".join(running.log))


async def first_frame(browser: Browser, base_url: str) -> tuple[float, float]:
    """Milliseconds to the first frame: from the page's first WebRTC call, and from the navigation."""
    window = await open_window(browser, "newcomer", base_url, motion=True)
    await window.page.add_init_script(FIRST_FRAME_PROBE)
    await window.page.goto("/watch/demo")
    asked, shown = await window.page.evaluate("async () => { const at = await firstFrame; return [askedAt, at]; }")
    await window.context.close()
    return shown - asked, shown


async def until_seen(page: Page, selector: str, text: str, act: Callable[[], Awaitable[float]]) -> float:
    """Milliseconds from the click that `act` makes (it answers with its moment) to `text` in `selector` of `page`."""
    await page.evaluate(ARM, [selector, text])
    clicked = await act()
    async with asyncio.timeout(10):
        return await page.evaluate("window.seenAt") - clicked


async def chat(author: Viewer, reader: Viewer) -> list[float]:
    """From the send button to the other viewer's chat."""
    taken = []
    for number in range(ROUNDS):
        text = f"message number {number} of the bench"
        await author.message_box.fill(text)
        send = author.page.locator("#send")
        await expect(send).to_be_enabled()
        taken.append(await until_seen(reader.page, ".chat-words", text, lambda send=send: send.evaluate(CLICK)))
        await author.sees_line(text)
    return taken


async def pins(host: Host, viewer: Viewer) -> list[float]:
    """From the pin button to the viewer's card."""
    titles = (await host.line_up())[:2]
    taken = []
    for number in range(ROUNDS):
        title = titles[number % 2]
        if (await viewer.page.locator("#pinned .offer-title").all_inner_texts()) == [title]:
            continue
        pin = host.row(title).locator('[data-does="pin"]')
        await expect(pin).to_be_enabled()
        taken.append(await until_seen(viewer.page, "#pinned .offer-title", title, lambda pin=pin: pin.evaluate(CLICK)))
        await expect(pin).to_have_attribute("aria-pressed", "true")
    return taken


async def stock(buyer: Viewer, viewer: Viewer) -> list[float]:
    """From the hold button to the other viewer's stock left."""
    taken = []
    for _ in range(ROUNDS):
        shown = viewer.pinned.locator(".offer-stock")
        left = int((await shown.inner_text()).split()[0])
        await buyer.pinned.locator(".buy").click()
        hold = buyer.page.locator("#hold")
        taken.append(
            await until_seen(
                viewer.page, "#pinned .offer-stock", f"{left - 1} left", lambda hold=hold: hold.evaluate(CLICK)
            )
        )
        await buyer.page.locator("#release").click()
        await expect(buyer.sheet).to_have_count(0)
        await expect(shown).to_have_text(f"{left} left")
    return taken


async def moderation(moderator: Moderator, author: Viewer, viewer: Viewer) -> list[float]:
    """From the delete button to the gap in the viewer's chat."""
    taken = []
    for number in range(ROUNDS):
        text = f"rude message number {number}"
        await author.say(text)
        await asyncio.gather(moderator.sees_line(text), viewer.sees_line(text))
        message = await viewer.line(text).get_attribute("data-message")
        delete = moderator.line(text).locator(".delete")
        gone = f'.chat-line.gone[data-message="{message}"]'
        taken.append(await until_seen(viewer.page, gone, "deleted", lambda delete=delete: delete.evaluate(CLICK)))
    return taken


async def measure(browser: Browser, base_url: str, note: Callable[[str, list[float]], None]) -> None:
    """Everything that needs a browser."""
    names = ("ana", "ben", "host", "moderator")
    windows = [await open_window(browser, name, base_url, motion=True) for name in names]
    ana, ben = Viewer(windows[0]), Viewer(windows[1])
    host, moderator = Host(windows[2]), Moderator(windows[3])
    await ana.enter("demo")
    await ana.page.wait_for_function(
        "() => document.querySelector('#video').getVideoPlaybackQuality().totalVideoFrames > 30"
    )
    frames = [await first_frame(browser, base_url) for _ in range(FIRST_FRAMES)]
    note("first_frame_ms", [asked for asked, _ in frames])
    note("page_to_frame_ms", [navigated for _, navigated in frames])
    await ben.enter("demo")
    await host.page.goto("/studio/demo#demo=host")
    await expect(host.page.locator("#lineup-rows .desk-row").first).to_be_visible()
    await moderator.page.goto("/moderate/demo#demo=moderator")
    await expect(moderator.message_box).to_be_visible()
    note("chat_to_screen_ms", await chat(ana, ben))
    note("pin_to_screen_ms", await pins(host, ben))
    note("stock_to_screen_ms", await stock(ana, ben))
    note("moderation_to_screen_ms", await moderation(moderator, ana, ben))


def table(samples: dict[str, list[float]]) -> list[str]:
    """The lines of the table."""
    lines = [f"{'':26}{'target':>8}{'median':>9}{'p95':>9}{'worst':>9}{'n':>5}"]
    for name, taken in samples.items():
        ordered = sorted(taken)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        digits = 2 if name.endswith("_s") else 0
        figures = "".join(f"{value:9.{digits}f}" for value in (statistics.median(taken), p95, ordered[-1]))
        target = TARGETS.get(name)
        over = "  over" if target is not None and statistics.median(taken) > target else ""
        lines.append(f"{name:26}{target if target is not None else '':>8}{figures}{len(taken):5}{over}")
    return lines


async def main() -> int:
    """Measures, prints, cleans up."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        print("bench-main needs Chromium (Debian: sudo apt-get install chromium).", file=sys.stderr)
        return 1
    samples: dict[str, list[float]] = {}
    folder = Path(tempfile.mkdtemp(prefix="hwk-"))
    running = RunningHawker(folder / "b", CHAT_PER_10_S="1000")
    try:
        running.start()  # makes the database; everything after this is warm
        running.stop()
        for _ in range(STARTS):
            samples.setdefault("start_s", []).append(start_once(running))
            if len(samples["start_s"]) < STARTS:
                running.stop()
        async with AsyncExitStack() as stack:
            browser = await stack.enter_async_context(open_chromium(chromium))
            await measure(browser, running.base_url, samples.__setitem__)
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table(samples)))
    print(json.dumps({name: round(statistics.median(samples[name]), 2) for name in TARGETS}))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
