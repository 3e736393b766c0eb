"""Chromium on both sides of our relay, in a network namespace of its own where `lo` loses datagrams.

`unshare --net python -m bench.relay.browser <loss in percent> <chromium>` prints one line of JSON: what of picture and
sound arrives over two lossy hops (host to relay, relay to viewer), how long a joiner waits for its first frame, and how
soon the host's encoder has reached 720p. The page's own player and publisher do the talking.
"""

import asyncio
import json
import subprocess
import sys
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bench.relay.processes import ROOT, SERVER_CORE, start
from tests.journeys.browser import open_chromium
from tests.journeys.lo_only import bring_lo_up
from tests.running import free_port

ADDRESS = "127.0.0.1"
SETTLE_S, WATCH_S = 5.0, 30.0
JOINS = 20
PAGE = """<!doctype html><meta charset="utf-8"><video id="video" width="640" height="360"></video>
<script type="module">
import { Player } from "/static/shared/player.js";
import { Publisher } from "/static/shared/publisher.js";
// Every connection is kept where getStats can be asked of it.
const Plain = RTCPeerConnection;
globalThis.peers = [];
globalThis.RTCPeerConnection = class extends Plain { constructor(...of) { super(...of); peers.push(this); } };
Object.assign(globalThis, { Player, Publisher, video: document.getElementById("video") });
globalThis.report = async (type, kind) => {
  for (const one of (await peers.at(-1).getStats()).values()) if (one.type === type && one.kind === kind) return one;
  return {};
};
</script>"""
PUBLISH = """async () => {
  globalThis.publisher = new Publisher({ endpoint: "/whip/bench" });
  await publisher.open("camera");
  const began = performance.now();
  globalThis.reached = null;
  await publisher.start();
  const look = async () => {
    const { frameHeight } = await report("outbound-rtp", "video");
    if (frameHeight === 720) reached = performance.now() - began; else setTimeout(look, 50);
  };
  look();
}"""
JOIN = """() => new Promise((resolve) => {
  const began = performance.now();
  globalThis.player = new Player(video, { endpoint: "/whep/bench" });
  player.addEventListener("state", ({ detail }) => {
    if (detail.state === "playing") resolve(performance.now() - began);
  });
  player.start();
})"""


def lose(percent: float) -> None:
    """Drops that share of all datagrams on the way in."""
    rule = ["-p", "udp", "-m", "statistic", "--mode", "random", "--probability", str(percent / 100), "-j", "DROP"]
    subprocess.run(["iptables", "-A", "INPUT", *rule], check=True)


def pages(control: str) -> Starlette:
    """The page, and WHIP and WHEP as far as it asks for them; who may publish is not what is measured."""
    http = httpx.AsyncClient(base_url=control)

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE)

    async def post(request: Request) -> Response:
        kind = "publish" if request.url.path.startswith("/whip") else "play"
        offer = (await request.body()).decode()
        body = {"show": "bench", "kind": kind, "sdp": offer, "addresses": [ADDRESS], "owner": "key"}
        made = await http.post("/sessions", json=body)
        if made.status_code != 201:
            return Response(made.content, made.status_code)
        answer = made.json()
        headers = {"Location": f"{request.url.path}/{answer['id']}", "ETag": answer["etag"]}
        return Response(answer["sdp"], 201, headers, "application/sdp")

    async def session(request: Request) -> Response:
        seen = await http.request(request.method, f"/sessions/{request.path_params['session']}")
        return Response(status_code=404 if seen.status_code == 409 else 204)

    return Starlette(
        routes=[
            Route("/page", page),
            Route("/whip/bench", post, methods=["POST"]),
            Route("/whep/bench", post, methods=["POST"]),
            Route("/{place}/bench/{session}", session, methods=["GET", "DELETE"]),
            Mount("/static", StaticFiles(directory=ROOT / "app" / "pages")),
        ]
    )


async def measure(percent: float, chromium: str, url: str) -> dict[str, Any]:
    """Both windows, from the first offer to the last figure."""
    async with open_chromium(chromium, "--allow-loopback-in-peer-connection") as browser:
        # A window each: a tab behind another one paints once a second.
        contexts = [await browser.new_context(permissions=["camera", "microphone"]) for _ in range(3)]
        host, viewer, other = [await context.new_page() for context in contexts]
        for page in (host, viewer, other):
            await page.goto(f"{url}/page")
            await page.wait_for_function("globalThis.Publisher !== undefined")
        await host.evaluate(PUBLISH)
        await host.wait_for_function("publisher.state === 'publishing'")
        await other.evaluate(JOIN)  # a room has viewers, and keeps its last group of pictures for them
        firsts = []
        for _ in range(1 if percent else JOINS):
            firsts.append(await viewer.evaluate(JOIN))
            if not percent:
                await viewer.evaluate("player.stop()")
        if not percent:
            await host.wait_for_function("reached !== null")
            firsts.sort()
            return {
                "first_frame_p50_ms": firsts[len(firsts) // 2],
                "first_frame_p95_ms": firsts[len(firsts) * 95 // 100],
                "reached_720p_s": await host.evaluate("reached") / 1000,
            }
        await asyncio.sleep(SETTLE_S)
        before = await figures(host, viewer)
        await asyncio.sleep(WATCH_S)
        grown = {key: value - before[key] for key, value in (await figures(host, viewer)).items()}
        return {
            "video_kept": grown["decoded"] / grown["encoded"],
            "audio_kept": 1 - grown["concealed"] / grown["samples"],
            "frozen_s": grown["frozen"],
        }


async def figures(host: Any, viewer: Any) -> dict[str, float]:
    """Counters of both ends."""
    sent = await host.evaluate("report('outbound-rtp', 'video')")
    picture = await viewer.evaluate("report('inbound-rtp', 'video')")
    sound = await viewer.evaluate("report('inbound-rtp', 'audio')")
    return {
        "encoded": sent["framesEncoded"],
        "decoded": picture["framesDecoded"],
        "frozen": picture["totalFreezesDuration"],
        "concealed": sound["concealedSamples"],
        "samples": sound["totalSamplesReceived"],
    }


async def main(percent: float, chromium: str) -> None:
    bring_lo_up()
    if percent:
        lose(percent)
    port = free_port()
    control = f"http://{ADDRESS}:{port}"
    relay = start(SERVER_CORE, "ours", MEDIA_PORT=str(port), MEDIA_ADDRESS=ADDRESS, MEDIA_CONTROL_URL=control)
    page_port = free_port()
    server = uvicorn.Server(uvicorn.Config(pages(control), port=page_port, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        print(json.dumps(await measure(percent, chromium, f"http://{ADDRESS}:{page_port}")), flush=True)
    finally:
        server.should_exit = True
        relay.end()
    await serving


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2]))
