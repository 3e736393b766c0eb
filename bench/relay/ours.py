"""Our media role as it is served, with a meter of the event loop's lag. `python -m bench.relay.ours <udp port>`.

Settings come from the environment as they do for the role, and so does whether there is a meter (METER=1): its 200
timers a second are no part of the relay's work. A line on standard input asks for the figures since the last one; the
answer is a line of JSON.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import time

import structlog
import uvloop

from app.settings import read_settings
from app.streams.relay.role import run_media

LOOK_S = 0.005


class SilentRooms:
    """Rooms that nobody is in."""

    async def set_state(self, *_) -> bool:
        return True


class Lag:
    """By how much timers of 5 ms come too late, in ms."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []

    async def run(self) -> None:
        while True:
            due_s = time.monotonic() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self.late_ms.append(max(0.0, (time.monotonic() - due_s) * 1000))

    def take(self) -> dict[str, float]:
        late, self.late_ms = sorted(self.late_ms), []
        if not late:
            return {}
        return {
            "lag_p50_ms": late[len(late) // 2],
            "lag_p99_ms": late[len(late) * 99 // 100],
            "lag_max_ms": late[-1],
            "turns": len(late),
        }


async def main() -> None:
    lag = Lag()

    async def say_ready() -> None:
        gc.collect()
        gc.freeze()
        print("ready", flush=True)

    def asked() -> None:
        if not sys.stdin.readline():
            serving.cancel()
            return
        print(json.dumps(lag.take()), flush=True)

    asyncio.get_running_loop().add_reader(sys.stdin, asked)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(run_media(read_settings(), SilentRooms(), say_ready))
        metering = tasks.create_task(lag.run()) if os.environ.get("METER") else None
        await asyncio.wait({serving})
        if metering is not None:
            metering.cancel()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(main())
