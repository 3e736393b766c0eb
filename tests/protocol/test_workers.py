"""Several web processes on one machine: `serve --workers N`."""

import asyncio
import os
import signal
import subprocess
import sys

import httpx
import msgspec
import websockets

from tests.waiting import eventually, eventually_true

GUARD_S = 60


async def frame_with(socket, key):
    while key not in (frame := msgspec.json.decode(await asyncio.wait_for(socket.recv(), GUARD_S))):
        pass
    return frame


async def test_what_one_worker_hears_is_seen_on_all_and_outlives_any_of_them(own_hawker):
    """Viewers of a killed worker come back to another with their offset: nothing lost, nothing twice."""
    running = own_hawker().start("--workers", "3")
    assert len({running.pid_of(name) for name in ("web", "web-2", "web-3")}) == 3
    async with httpx.AsyncClient(base_url=running.base_url, timeout=GUARD_S) as client:
        answer = await client.post("/api/session", json={"demo": "viewer"})
        cookie = answer.headers["set-cookie"].partition(";")[0]
    url = running.base_url.replace("http", "ws") + "/ws/shows/demo"

    async def join(epoch=None, since=None, **options):
        socket = await websockets.connect(url, compression=None, **options)
        await socket.send(msgspec.json.encode({"op": "join", "epoch": epoch, "since": since}).decode())
        return socket, (await frame_with(socket, "joined"))["joined"]

    sockets = [await join() for _ in range(12)]
    speaker, joined = await join(additional_headers={"Cookie": cookie})
    first = joined["o"] + 1

    async def say(socket, text):
        await socket.send(msgspec.json.encode({"op": "chat.post", "id": text, "text": text}).decode())
        return (await frame_with(socket, "re"))["o"]

    offset = await say(speaker, "before")
    assert offset == first
    for socket, _ in sockets:
        frame = await frame_with(socket, "m")
        assert (frame["o"], [event["text"] for event in frame["m"]]) == (first, ["before"])
    killed = running.pid_of("web-2")
    os.kill(killed, signal.SIGKILL)
    await eventually_true(
        lambda: any(socket.close_code for socket, _ in sockets) or running.has_replaced("web-2", killed)
    )
    speaker, _ = await join(additional_headers={"Cookie": cookie})
    assert await say(speaker, "after") == first + 1
    assert await say(speaker, "before") == first  # said again under its id: one effect, the first answer

    async def catches_up(socket, joined):
        try:
            frame = await frame_with(socket, "m")
            return frame["o"], frame["m"]
        except websockets.ConnectionClosed:
            socket, again = await join(joined["e"], first)
            assert again["recovered"]
            if again["o"] == first:  # this worker has not heard of it yet
                frame = await frame_with(socket, "m")
                return frame["o"], frame["m"]
            return again["first"], again["m"]

    for offset, events in await asyncio.gather(*(catches_up(socket, joined) for socket, joined in sockets)):
        assert (offset, [event["text"] for event in events]) == (first + 1, ["after"])
    await eventually(lambda: asyncio.to_thread(running.is_ready))
    running.wait_replaced("web-2", killed)
    for socket, _ in sockets:
        socket.transport.abort()


def test_a_role_alone_is_one_process():
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--role", "worker", "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "as often as you need it" in done.stderr
