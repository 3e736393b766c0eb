"""A viewer behind a network of its own. Run in a network namespace:
`python -m tests.faults.far_viewer <url> <show> [by_turn | <chromium>]`.

Says "here", waits until it is sent a line (its interface `far` is there by then), and watches: as a stock client does,
or by our player in Chromium. With `by_turn` the stock client asks twice, as our player does by itself: what the first
answer names as TURN servers is for the second try.
Each picture is a line: the time by the clock that all processes share. A line "down" or "up" is for the interface.
"""

import asyncio
import itertools
import re
import subprocess
import sys
import time

import httpx
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

from tests.journeys.browser import open_chromium
from tests.journeys.test_media import watch
from tests.protocol.media_peers import Viewer

ADDRESS = "10.9.0.2"
NEAR = "10.9.0.1"


def run(*words: str) -> str:
    """What a command says; CalledProcessError when it fails."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def say(line: object) -> None:
    """A line to whoever started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def ice_servers(link: str) -> list[RTCIceServer]:
    """What a Link header names (RFC 9725, 4.6)."""
    found = re.findall(r'<([^>]+)>; rel="ice-server"; username="([^"]*)"; credential="([^"]*)"', link)
    return [RTCIceServer(*one) for one in found]


class FarViewer(Viewer):
    """`servers`: how it is reached where no datagram of its own gets through."""

    def __init__(self, http: httpx.AsyncClient, servers: list[RTCIceServer]) -> None:
        super().__init__(http)
        plain, self.peer = self.peer, RTCPeerConnection(RTCConfiguration(servers))
        for one in plain.getTransceivers():
            self.peer.addTransceiver(one.kind, "recvonly")
        self.peer.on("track", lambda track: self._pumps.append(asyncio.create_task(self._pump(track))))


async def main(url: str, show: str, how: str = "") -> None:
    """Until nobody speaks to it any more."""
    say("here")
    await asyncio.to_thread(sys.stdin.readline)
    run("ip", "addr", "add", f"{ADDRESS}/24", "dev", "far")
    for name in ("lo", "far"):
        run("ip", "link", "set", name, "up")
    asyncio.get_running_loop().add_reader(sys.stdin, obey)
    await (in_chromium(how, url, show) if "/" in how else as_stock_client(url, show, by_turn=how == "by_turn"))


async def in_chromium(chromium: str, url: str, show: str) -> None:
    """By the page's own player."""
    async with open_chromium(chromium) as browser:
        page = await (await browser.new_context()).new_page()
        await page.goto(f"{url}/page")
        await page.wait_for_function("globalThis.Player !== undefined")
        await watch(page, show)
        for count in itertools.count(1):
            await page.wait_for_function("(count) => frames.length >= count", arg=count)
            say(time.monotonic())


async def as_stock_client(url: str, show: str, *, by_turn: bool) -> None:
    """By aiortc's."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        servers: list[RTCIceServer] = []
        if by_turn:
            async with Viewer(http) as first:
                answer = await first.watch(show)
                servers = ice_servers(answer.headers["Link"])
                await http.delete(first.session)
        async with FarViewer(http, servers) as viewer:
            answer = await viewer.watch(show)
            assert answer.status_code == 201, answer.text
            while True:
                await viewer.pictures.get()
                say(time.monotonic())


def obey() -> None:
    """A line of where the interface is to be; without one it is over."""
    line = sys.stdin.readline().strip()
    if not line:
        sys.exit()
    run("ip", "link", "set", "far", line)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
