"""Who takes holds: redis-benchmark, a bare socket with whole batches, redis-py one by one, and the product's gate.

Each takes one unit a hold from one pool, for ever new persons under ever new keys, and answers with how many holds it
was granted in how many seconds.
"""

import asyncio
import itertools
import math
import random
import re
import shutil
import socket
import subprocess
import time
from array import array
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

import hiredis
import uvloop

from app.flash_sales.gate import Decided, Gate
from app.flash_sales.gate_wire import (
    GateAnswer,
    GateResult,
    decode_result,
    encode,
    encode_operations,
    gate_keys,
    hold_id,
)
from app.rooms.pauses import short_pauses
from app.storage.group_commit import Overloaded
from app.storage.valkey import open_valkey
from bench.flash_sales.server import LABEL, Server

POOL = "z9x8c7v6b5n4"
BATCH = 256
BATCHES_IN_FLIGHT = 4
BENCHMARK_CLIENTS = 50
ONE_BY_ONE_CALLERS = 64
# Over four hours: longer than a run, and without a zero byte, at which redis-benchmark would end its argument.
TTL_MS = 0x01010101
RANDOM = "__rand_int__"  # redis-benchmark puts twelve digits there
_numbers = itertools.count(1)
Answered: TypeAlias = Decided | GateAnswer


@dataclass(frozen=True)
class Taken:
    """What a contender did. `p99_ms` only where somebody waits for each hold. `waited_share`: how much of the time
    the server or the asker was ready to run and had no core, both added up: what other work on the machine took.
    """

    holds: int
    seconds: float
    p99_ms: float = math.nan
    waited_share: float = math.nan

    @property
    def per_s(self) -> float:
        return self.holds / self.seconds


def fresh_take(number: int) -> tuple:
    """An operation as the gate writes it, with ids and key as long as people's."""
    person, key = f"{number:012}", f"{number:036}"
    return ("take", hold_id(POOL, person, key, person), person, key, "1:" + LABEL.show, 1, LABEL.show, TTL_MS)


class Silence:
    """Stands in for the room's voice."""

    def heard(self, pool: str, result: GateResult) -> None:
        """Says nothing."""


def evalsha(server: Server, count: int) -> Taken:
    """redis-benchmark: the product's script, one hold a call."""
    program = shutil.which("redis-benchmark")
    if program is None:
        raise SystemExit("redis-benchmark is missing (Debian: sudo apt-get install redis-tools)")
    # Two random numbers in the hold's place: with one of thirty bits, two holds of a run would now and then be one.
    hold = f"{POOL}-a{RANDOM}{RANDOM}".ljust(len(hold_id(POOL, "", "", RANDOM)), "-")
    take = ("take", hold, RANDOM, f"{RANDOM}{RANDOM}{RANDOM}", "1:" + LABEL.show, 1, LABEL.show, TTL_MS)
    packed = encode([take])
    assert b"\0" not in packed
    keys = gate_keys(POOL).all
    command = [
        *(program, "-s", server.socket, "-c", str(BENCHMARK_CLIENTS), "-n", str(count), "-r", str(2**30), "-q", "-x"),
        *("EVALSHA", server.hold_sha, str(len(keys)), *keys),
    ]
    done = subprocess.run(command, input=packed, capture_output=True, check=True)
    said = re.findall(rb"([0-9.]+) requests per second", done.stdout)
    if done.stderr or not said:
        raise RuntimeError(f"redis-benchmark: {done.stderr!r} {done.stdout!r}")
    return Taken(count, count / float(said[-1]))


