"""From sending a message to its line in a Chromium, while the load of the rooms' bench runs in the same room.

1,000 viewers are in, and 50 people say 200 messages a second. The page's own clock times each message from the press
of Enter to the mutation of its list. A message is sent once the box takes it: the one before has its answer. One that
does not come counts as long as was waited for it.
"""

import asyncio
import statistics
import sys
import time
from typing import Any, Final

from playwright.async_api import Page

from bench.rooms.contenders import contenders, cookies, prepare_whole
from bench.rooms.processes import Generator
from tests.journeys.browser import open_chromium, open_window

VIEWERS: Final = 1_000
RATE: Final = 200
SIZE: Final = 200
SAMPLES: Final = 100
SAMPLES_MIN: Final = 50
PAUSE_MS: Final = 250
WAIT_MS: Final = 5_000
LOAD_S: Final = 60
SAMPLING_S: Final = 50
"""The samples end before the load does, however slow they are."""

# Sends one message and resolves with the milliseconds until its line is in the list, or that were waited for it.
_SEND: Final = """
async ([text, pause, patience]) => {
  const list = document.querySelector(".chat-lines");
  const input = document.querySelector("#message");
  const rest = (ms) => new Promise((go) => setTimeout(go, ms));
  await rest(pause);
  for (let n = 0; document.querySelector("#send").disabled && n < patience / 10; n += 1) await rest(10);
  return new Promise((done) => {
    const began = performance.now();
    const end = () => { look.disconnect(); clearTimeout(late); done(performance.now() - began); };
    const late = setTimeout(() => end(), patience);
    const look = new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) {
        if (node.textContent.includes(text)) return end();
      }
      return undefined;
    });
    look.observe(list, { childList: true });
    input.value = text;
    input.form.requestSubmit();
  });
}
"""


async def sample(page: Page) -> list[float]:
    """The times of all messages."""
    times: list[float] = []
    until_s = time.monotonic() + SAMPLING_S
    while len(times) < SAMPLES and time.monotonic() < until_s:
        text = f"bench message number {len(times)} of many"
        times.append(await page.evaluate(_SEND, [text, PAUSE_MS, WAIT_MS]))
    return times


async def look(chromium: str, port: int, generator: Generator) -> list[float]:
    """Opens the page as one of the posters, starts the load, and times messages under it."""
    async with open_chromium(chromium) as browser:
        window = await open_window(browser, "viewer", f"http://127.0.0.1:{port}", motion=True)
        name, _, value = cookies()[0].partition("=")
        # A cookie of this name is a secure one; Chromium sends it to this machine without TLS too.
        url = f"https://127.0.0.1:{port}/"
        await window.context.add_cookies([{"name": name, "value": value, "url": url, "secure": True}])
        await window.page.goto("/watch/demo")
        await window.page.locator("#message").wait_for()
        load = asyncio.create_task(asyncio.to_thread(generator.do, f"pace {RATE} {LOAD_S} {SIZE}"))
        times = await sample(window.page)
        assert not load.done(), "the load ended before the last message"
        assert len(times) >= SAMPLES_MIN, f"only {len(times)} messages in {SAMPLING_S} s"
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
