"""Opening a room that Valkey does not know, or no longer as it was: owns what it is rebuilt from and in which order.

The sources (Postgres) come first and decide. What they lack because it was said less than a second before the loss is
given back by whoever remembers it: each web worker from its ring, the opener from what is left of the old history.
It never decides what is said or who may speak.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from app import clock
from app.rooms.bus import HISTORY_MAX, ONCE_TTL_MS, is_staff, show_of
from app.rooms.keys import channel_of, keys_of, room_script
from app.rooms.sources import Sources
from app.storage.valkey import Argument

ROOM_KEPT_MS: Final = 6 * 60 * 60 * 1000
"""How long a room that no worker has open is kept; afterwards it is rebuilt like a lost one."""

BURIED_SINCE: Final = -2
"""What give_back.lua answers when words were deleted after Postgres was asked."""

_open_room = room_script("open.lua")
_give_back = room_script("give_back.lua")
_encode: Final = msgspec.json.Encoder().encode


class Remembered(msgspec.Struct, frozen=True):
    """An event as it was said."""

    epoch: str
    offset: int
    event: bytes


class Memory(msgspec.Struct, frozen=True):
    """A worker's memory of a room: consecutive events up to `top`."""

    epoch: str
    top: int
    events: Sequence[bytes]

    def all(self) -> Iterable[Remembered]:
        """Each with its offset."""
        first = self.top - len(self.events) + 1
        return (Remembered(self.epoch, first + n, event) for n, event in enumerate(self.events))


async def open_room(valkey: Redis, sources: Sources, room: str, lost_epoch: str, lost_top: int) -> None:
    """Reads the sources, then opens the room with what they said. Raises what a source raises."""
    show, keys = show_of(room), keys_of(room)
    left_over = await _left_over(valkey, room, lost_epoch)
    events: list[bytes] = []
    states: list[Argument] = []
    mutes: list[Argument] = []
    if not is_staff(room):
        for story in sources.stories:
            events += [_encode(event) for event in await story.story_of(show)]
        for source in sources.states:
            for key, version, value in await source.state_of(show):
                states += [key, version, _encode(value)]
        for silencer in sources.sanctions:
            for person, until_ms in (await silencer.sanctions_of(show)).items():
                mutes += [person, "ban" if until_ms is None else until_ms]
    events = events[-HISTORY_MAX:]
    unsure_ms = ONCE_TTL_MS if events else 0
    head: list[Argument] = [channel_of(room), clock.new_id(), lost_epoch, lost_top, ROOM_KEPT_MS, unsure_ms]
    head += [len(events), len(states) // 3, len(mutes) // 2]
    args = [*head, *events, *states, *mutes]
    epoch = (await _open_room(valkey, (keys.head, keys.log, keys.state, keys.mutes), args)).decode()
    if left_over:
        await give_back(valkey, sources, room, epoch, left_over)


async def _left_over(valkey: Redis, room: str, lost_epoch: str) -> list[Remembered]:
    """What is left of the history of a room that is lost."""
    keys = keys_of(room)
    async with valkey.pipeline(transaction=True) as pipeline:
        pipeline.hmget(keys.head, "epoch", "lost", "top")
        pipeline.lrange(keys.log, 0, -1)
        head, events = await pipeline.execute()
    present, lost, top = head
    if present is not None:
        lost = present if present.decode() == lost_epoch else None
    return [] if lost is None else list(Memory(lost.decode(), int(top), events).all())


async def give_back(valkey: Redis, sources: Sources, room: str, epoch: str, memory: Sequence[Remembered]) -> int:
    """Appends to the room, open under `epoch`, what is remembered and missing in it; how many events that were, -1 when
    the room is open under another epoch by now.

    Words that were deleted are not given back. Words that Postgres knows are when their copy was on its way while the
    room was being opened: it came too late for the history.
    """
    if is_staff(room) or not memory:
        return 0
    keys, at = keys_of(room), {one.event: one for one in memory}
    answer = BURIED_SINCE
    while answer == BURIED_SINCE:
        buried: Any = await valkey.hget(keys.head, "buried")
        history: Any = await valkey.lrange(keys.log, 0, -1)
        names = [keys.head, keys.log, keys.mutes, keys.copies]
        args: list[Argument] = [channel_of(room), epoch, buried or b"", HISTORY_MAX, ONCE_TTL_MS]
        for story in sources.stories:
            for words in await story.missing(show_of(room), list(at), history):
                names.append(keys.once(words.id))
                args += [words.person, words.event, at[words.event].epoch, at[words.event].offset]
        if len(names) == 4:
            return 0
        answer = int(await _give_back(valkey, names, args))
    return answer
