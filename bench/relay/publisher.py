"""The host's process: publishes the stream over and over, by WHIP's inner HTTP to our relay or as plain RTP.

`python -m bench.relay.publisher ours <control url> <address> <show>` or `... rtp <host> <audio port> <video port>`.
A frame's packets leave in one burst: that is harder on a relay than a browser's pacer is.
"""

import asyncio
import itertools
import socket
import struct
import sys
import time
from collections.abc import Callable

import httpx
import uvloop

from app.streams.relay.dtls import Certificate
from bench.relay.peer import Peer
from bench.relay.stream import AUDIO_TYPE, SECONDS, VIDEO_TYPE, moments

SSRC = {VIDEO_TYPE: 0x1111, AUDIO_TYPE: 0x2222}
CHECK_EVERY_S = 1.0
_RATE = {VIDEO_TYPE: 90_000, AUDIO_TYPE: 48_000}


async def play(send: Callable[[int, bytes], None], often: Callable[[], None]) -> None:
    """Never returns."""
    turn_of = moments()
    sequence = dict.fromkeys(SSRC, 1)
    began_s = checked_s = time.monotonic()
    for turn in itertools.count():
        for one in turn_of:
            wait_s = began_s + turn * SECONDS + one.at_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            kind = one.payload_type
            timestamp = (one.timestamp + turn * SECONDS * _RATE[kind]) & 0xFFFFFFFF
            for place, payload in enumerate(one.payloads, 1):
                marker = 0x80 if kind == VIDEO_TYPE and place == len(one.payloads) else 0
                header = struct.pack("!BBHII", 0x80, marker | kind, sequence[kind] & 0xFFFF, timestamp, SSRC[kind])
                send(kind, header + payload)
                sequence[kind] += 1
            if time.monotonic() - checked_s > CHECK_EVERY_S:
                checked_s = time.monotonic()
                often()


async def to_ours(control: str, address: str, show: str) -> None:
    peer = Peer(Certificate.generateCertificate(), address)
    async with httpx.AsyncClient(base_url=control) as http:
        body = {"show": show, "kind": "publish", "addresses": [address], "owner": "key"}
        answer = await http.post("/sessions", json={**body, "sdp": peer.describe("sendonly", "actpass")})
        await peer.connect(answer.raise_for_status().json()["sdp"])
    assert peer.handshake is not None
    keys = peer.handshake.sending
    assert keys is not None
    print("publishing", flush=True)
    await play(lambda _, packet: peer.send(keys.protect(packet)), peer.check)


async def to_rtp(host: str, audio: int, video: int) -> None:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    place = {AUDIO_TYPE: (host, audio), VIDEO_TYPE: (host, video)}
    print("publishing", flush=True)
    await play(lambda kind, packet: out.sendto(packet, place[kind]), lambda: None)


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        uvloop.run(to_ours(*sys.argv[2:5]))
    else:
        uvloop.run(to_rtp(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
