"""Web workers are killed and every line is cut while people speak: all come back, nothing is lost, nothing comes twice.

Seeded; the seed and what it took are printed. `long`: with 10,000 sockets, and in more orders.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from app import clock
from tests.faults.watchers import Book, Speaker, Watcher
from tests.running import RunningHawker
from tests.waiting import eventually_true

WORKERS = ("web", "web-2", "web-3")
BACK_GUARD_S = 150  # five times what is promised for a worker with 10,000 sockets
DIALS_AT_ONCE = 200


async def cookie_of(running: RunningHawker) -> str:
    async with httpx.AsyncClient(base_url=running.base_url, timeout=30) as client:
        answer = await client.post("/api/session", json={"demo": "viewer"})
        answer.raise_for_status()
        return answer.headers["set-cookie"].partition(";")[0]


class Room:
    """A show's watchers and speakers."""

    def __init__(self, seed: int) -> None:
        self.book = Book()
        self.dice = random.Random(seed)
        self.watchers: list[Watcher] = []
        self.stop = asyncio.Event()

    def missing(self) -> int:
        return sum(not one.is_in for one in self.watchers)

    async def all_back(self, what: str) -> None:
        """Prints how long 95 % took."""
        began_s, gone = clock.monotonic_s(), self.missing()
        await eventually_true(lambda: self.missing() <= len(self.watchers) * 0.05, BACK_GUARD_S, what)
        took_s = clock.monotonic_s() - began_s
        await eventually_true(lambda: self.missing() == 0, BACK_GUARD_S, what)
        sys.stdout.write(f"{what}: {gone} were away, 95 % were in after {took_s:.1f} s, all after ")
        sys.stdout.write(f"{clock.monotonic_s() - began_s:.1f} s\n")

    def everybody_heard_everything(self) -> None:
        book = self.book
        assert book.faults == []
        assert len(book.said) > 0
        assert {text: offset for offset, text in book.texts.items() if text in book.said} == book.said
        assert max(Counter(book.texts.values()).values()) == 1
        assert [one.offset for one in self.watchers] == [book.top] * len(self.watchers)


@asynccontextmanager
async def talking(running: RunningHawker, seed: int, watchers: int, speakers: int, per_s: float) -> AsyncIterator[Room]:
    """A room in which people speak until its end; then everybody has heard everything."""
    sys.stdout.write(f"seed {seed}\n")
    room = Room(seed)
    cookies = [await cookie_of(running) for _ in range(speakers)]
    speaking = [Speaker(running.port, room.book, room.dice, number, cookie) for number, cookie in enumerate(cookies)]
    room.watchers += speaking
    while len(room.watchers) < watchers + speakers:
        room.watchers += [
            Watcher(running.port, room.book, room.dice, len(room.watchers) + n) for n in range(DIALS_AT_ONCE)
        ]
        await eventually_true(lambda: room.missing() == 0, BACK_GUARD_S, "everybody in")
    talk = asyncio.gather(*(one.speak(room.stop, per_s) for one in speaking), return_exceptions=True)
    try:
        await eventually_true(lambda: len(room.book.said) > speakers, BACK_GUARD_S, "somebody speaking")
        yield room
        room.stop.set()
        assert await asyncio.wait_for(talk, BACK_GUARD_S) == [None] * speakers
        last = max(room.book.said.values())
        heard = lambda: all(one.offset is not None and one.offset >= last for one in room.watchers)  # noqa: E731
        await eventually_true(heard, BACK_GUARD_S, f"all at {last}")
        room.everybody_heard_everything()
    finally:
        talk.cancel()
        for one in room.watchers:
            one.leave()


async def kill_one(running: RunningHawker, room: Room) -> None:
    """The worker's viewers come back to the others; it is started again."""
    lost = room.book.lines_lost
    name = room.dice.choice(WORKERS)
    pid = running.kill(name)
    await eventually_true(lambda: room.book.lines_lost > lost or not psutil.pid_exists(pid), BACK_GUARD_S, "a death")
    await room.all_back(f"{name} was killed")
    await asyncio.to_thread(running.wait_replaced, name, pid, BACK_GUARD_S)


async def cut_all(room: Room) -> None:
    """Every line at once."""
    lost = room.book.lines_lost
    for one in room.watchers:
        one.drop()
    await eventually_true(lambda: room.book.lines_lost >= lost + len(room.watchers), BACK_GUARD_S, "all cut off")
    await room.all_back("all were cut off")


async def start(running: RunningHawker) -> None:
    await asyncio.to_thread(running.start, "--workers", str(len(WORKERS)))


@pytest.mark.timeout(300)
async def test_web_workers_die_and_all_lines_are_cut_while_people_speak(own_hawker):
    running = own_hawker(CHAT_PER_10_S="1000")
    await start(running)
    async with talking(running, seed=1, watchers=300, speakers=3, per_s=8) as room:
        await kill_one(running, room)
        await cut_all(room)
        await kill_one(running, room)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 6))
async def test_deaths_and_cuts_in_any_order(own_hawker, seed):
    running = own_hawker(CHAT_PER_10_S="1000")
    await start(running)
    async with talking(running, seed, watchers=300, speakers=4, per_s=10) as room:
        for _ in range(6):
            if room.dice.random() < 0.7:
                await kill_one(running, room)
            else:
                await cut_all(room)


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_a_web_worker_dies_with_ten_thousand_sockets_and_then_all_are_cut_off(own_hawker):
    running = own_hawker(CHAT_PER_10_S="1000")
    await start(running)
    async with talking(running, seed=6, watchers=10_000, speakers=2, per_s=1) as room:
        await kill_one(running, room)
        await cut_all(room)
