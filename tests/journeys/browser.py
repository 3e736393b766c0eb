"""A real Chromium for journeys: its flags, one isolated window a person, and what may never happen in a window.

Every console error, policy violation and uncaught exception is kept, and `Window.check()` fails on it. What the
browser itself logs for an answer of 4xx or 5xx is no error of the page: those answers are listed apart, and each
must be one that the journey expects.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    Route,
    async_playwright,
    expect,
)

from app import pages
from tests.waiting import eventually

PAGES = Path(pages.__file__).parent
FLAGS = (
    "--no-sandbox",  # journeys run as root in containers
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP hawker.test 127.0.0.1",  # an address that is not loopback to the browser
    # The windows of several people are all looked at: none of them is a background tab that may be slowed down.
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
)
WAIT_MS = 30_000  # a guard against hanging, also on a machine that does ten other things
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
NARROW = {"width": 360, "height": 740}
PLAYER_ASKS = (
    r"(404|409|503) (POST|DELETE) /whep/.*"  # before the stream, and after it: the player asks again by itself
)
_WRONG_CLOCK = """
    const Right = Date, off = OFF_MS;
    Date = class extends Right {
      constructor(...said) { super(...(said.length ? said : [Right.now() + off])); }
      static now() { return Right.now() + off; }
    };"""
_LATE_NETWORK = (Path(__file__).parent / "late_network.js").read_text()
_BEYOND_THE_EDGE = """() => [...document.querySelectorAll("body *")]
    .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 1
        && !node.closest(".skip, .visually-hidden"))
    .map((node) => `${node.tagName}.${node.className}`)"""
_LOAD_FAILURE = "Failed to load resource"
_LEFT = "WebSocket is closed before the connection is established"  # of a page that was left at once


class Window:
    """One person's browser window, with a cookie jar of its own."""

    def __init__(self, name: str, context: BrowserContext, page: Page) -> None:
        self.name = name
        self.context = context
        self.page = page
        self.faults: list[str] = []
        self.refusals: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("response", self._answer)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_LOAD_FAILURE) and _LEFT not in message.text:
            self.faults.append(f"console: {message.text}")

    def _answer(self, response: Response) -> None:
        if response.status >= 400:
            path = re.sub(r"^https?://[^/]+", "", response.url)
            self.refusals.append(f"{response.status} {response.request.method} {path}")

    def check(self, *expected: str) -> None:
        """Fails on any fault, and on an answer of 4xx or 5xx that no pattern of `expected` fits."""
        assert not self.faults, f"{self.name}'s window: {self.faults}"
        strange = [line for line in self.refusals if not any(re.fullmatch(pattern, line) for pattern in expected)]
        assert not strange, f"{self.name}'s window was refused: {strange}"


async def sticks_out(page: Page) -> list[str]:
    """What reaches beyond the right edge of the window, and is not meant to be out of sight. A window that was just
    given its size is looked at again for a while.
    """
    found: list[str] = []

    async def nothing() -> bool:
        found[:] = await page.evaluate(_BEYOND_THE_EDGE)
        return not found

    with suppress(AssertionError):
        await eventually(nothing)
    return found


@asynccontextmanager
async def open_chromium(path: str, *flags: str) -> AsyncIterator[Browser]:
    """A Chromium with a fake camera and microphone, and further flags."""
    expect.set_options(timeout=WAIT_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            await browser.close()


async def open_window(
    browser: Browser, name: str, base_url: str, *, phone: bool = False, clock_off_ms: int = 0, motion: bool = False
) -> Window:
    """A fresh window, signed in as nobody, on a device whose clock may be wrong, without `motion` on a desktop: what
    pulses has its page painted all the time.
    """
    context = await browser.new_context(
        base_url=base_url,
        viewport=PHONE if phone else DESKTOP,
        is_mobile=phone,
        has_touch=phone,
        locale="en-GB",
        reduced_motion="no-preference" if phone or motion else "reduce",
    )
    context.set_default_timeout(WAIT_MS)
    if clock_off_ms:
        await context.add_init_script(_WRONG_CLOCK.replace("OFF_MS", str(clock_off_ms)))
    if seed := os.environ.get("LATE_REPLIES"):
        await context.add_init_script(_LATE_NETWORK.replace("SEED", str(int(seed) * 1000 + len(browser.contexts))))
    return Window(name, context, await context.new_page())


async def open_modules(browser: Browser, before: str, *, has_touch: bool = False) -> Page:
    """An empty page that can import the pages' modules and has no server; `before` is run in it first."""

    async def answer(route: Route) -> None:
        path = PAGES / route.request.url.partition("://")[2].partition("/")[2]
        await (route.fulfill(path=path) if path.suffix == ".js" else route.fulfill(body="<!doctype html>"))

    page = await (await browser.new_context(has_touch=has_touch)).new_page()
    await page.route("**/*", answer)
    await page.goto("http://hawker.test/")
    await page.evaluate(before)
    return page
