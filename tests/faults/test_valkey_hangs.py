"""Valkey answers nobody, whether it does what it is asked or is stopped: everyone is told so soon, no socket hangs, and
nothing is sold twice.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import msgspec
import pytest
import websockets

from app import clock
from tests.faults.buyers import check_books, gather_crowd, start_sale
from tests.faults.test_room_through_faults import cookie_of
from tests.running import RunningHawker
from tests.storage.stock_world import open_world
from tests.valkey_servers import client_of, own_valkeys, switch
from tests.waiting import eventually, eventually_true

TIMEOUT_S = 1.0  # for ordinary answers, too: a slow moment must not look like a hang
TOLD_GUARD_S = 60


@asynccontextmanager
async def mute(folder: Path):
    """A Valkey that does what it is asked; its answers are kept back."""
    with own_valkeys(folder) as start:
        server = await start()
        async with switch(server.port) as front:
            yield front.url, front.flowing.clear, front.flowing.set


@asynccontextmanager
async def stopped(folder: Path):
    """A Valkey that is stopped, and later does what it was asked meanwhile."""
    with own_valkeys(folder) as start:
        server = await start()

        def send(sign: signal.Signals) -> Callable[[], None]:
            return lambda: os.kill(server.process.pid, sign)

        yield server.url, send(signal.SIGSTOP), send(signal.SIGCONT)


@pytest.mark.parametrize("how", [mute, stopped])
async def test_while_valkey_hangs_everyone_is_told_so_and_the_same_keys_go_on_afterwards(
    tmp_path, pg, monkeypatch, how
):
    monkeypatch.setattr("app.storage.valkey.SOCKET_TIMEOUT_S", TIMEOUT_S)
    async with how(tmp_path) as (url, hang, go_on), client_of(url) as valkey, open_world(pg, valkey) as world:
        pool = (await world.sale(3, per_buyer_limit=1))["pool"]
        payer, *takers = await world.buyers(5)
        hold, order_key, keys = await world.held(payer, pool), clock.new_id(), [clock.new_id() for _ in takers]

        async def all_ask():
            taking = (world.take(taker, pool, key=key) for taker, key in zip(takers, keys, strict=True))
            return await asyncio.gather(world.order(payer, hold, key=order_key), *taking)

        hang()
        told = await asyncio.wait_for(all_ask(), TOLD_GUARD_S)
        assert [answer.status_code for answer in told[1:]] == [503] * len(takers)
        assert told[0].status_code in {201, 503, 504}
        go_on()

        async def settled():
            answers = await all_ask()
            return answers if {answer.status_code for answer in answers} <= {201, 409} else None

        paid, *taken = await eventually(settled, 60, "Valkey answers again")
        assert paid.status_code == 201
        assert sorted(answer.status_code for answer in taken) == [201, 201, 409, 409]
        assert {answer.json()["code"] for answer in taken if answer.status_code == 409} == {"all_held"}
        await world.settle_all()
        await world.check(pool)


HANGS_S = 30
ANSWER_GUARD_S = 25  # five seconds are promised


class Visitor:
    """One socket that notes how long each of its commands went unanswered, and comes back when it is closed."""

    def __init__(self, running: RunningHawker, cookie: str) -> None:
        self._url = f"ws://127.0.0.1:{running.port}/ws/shows/demo"
        self._cookie = cookie
        self.waits_s: list[float] = []
        self.answers: list[str] = []

    async def talk(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(OSError, websockets.WebSocketException):
                async with websockets.connect(
                    self._url, additional_headers={"Cookie": self._cookie}, open_timeout=ANSWER_GUARD_S
                ) as line:
                    await self._use(line, stop)

    async def _use(self, line: websockets.ClientConnection, stop: asyncio.Event) -> None:
        await line.send(msgspec.json.encode({"op": "join"}).decode())
        while not stop.is_set():
            asked, id_ = clock.monotonic_s(), clock.new_id()
            command = {"op": "chat.post", "id": id_, "text": f"I am here {id_}"}
            await line.send(msgspec.json.encode(command).decode())
            try:
                answer = await asyncio.wait_for(self._answer(line, id_), ANSWER_GUARD_S)
            finally:  # closed is an answer too
                self.waits_s.append(clock.monotonic_s() - asked)
            self.answers.append(answer.get("error", {}).get("code", "done"))

    @staticmethod
    async def _answer(line: websockets.ClientConnection, id_: str) -> dict:
        while True:
            told = msgspec.json.decode(await line.recv())
            if told.get("re") == id_:
                return told


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_hawker_whose_valkey_is_stopped_for_half_a_minute_answers_everybody_and_sells_on(own_hawker):
    quick = {"SETTLE_AFTER_S": "2", "PAYMENT_TIMEOUT_S": "2", "HOLD_TTL_S": "4", "PAYMENT_DECLINES_MAX": "10000"}
    running = own_hawker(CHAT_PER_10_S="1000", **quick)
    await asyncio.to_thread(running.start)
    async with httpx.AsyncClient(base_url=running.base_url, timeout=ANSWER_GUARD_S) as http:
        crowd = await gather_crowd(running, http, 6, [100_000, 60], seed=1)
        crowd.pools.append(await start_sale(running, http, crowd.pools[1], 30, 5))
        visitor, stop = Visitor(running, await cookie_of(running)), asyncio.Event()
        talking = asyncio.create_task(visitor.talk(stop))
        crowd.start()
        await crowd.goes_on()
        await eventually_true(lambda: "done" in visitor.answers, 30, "somebody speaks")
        pid = running.kill("valkey", signal.SIGSTOP)
        began = clock.monotonic_s()
        await eventually_true(lambda: clock.monotonic_s() - began > HANGS_S, 2 * HANGS_S)
        during = list(visitor.answers)
        os.kill(pid, signal.SIGCONT)
        await crowd.goes_on()
        await eventually_true(lambda: visitor.answers[len(during) :].count("done") > 1, 60, "somebody speaks again")
        stop.set()
        await crowd.stop()
        await asyncio.wait_for(talking, ANSWER_GUARD_S)
        assert max(visitor.waits_s) < ANSWER_GUARD_S, visitor.waits_s
        assert set(visitor.answers) - {"done", "same_again"}, "nothing was noticed of a Valkey that hung"
        await check_books(running, crowd, 60)
    assert [line for line in running.log if "level='error'" in line or "ended (exit status" in line] == []
