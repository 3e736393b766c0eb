"""A whole Hawker with two web workers: people talk while its Valkey is wiped and killed, and lose nothing of it."""

import asyncio
from collections import Counter

import httpx
import msgspec
import pytest
import websockets
from redis.asyncio import Redis

from tests.waiting import eventually, eventually_true

GUARD_S = 60
WORDS = 48  # a snapshot has fifty
WIPES_AFTER = (8, 20, 32)
KILL_AFTER = 40


class Talker:
    """One person with one socket at a time: says numbered words, and says them again until it has an answer."""

    def __init__(self, base_url, cookie):
        self.url = base_url.replace("http", "ws") + "/ws/shows/demo"
        self.cookie = cookie
        self.socket = None
        self.epoch = self.offset = None
        self.texts: list[str] = []

    async def open(self):
        async def joined():
            try:
                self.socket = await websockets.connect(
                    self.url, compression=None, additional_headers={"Cookie": self.cookie}
                )
                join = {"op": "join", "epoch": self.epoch, "since": self.offset}
                await self.socket.send(msgspec.json.encode(join).decode())
                return await self.until("joined")
            except (OSError, websockets.WebSocketException):
                return False

        await eventually(joined, GUARD_S)

    async def frame(self):
        frame = msgspec.json.decode(await asyncio.wait_for(self.socket.recv(), GUARD_S))
        self.take(frame)
        return frame

    async def until(self, key, value=None):
        while True:
            frame = await self.frame()
            if key in frame and value in {None, frame[key] if isinstance(frame[key], str) else None}:
                return frame

    def take(self, frame):
        fresh = frame.get("joined")
        if fresh is not None:
            if not fresh["recovered"]:
                self.texts = []
            frame, self.epoch, self.offset = {"m": fresh["m"]}, fresh["e"], fresh["o"]
        elif "m" in frame:
            self.offset = frame["o"] + len(frame["m"]) - 1
        self.texts += [event["text"] for event in frame.get("m", ()) if event["t"] == "chat"]

    async def say(self, text):
        """Until it is acknowledged."""

        async def acknowledged():
            try:
                await self.socket.send(msgspec.json.encode({"op": "chat.post", "id": text, "text": text}).decode())
                return "error" not in await self.until("re", text)
            except (OSError, websockets.WebSocketException):
                await self.open()
                return False

        await eventually(acknowledged, GUARD_S, text)


async def test_what_people_were_told_was_said_stands_once_after_every_kill_and_wipe_of_valkey(own_hawker):
    running = own_hawker(CHAT_PER_10_S="1000").start("--workers", "2")
    async with httpx.AsyncClient(base_url=running.base_url, timeout=GUARD_S) as client:
        cookies = []
        for _ in range(2):
            answer = await client.post("/api/session", json={"demo": "viewer"})
            cookies.append(answer.headers["set-cookie"].partition(";")[0])
            client.cookies.clear()
    talkers = [Talker(running.base_url, cookie) for cookie in cookies for _ in range(2)]
    for talker in talkers:
        await talker.open()

    said = 0

    async def talk(number):
        nonlocal said
        for n in range(WORDS // len(talkers)):
            await talkers[number].say(f"{number}-{n}")
            said += 1

    async def break_things():
        for count in WIPES_AFTER:
            await eventually_true(lambda count=count: said >= count, GUARD_S)
            async with Redis.from_url(running.valkey_url) as valkey:
                await valkey.flushall()
        await eventually_true(lambda: said >= KILL_AFTER, GUARD_S)
        killed = await asyncio.to_thread(running.kill, "valkey")
        await asyncio.to_thread(running.wait_replaced, "valkey", killed)

    expected = sorted(f"{number}-{n}" for number in range(len(talkers)) for n in range(WORDS // len(talkers)))
    await asyncio.gather(break_things(), *(talk(number) for number in range(len(talkers))))

    heard = Counter()

    async def newcomer_has_all():
        late = Talker(running.base_url, cookies[0])
        await late.open()
        await late.socket.close()
        heard.clear()
        heard.update(late.texts)
        return heard == Counter(expected)

    try:
        await eventually(newcomer_has_all, GUARD_S)
    except AssertionError:
        wrong = {text: heard[text] for text in {*expected, *heard} if heard[text] != expected.count(text)}
        pytest.fail(f"words with how often a newcomer heard them: {wrong}")
    for talker in talkers:
        while len(talker.texts) < len(expected):
            await talker.frame()
        assert sorted(talker.texts) == expected
        talker.socket.transport.abort()
