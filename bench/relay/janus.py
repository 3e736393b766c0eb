"""Janus with its streaming plugin: the configuration of one mountpoint, and how a viewer asks for it over HTTP.

Owns nothing of the measuring. Debian's package `janus` brings the server.
"""

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Any

import httpx

from bench.relay.peer import Peer

PLUGINS = Path("/usr/lib/x86_64-linux-gnu/janus")
MAIN = """
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{plugins}/plugins"
  transports_folder = "{plugins}/transports"
  debug_level = 2
  session_timeout = 0
  {event_loops}
}}
media: {{ ipv6 = false }}
nat: {{ ice_lite = true, ice_enforce_list = "{address}" }}
plugins: {{ disable = "{disabled}" }}
transports: {{ disable = "{unused}" }}
"""
HTTP = """
general: {{ json = "compact", base_path = "/janus", http = true, port = {port}, ip = "{address}" }}
"""
STREAMING = """
bench: {{
  type = "rtp"
  id = 1
  media = (
    {{ type = "audio", mid = "a", port = {audio}, pt = 111, codec = "opus", iface = "{address}" }},
    {{ type = "video", mid = "v", port = {video}, pt = 96, codec = "vp8", iface = "{address}" }}
  )
}}
"""


def installed() -> bool:
    """Whether there is a Janus here."""
    return shutil.which("janus") is not None and PLUGINS.is_dir()


def configure(folder: Path, address: str, port: int, event_loops: int) -> list[str]:
    """Writes the configuration; the command that starts the server. RTP is taken on the two ports after `port`."""
    folder.mkdir(parents=True, exist_ok=True)
    plugins = [one.name for one in (PLUGINS / "plugins").glob("*.so") if one.name != "libjanus_streaming.so"]
    unused = [one.name for one in (PLUGINS / "transports").glob("*.so") if one.name != "libjanus_http.so"]
    loops = f"event_loops = {event_loops}" if event_loops else ""
    written = {
        "janus.jcfg": MAIN.format(
            folder=folder,
            plugins=PLUGINS,
            address=address,
            disabled=",".join(plugins),
            unused=",".join(unused),
            event_loops=loops,
        ),
        "janus.transport.http.jcfg": HTTP.format(port=port, address=address),
        "janus.plugin.streaming.jcfg": STREAMING.format(audio=port + 1, video=port + 2, address=address),
    }
    for name, text in written.items():
        (folder / name).write_text(text)
    return ["janus", "-F", str(folder), "-C", str(folder / "janus.jcfg")]


class Signalling:
    """One API session whose handles are the viewers."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._session = 0
        self._opening = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._offers: dict[int, asyncio.Future[str]] = {}
        self._polling: asyncio.Task[None] | None = None

    async def _ask(self, path: str, janus: str, **more: Any) -> dict[str, Any]:
        body = {"janus": janus, "transaction": str(next(self._numbers)), **more}
        answer = (await self._http.post(f"{self._url}{path}", json=body)).json()
        assert answer["janus"] in {"success", "ack"}, answer
        return dict(answer)

    async def _poll(self) -> None:
        async with httpx.AsyncClient(timeout=60) as http:
            while True:
                events = (await http.get(f"{self._url}/{self._session}?maxev=20")).json()
                for event in events if isinstance(events, list) else [events]:
                    offer = event.get("jsep", {})
                    if offer.get("type") == "offer":
                        self._offers[event["sender"]].set_result(offer["sdp"])

    async def watch(self, peer: Peer) -> None:
        """Attaches a handle, answers its offer and connects."""
        async with self._opening:
            if not self._session:
                self._session = (await self._ask("", "create"))["data"]["id"]
                self._polling = asyncio.create_task(self._poll())
        handle = (await self._ask(f"/{self._session}", "attach", plugin="janus.plugin.streaming"))["data"]["id"]
        self._offers[handle] = asyncio.get_running_loop().create_future()
        place = f"/{self._session}/{handle}"
        await self._ask(place, "message", body={"request": "watch", "id": 1})
        offer = await self._offers[handle]
        lines = [line.strip() for line in offer.splitlines()]
        order = tuple(line[2:].split()[0] for line in lines if line.startswith("m="))
        mids = [line[6:] for line in lines if line.startswith("a=mid:")]
        answer = peer.describe("recvonly", "active", order, "".join(mids))
        await self._ask(place, "message", body={"request": "start"}, jsep={"type": "answer", "sdp": answer})
        await peer.connect(offer)