def batches(server: Server, count: int) -> Taken:
    """The script alone: whole batches made beforehand, some always on their way, answers read and not looked at."""
    sets = [encode_operations([fresh_take(next(_numbers)) for _ in range(BATCH)]) for _ in range(count // BATCH)]
    keys = gate_keys(POOL).all
    calls = [hiredis.pack_command(("EVALSHA", server.hold_sha, len(keys), *keys, one)) for one in sets]
    reader, answers = hiredis.Reader(), []
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(server.socket)
        began = time.perf_counter()
        sent = 0
        while len(answers) < len(calls):
            while sent < len(calls) and sent - len(answers) < BATCHES_IN_FLIGHT:
                line.sendall(calls[sent])
                sent += 1
            reader.feed(line.recv(1 << 20))
            while (answer := reader.gets()) is not False:
                answers.append(answer)
        took_s = time.perf_counter() - began
    granted = sum(one.code == "granted" for answer in answers for one in decode_result(answer).answers)
    return Taken(granted, took_s)


def one_by_one(server: Server, seconds: float) -> Taken:
    """redis-py: each caller sends its own call."""

    async def measure() -> Taken:
        valkey = open_valkey(f"unix://{server.socket}")
        keys = gate_keys(POOL).all

        async def take() -> GateAnswer:
            packed = encode([fresh_take(next(_numbers))])
            return decode_result(await valkey.evalsha(server.hold_sha, len(keys), *keys, packed)).answers[0]

        try:
            return await closed_loop(take, ONE_BY_ONE_CALLERS, seconds)
        finally:
            await valkey.aclose()

    return run(measure)


def ours(server: Server, callers: int, seconds: float) -> Taken:
    """The product's gate, each caller asking again as soon as it was answered."""

    async def measure() -> Taken:
        valkey = open_valkey(f"unix://{server.socket}")
        try:
            return await closed_loop(taker(Gate(None, valkey, Silence())), callers, seconds)
        finally:
            await valkey.aclose()

    return run(measure)


def ours_open(server: Server, per_s: float, seconds: float) -> Taken:
    """The product's gate, asked at a rate that does not wait for it."""

    async def measure() -> Taken:
        valkey = open_valkey(f"unix://{server.socket}")
        try:
            return await open_loop(taker(Gate(None, valkey, Silence())), per_s, seconds)
        finally:
            await valkey.aclose()

    return run(measure)


def taker(gate: Gate) -> Callable[[], Coroutine[Any, Any, Decided]]:
    """Takes one hold of a new person."""

    def take() -> Coroutine[Any, Any, Decided]:
        number = next(_numbers)
        return gate.take(
            POOL,
            person=f"{number:012}",
            key=f"{number:036}",
            body="1:" + LABEL.show,
            quantity=1,
            show=LABEL.show,
            ttl_ms=TTL_MS,
        )

    return take


def run(measure: Callable[[], Awaitable[Taken]]) -> Taken:
    """On the event loop, and under the garbage collector's settings, that Hawker is served with."""
    with short_pauses(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure())


async def closed_loop(take: Callable[[], Awaitable[Answered]], callers: int, seconds: float) -> Taken:
    """All callers for so long; what they began is waited for and counted."""
    await take()  # connected, and the script is known
    waits = array("d")
    now = time.perf_counter
    granted = 1
    began = now()
    until = began + seconds

    async def ask_on() -> None:
        nonlocal granted
        asked = now()
        while asked < until:
            answer = await take()
            granted += answer.code == "granted"
            answered = now()
            waits.append(answered - asked)
            asked = answered

    await asyncio.gather(*(ask_on() for _ in range(callers)))
    return Taken(granted, now() - began, p99_ms(waits))


async def open_loop(take: Callable[[], Awaitable[Answered]], per_s: float, seconds: float) -> Taken:
    """Arrivals by the dice (exponential gaps); each wait counts from when it was due, not from when we came to it.

    What asks shares a core with what is measured, so it is kept cheap: the dice fall beforehand, and an arrival is a
    coroutine that is run by hand, where a task would cost as much as the hold. Who finds the group full waits for ever.
    """
    await take()
    failed: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: failed.append(told["exception"]))
    dice = random.Random(1)
    dues = array("d", itertools.accumulate(dice.expovariate(per_s) for _ in range(int(per_s * seconds))))
    came = _Came()
    now = time.perf_counter
    began = now()
    begun = 0
    while begun < len(dues):
        late = now() - began
        while begun < len(dues) and dues[begun] <= late:
            _Arrival(take, began + dues[begun], came).go_on()
            begun += 1
        await asyncio.sleep(0.0005)
    while len(came.waits) < len(dues) and not failed:
        await asyncio.sleep(0.001)
    if failed:
        raise BaseExceptionGroup("arrivals failed", failed)
    return Taken(1 + came.granted, now() - began, p99_ms(came.waits))


class _Came:
    """What became of all arrivals so far."""

    def __init__(self) -> None:
        self.waits = array("d")
        self.granted = 0


class _Arrival:
    """One request, from when it was due until its answer. `go_on` is what a task would do for it."""

    __slots__ = ("_asks", "_came", "_due")

    def __init__(self, take: Callable[[], Awaitable[Answered]], due: float, came: _Came) -> None:
        self._asks = take().__await__()
        self._came = came
        self._due = due

    def go_on(self, _answered: object = None) -> None:
        """Runs until it must wait, and is called again by what it waits for."""
        came = self._came
        try:
            answer = next(self._asks)
        except StopIteration as done:
            came.granted += done.value.code == "granted"
            came.waits.append(time.perf_counter() - self._due)
        except Overloaded:
            came.waits.append(math.inf)
        else:
            answer._asyncio_future_blocking = False
            answer.add_done_callback(self.go_on)


def p99_ms(waits: array) -> float:
    """Of all waits, none left out."""
    return sorted(waits)[len(waits) * 99 // 100] * 1000
