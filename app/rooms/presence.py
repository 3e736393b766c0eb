"""How many people watch: each web worker says its count every second, a worker-role loop adds them up.

Owns the state key `viewers` of the public rooms and the list of rooms that are open somewhere. Nobody is told who
comes or goes: only the sum is published, and only when it changed.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from app import clock
from app.rooms.bus import is_staff
from app.rooms.hub import Hub
from app.rooms.keys import channel_of, keys_of, room_script
from app.storage.loops import Loop

REPORT_PERIOD_S: Final = 1.0
WORD_AGE_MAX_MS: Final = 4_000
"""A worker that said nothing for so long has no viewers."""
WORDS_KEPT_MS: Final = 60_000
OPEN_ROOMS: Final = "rooms:open"
"""Sorted set: public room -> Unix ms when a worker last had it open."""
OPEN_AGE_MAX_MS: Final = 60 * 60 * 1000
OPEN_ROOMS_MAX: Final = 10_000

_present = room_script("present.lua")
_sum = room_script("sum.lua")


async def open_rooms(valkey: Redis) -> list[str]:
    """The public rooms (= shows) that were open somewhere in the last hour."""
    since = clock.now_ms() - OPEN_AGE_MAX_MS
    names: Any = await valkey.zrange(OPEN_ROOMS, "+inf", since, desc=True, byscore=True, offset=0, num=OPEN_ROOMS_MAX)
    return [name.decode() for name in names]


async def viewers_of(valkey: Redis, rooms: Sequence[str]) -> dict[str, int]:
    """How many people watch each of the rooms, as last published; a room that is not open is left out."""
    async with valkey.pipeline(transaction=False) as pipeline:
        for room in rooms:
            pipeline.hget(keys_of(room).state, "viewers")
        said = await pipeline.execute()
    # The state keeps "version value"; sum.lua writes the value.
    return {
        room: msgspec.json.decode(pair.partition(b" ")[2])["n"]
        for room, pair in zip(rooms, said, strict=True)
        if pair is not None
    }


async def mark_open(valkey: Redis, room: str) -> None:
    """Says that a room is open, so that the worker role's loops look after it."""
    await valkey.zadd(OPEN_ROOMS, {room: clock.now_ms()})


async def report(hub: Hub) -> None:
    """Says how many viewers each public room has in this worker."""
    for room, count in hub.counts().items():
        if not is_staff(room):
            await mark_open(hub.bus.valkey, room)
            await _present(hub.bus.valkey, (keys_of(room).here,), (hub.worker, count, WORDS_KEPT_MS))


async def sum_up(valkey: Redis) -> None:
    """Publishes each open room's number of viewers where it changed."""
    for room in await open_rooms(valkey):
        keys = keys_of(room)
        await _sum(valkey, (keys.head, keys.state, keys.here), (channel_of(room), WORD_AGE_MAX_MS))


def report_loop(hub: Hub) -> Loop:
    """The web role's part."""
    return Loop("presence report", REPORT_PERIOD_S, lambda: report(hub), where="web")


def sum_loop(valkey: Redis) -> Loop:
    """The worker role's part."""
    return Loop("presence sum", REPORT_PERIOD_S, lambda: sum_up(valkey))
