"""Somebody who means harm: a viewer who sends the relay thousands of datagrams a second.

`python -m bench.relay.strangers <control url> <address> <show>` joins the show; a line of JSON on standard input,
{"seconds": s, "per_s": n}, has it send, and is answered by how many it sent. By turns they are junk and forged checks
from an address that nobody knows, and from the one that a check has proven one report again and again, forged media,
and junk.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import uvloop
from aioice import stun

from app.streams.relay.dtls import Certificate
from app.streams.relay.repair import Reception
from app.streams.relay.rtcp import report_reception
from bench.relay.peer import Peer, open_socket

BURST_S = 0.005


def harm(peer: Peer, port: tuple[str, int]) -> Iterator[Callable[[], None]]:
    """What to send next, without end."""
    stranger = open_socket(peer.socket.getsockname()[0])
    stranger.connect(port)
    assert peer.handshake is not None
    assert peer.handshake.sending is not None
    report = peer.handshake.sending.protect_rtcp(report_reception({1: Reception(90_000)}, 0.0))
    check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    check.attributes["USERNAME"] = f"{peer.theirs[0]}:{peer.ufrag}"
    check.attributes["ICE-CONTROLLING"] = 1
    check.add_message_integrity(b"a password that is not the session's")
    forged_check = bytes(check)

    def by_a_stranger(data: bytes) -> None:
        try:
            stranger.send(data)
        except (BlockingIOError, ConnectionRefusedError):
            return

    while True:
        for first in range(256):
            noise = secrets.token_bytes(100 + first)
            yield lambda first=first, noise=noise: by_a_stranger(bytes((first,)) + noise)
            yield lambda: by_a_stranger(forged_check)
            yield lambda: peer.send(report)
            yield lambda first=first, noise=noise: peer.send(bytes((0x80, 96 + first % 32)) + noise)
            yield lambda first=first, noise=noise: peer.send(bytes((first,)) + noise)


async def main(control: str, address: str, show: str) -> None:
    peer = Peer(Certificate.generateCertificate(), address)
    async with httpx.AsyncClient(base_url=control) as http:
        offer = peer.describe("recvonly", "actpass")
        body = {"show": show, "kind": "play", "addresses": [address], "sdp": offer}
        await peer.connect((await http.post("/sessions", json=body)).raise_for_status().json()["sdp"])
    print("ready", flush=True)
    sending = harm(peer, peer.socket.getpeername())
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        began_s, sent = time.monotonic(), 0
        while (passed_s := time.monotonic() - began_s) < asked["seconds"]:
            while sent < passed_s * asked["per_s"]:
                next(sending)()
                sent += 1
            await asyncio.sleep(BURST_S)
        print(json.dumps({"sent": sent, "per_s": sent / (time.monotonic() - began_s)}), flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:4]))
