"""From sending a message to its line in a Chromium, while the load of the rooms' bench runs in the same room.

1,000 viewers are in, and 50 people say 200 messages a second. The page's own clock times each message from the press
of Enter to the mutation of its list.
"""

import asyncio
import statistics
import sys
from typing import Any, Final

from playwright.async_api import Page

from bench.rooms.contenders import contenders, cookies, prepare_whole
from bench.rooms.processes import Generator
from tests.journeys.browser import open_chromium, open_window

VIEWERS: Final = 1_000
RATE: Final = 200
SIZE: Final = 200
SAMPLES: Final = 100
PAUSE_MS: Final = 250
LOAD_S: Final = 60

# Sends one message and resolves with the milliseconds until its line is in the list.
_SEND: Final = """
async ([text, pause]) => {
  const list = document.querySelector(".chat-lines");
  const input = document.querySelector("#message");
  await new Promise((go) => setTimeout(go, pause));
  return new Promise((done) => {
    const began = performance.now();
    const look = new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) {
        if (node.textContent.includes(text)) { look.disconnect(); done(performance.now() - began); }
      }
    });
    look.observe(list, { childList: true });
    input.value = text;
    input.form.requestSubmit();
  });
}
"""


async def sample(page: Page) -> list[float]:
    """The times of all messages."""
    return [await page.evaluate(_SEND, [f"bench message number {n} of many", PAUSE_MS]) for n in range(SAMPLES)]


async def look(chromium: str, port: int, generator: Generator) -> list[float]:
    """Opens the page as one of the posters, starts the load, and times messages under it."""
    async with open_chromium(chromium) as browser:
        window = await open_window(browser, "viewer", f"http://127.0.0.1:{port}")
        name, _, value = cookies()[0].partition("=")
        # A cookie of this name is a secure one; Chromium sends it to this machine without TLS too.
        url = f"https://127.0.0.1:{port}/"
        await window.context.add_cookies([{"name": name, "value": value, "url": url, "secure": True}])
        await window.page.goto("/watch/demo")
        await window.page.locator("#message").wait_for()
        load = asyncio.create_task(asyncio.to_thread(generator.do, f"pace {RATE} {LOAD_S} {SIZE}"))
        times = await sample(window.page)
        assert not load.done(), "the load ended before the last message"
        answer = await load
        sys.stderr.write(f"the load meanwhile: {answer}\n")
        return times


def run(chromium: str) -> dict[str, Any]:
    """The figures."""
    prepare_whole()
    server, generator = contenders()["whole"].start(1)
    try:
        answer = generator.do(f"connect {VIEWERS} 100 0")
        assert answer["in"] == VIEWERS, answer
        times = asyncio.run(look(chromium, server.port, generator))
    finally:
        generator.end()
        server.end()
    return {
        "post_to_screen_p50_ms": round(statistics.median(times), 1),
        "post_to_screen_p99_ms": round(statistics.quantiles(times, n=100)[98], 1),
    }
