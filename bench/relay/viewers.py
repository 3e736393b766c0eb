"""All viewers in one process: they join by the server's own signalling, then one C loop reads what they are sent.

Commands come as lines of JSON on standard input, each answered by one: {"do": "join", "count": n}, {"do": "watch",
"seconds": s}, {"do": "leave"}. `python -m bench.relay.viewers <address> ours <control url> <show>`, or
`... janus <url>`, or `... limit` (which only opens sockets and tells their ports).
"""

import asyncio
import ctypes
import json
import random
import sys
import time
from typing import Any

import httpx
import uvloop

from app.streams.relay.dtls import Certificate
from app.streams.relay.repair import Reception
from bench.relay import janus
from bench.relay.native import PAUSE_US, STREAMS, Stream, loops
from bench.relay.peer import Peer

AT_ONCE = 16
CHECK_EVERY_S = 5.0
REPORT_EVERY_S = 1.0


class Viewers:
    def __init__(self, address: str, kind: str, arguments: list[str]) -> None:
        self.address = address
        self.kind = kind
        self.arguments = arguments
        self.certificate = Certificate.generateCertificate()
        self.peers: list[Peer] = []
        self.http = httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=AT_ONCE))
        self.janus = janus.Signalling(self.http, arguments[0]) if kind == "janus" else None
        self.streams = (Stream * 0)()
        self.before: list[tuple[int, int]] = []
        self.keeping: list[asyncio.Task[None]] = []

    async def join(self, count: int) -> dict[str, Any]:
        """`count` more viewers, some at a time."""
        began_s = time.monotonic()
        limit = asyncio.Semaphore(AT_ONCE)
        took_ms: list[float] = []

        async def one() -> None:
            async with limit:
                started_s = time.monotonic()
                peer = Peer(self.certificate, self.address)
                await self._signal(peer)
                took_ms.append((time.monotonic() - started_s) * 1000)
                self.peers.append(peer)
                if self.kind != "limit":
                    self.keeping.append(asyncio.create_task(self._keep(peer)))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(one())
        self.streams = (Stream * (len(self.peers) * STREAMS))()
        return {
            "joined": len(self.peers),
            "seconds": time.monotonic() - began_s,
            "join_p95_ms": sorted(took_ms)[len(took_ms) * 95 // 100],
            "ports": [peer.socket.getsockname()[1] for peer in self.peers],
        }

    async def _signal(self, peer: Peer) -> None:
        if self.janus is not None:
            await self.janus.watch(peer)
        elif self.kind == "ours":
            control, show = self.arguments
            body = {"show": show, "kind": "play", "addresses": [self.address]}
            offer = peer.describe("recvonly", "actpass")
            answer = (
                (await self.http.post(f"{control}/sessions", json={**body, "sdp": offer})).raise_for_status().json()
            )
            peer.session = f"{control}/sessions/{answer['id']}"
            await peer.connect(answer["sdp"])

    async def _keep(self, peer: Peer) -> None:
        """What a browser says of itself: reports each second, checks every five."""
        await asyncio.sleep(random.random() * REPORT_EVERY_S)
        heard = {1: Reception(90_000), 2: Reception(48_000)}
        checked_s = 0.0
        while True:
            now_s = time.monotonic()
            peer.report(heard, now_s)
            if now_s - checked_s > CHECK_EVERY_S:
                checked_s = now_s
                peer.check()
            await asyncio.sleep(REPORT_EVERY_S)

    async def watch(self, seconds: float) -> dict[str, Any]:
        """Reads for so long; what came, and what is missing within what came."""
        sockets = (ctypes.c_int * len(self.peers))(*(peer.socket.fileno() for peer in self.peers))
        totals = (ctypes.c_uint64 * 4)()
        ctypes.memset(self.streams, 0, ctypes.sizeof(self.streams))
        arguments = (sockets, len(self.peers), ctypes.c_double(seconds), PAUSE_US, self.streams, totals)
        await asyncio.to_thread(loops().drain, *arguments)
        used = [one for one in self.streams if one.used]
        expected = sum(one.highest - one.first + 1 for one in used)
        kept = sum(one.packets - one.doubled for one in used)
        silent = sum(not self.streams[place * STREAMS].used for place in range(len(self.peers)))
        return {
            "packets": totals[0],
            "bytes": totals[1],
            "reports": totals[2],
            "lost": expected - kept,
            "doubled": sum(one.doubled for one in used),
            "silent": silent,
            "last_s": totals[3] / 1e6,  # of time.monotonic(), which all processes share
        }

    async def leave(self) -> dict[str, Any]:
        """Everybody goes, by DELETE where there is one."""
        for task in self.keeping:
            task.cancel()
        for peer in self.peers:
            if peer.session:
                await self.http.delete(peer.session)
            peer.close()
        self.peers, self.keeping = [], []
        return {}


async def main() -> None:
    address, kind, *arguments = sys.argv[1:]
    viewers = Viewers(address, kind, arguments)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        action = {"join": viewers.join, "watch": viewers.watch, "leave": viewers.leave}[command.pop("do")]
        print(json.dumps(await action(**command)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
