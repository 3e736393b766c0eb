"""`python -m docs.pictures`: starts a demo, lets people use it, and photographs its pages for the README.

Writes docs/watch.png, watch-phone.png, studio.png, moderate.png and home.png. Needs Chromium and the packages of the
tests.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, expect

from tests.journeys.browser import open_chromium, open_window
from tests.journeys.people import Host, Moderator, Viewer
from tests.journeys.pictures import wait_for_frames
from tests.running import RunningHawker

HERE: Final = Path(__file__).parent
TALK: Final = (
    (0, "Hello everybody!"),
    (1, "I was hoping for this one"),
    (0, "Can it go in the dishwasher?"),
    ("host", "It can, and in the oven too"),
    (1, "Two for me then"),
    (2, "How long does it take to ship?"),
    ("host", "Everything leaves tomorrow morning"),
)


async def photograph(browser: Browser, base_url: str) -> None:
    """Lets a host, three viewers and a moderator meet in the demo show, and takes the pictures."""
    host = Host(await open_window(browser, "host", base_url))
    viewers = [Viewer(await open_window(browser, f"viewer {n}", base_url, phone=n == 2)) for n in range(3)]
    moderator = Moderator(await open_window(browser, "moderator", base_url))
    await host.page.goto("/studio/demo#demo=host")
    for viewer in viewers:
        await viewer.enter("demo")
    await moderator.page.goto("/moderate/demo#demo=moderator")
    first, second, *_ = await host.line_up()
    for title in (second, first):
        button = host.row(title).locator('[data-does="pin"]')
        if await button.get_attribute("aria-pressed") != "true":
            await host.pin(title)
    await host.start_sale(first, percent=30, allotment=8, limit=2)
    for viewer in viewers:
        await expect(viewer.pinned.locator(".offer-list")).to_be_visible()
    for who, text in TALK:
        speaker = host if who == "host" else viewers[who]
        await speaker.say(text)
        await viewers[0].sees_line(text)
    await viewers[1].hold(2)
    await viewers[1].pay("works")
    await viewers[1].order_number()
    await expect(viewers[0].page.locator(".chat-note.sold")).to_be_visible()
    await moderator.time_out("I was hoping for this one", 60)
    await expect(viewers[0].page.locator(".chat-note.mod")).to_be_visible()
    for viewer in viewers:
        await wait_for_frames(viewer.page, 5)
    await wait_for_frames(host.page, 5)
    for name, person in (("watch", viewers[0]), ("watch-phone", viewers[2]), ("studio", host), ("moderate", moderator)):
        await person.page.screenshot(path=HERE / f"{name}.png")
    await moderator.page.goto("/")
    await expect(moderator.page.locator(".show-card").first).to_be_visible()
    await moderator.page.screenshot(path=HERE / "home.png")


async def main() -> int:
    """Starts the demo, photographs it and stops it."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        print("The pictures need Chromium (Debian: sudo apt-get install chromium).", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="hwk-"))
    running = RunningHawker(folder / "p")
    try:
        running.start()
        async with open_chromium(chromium) as browser:
            await photograph(browser, running.base_url)
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(*sorted(path.name for path in HERE.glob("*.png")))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
