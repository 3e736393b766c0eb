"""One viewer that decodes what it is sent, so that the others' packets are known to be pictures. Stock aiortc.

`python -m bench.relay.decoder <control url> <address> <show>`; a line on standard input asks for the frames since the
last one.
"""

import asyncio
import json
import sys
import time

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError


async def main(control: str, address: str, show: str) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", "recvonly")
    frames, heights, pumps = [], set(), []

    async def pump(track) -> None:
        try:
            while True:
                frame = await track.recv()
                frames.append(time.monotonic())
                heights.add(frame.height)
        except MediaStreamError:
            return

    peer.on("track", lambda track: pumps.append(asyncio.create_task(pump(track))))
    await peer.setLocalDescription(await peer.createOffer())
    async with httpx.AsyncClient() as http:
        body = {"show": show, "kind": "play", "sdp": peer.localDescription.sdp, "addresses": [address]}
        answer = (await http.post(f"{control}/sessions", json=body)).raise_for_status().json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    while not frames:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"frames": len(frames), "heights": sorted(heights)}), flush=True)
        frames.clear()
    await peer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
