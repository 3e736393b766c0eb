"""Rooms on Valkey: owns the room's keys, channels and Lua scripts, and opens a room that Valkey does not know.

It never holds a socket and never decides who may speak: the sources and the scripts do.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from app import clock
from app.rooms import opening
from app.rooms.bus import (
    HISTORY_MAX,
    ONCE_TTL_MS,
    RULES,
    UNJUDGED,
    Answer,
    Backlogged,
    Crowded,
    Judged,
    Kept,
    Muted,
    Pace,
    Repeated,
    Said,
    Shared,
    Spoken,
    Stale,
    Story,
    Taken,
    TooFast,
    Warned,
    Welcome,
    WordsForm,
    show_of,
    staff_room,
)
from app.rooms.keys import RoomKeys, channel_of, keys_of, room_script
from app.rooms.opening import Memory, Remembered, give_back, open_room
from app.rooms.sources import Sources
from app.storage.valkey import Argument, server_of

SAME_MAX: Final = 2
"""So often may one person say the same in a row."""
SAME_TTL_MS: Final = 30_000
COPIES_MAX: Final = 50_000
"""Words of one room that may wait for Postgres; beyond that the room takes no more."""
VERSION_MAX: Final = 2**53 - 1
OPEN_TRIES_MAX: Final = 3
PEOPLE_CHANNEL: Final = "rooms:people"
"""For all workers: `<person> <session>` says that the sign-in session has ended."""

SPOKEN_KEPT: Final = 1000
"""Words that this process had acknowledged last: the bus may not have told of them yet."""

_append = room_script("append.lua")
_speak = room_script("speak.lua")
_pace = room_script("pace.lua")
_sanction = room_script("sanction.lua")
_replace = room_script("replace.lua")
_bury = room_script("bury.lua")
_set_state = room_script("set_state.lua")
_read = room_script("read.lua")
_publish = room_script("publish.lua")

encode: Final = msgspec.json.Encoder().encode


class RoomLostError(ConnectionError):
    """The room was lost again and again while it was being opened: Valkey is not keeping anything."""


class RoomView(msgspec.Struct, frozen=True):
    """A room of one instant: `events` are consecutive up to `top`; `state` maps a key to version and JSON value."""

    e: str
    top: int
    events: list[bytes]
    state: dict[str, tuple[int, bytes]]


class Head(msgspec.Struct, frozen=True):
    """Where a room stands: its epoch (None: closed), its top, and its state if that was asked for."""

    e: str | None
    top: int
    state: dict[str, tuple[int, bytes]]


class ValkeyRooms:
    """Implements app.rooms.bus.Rooms. Set `sources` before the first call (wiring does)."""

    def __init__(self, valkey: Redis, sources: Sources | None = None) -> None:
        self.valkey = valkey
        self.sources = sources
        self._openings: dict[str, asyncio.Task[None]] = {}
        self._spoken: deque[tuple[str, Remembered]] = deque(maxlen=SPOKEN_KEPT)

    async def append(self, room: str, event: msgspec.Struct) -> Spoken:
        """Appends a sequenced event."""
        keys = keys_of(room)
        args = (channel_of(room), encode(event), HISTORY_MAX)
        return _spoken(await self._in_open_room(room, lambda: _append(self.valkey, (keys.head, keys.log), args)))

    async def speak(
        self,
        room: str,
        person: str,
        event: msgspec.Struct,
        *,
        event_id: str,
        former_id: str,
        pace: Pace,
        judged: Judged = UNJUDGED,
        shared: Shared | None = None,
    ) -> Answer:
        """Appends a person's words, unless a sanction, the pace, other rules or the backlog is against it."""
        keys, words = keys_of(room), encode(event)
        retries = (keys.once(event_id), keys.once(former_id))
        own = (keys.pace(person, pace.name), keys.copies, keys.state, keys.same(person), keys.said(judged.likeness))
        all_shared, allowances = _allowances(keys, shared)
        script_keys = (keys.head, keys.log, keys.mutes, *retries, *own, *all_shared)
        args: tuple[Argument, ...] = (channel_of(room), person, words, event_id, former_id, HISTORY_MAX)
        args += (ONCE_TTL_MS, pace.every_ms, pace.burst, COPIES_MAX)
        version = "" if judged.rules is None else judged.rules
        judgement: tuple[Argument, ...] = (RULES, version, judged.likeness, SAME_MAX, SAME_TTL_MS, judged.then)
        judgement += (judged.unique_ms or "", *allowances)
        answer = await self._in_open_room(room, lambda: _speak(self.valkey, script_keys, (*args, "", *judgement)))
        if answer[0] == b"unsure":
            first = await self._said_before(room, (event_id, former_id))
            if first is not None:
                return first
            answer = await self._in_open_room(
                room, lambda: _speak(self.valkey, script_keys, (*args, "sure", *judgement))
            )
        told = ANSWERS[answer[0]](answer)
        if isinstance(told, Spoken):
            self._spoken.append((room, Remembered(told.e, told.o, words)))
        return told

    async def pace(self, room: str, person: str, pace: Pace) -> TooFast | None:
        """Counts one more of a kind."""
        wait_ms = await _pace(self.valkey, (keys_of(room).pace(person, pace.name),), (pace.every_ms, pace.burst))
        return TooFast(wait_ms) if wait_ms else None

    async def look(self, room: str, ids: Sequence[str]) -> Spoken | Kept | Stale:
        """The first try's answer, or the version of the rules."""
        keys = keys_of(room)
        async with self.valkey.pipeline(transaction=False) as pipeline:
            for event_id in ids:
                pipeline.hmget(keys.once(event_id), "epoch", "offset")
            pipeline.hget(keys.state, RULES)
            *tries, rules = await pipeline.execute()
        for event_id, (epoch, offset) in zip(ids, tries, strict=True):
            if epoch is not None:
                return Kept(event_id) if epoch == b"kept" else Spoken(epoch.decode(), int(offset), event_id)
        return Stale(0 if rules is None else int(rules.partition(b" ")[0]))

    async def _said_before(self, room: str, ids: Sequence[str]) -> Spoken | None:
        assert self.sources is not None
        for story in self.sources.stories:
            first = await story.said_before(show_of(room), ids)
            if first is not None:
                return first
        return None

    async def sanction(self, room: str, person: str, until_ms: int | None, event: msgspec.Struct | None) -> Spoken:
        """Silences a person and says so."""
        return await self._sanction(room, person, "ban" if until_ms is None else str(until_ms), event)

    async def absolve(self, room: str, person: str, event: msgspec.Struct | None) -> Spoken:
        """Lifts a person's sanction and says so."""
        return await self._sanction(room, person, "", event)

    async def _sanction(self, room: str, person: str, until: str, event: msgspec.Struct | None) -> Spoken:
        keys = keys_of(room)
        script_keys = (keys.head, keys.log, keys.mutes)
        args = (channel_of(room), person, until, b"" if event is None else encode(event), HISTORY_MAX)
        return _spoken(await self._in_open_room(room, lambda: _sanction(self.valkey, script_keys, args)))

    async def sanction_of(self, room: str, person: str) -> Muted | None:
        """The sanction that the room's copy has on the person. A lost room is opened first: it would know of none."""
        keys = keys_of(room)

        async def attempt() -> list[bytes | None]:
            async with self.valkey.pipeline(transaction=False) as pipeline:
                pipeline.hexists(keys.head, "epoch")
                pipeline.hget(keys.mutes, person)
                is_open, found = await pipeline.execute()
            return [found] if is_open else []

        (until,) = await self._in_open_room(room, attempt)
        if until is None:
            return None
        if until == b"ban":
            return Muted(None)
        left_ms = int(until) - clock.now_ms()
        return Muted(left_ms) if left_ms > 0 else None

    async def silenced(self, rooms: Sequence[str]) -> list[dict[str, int | None] | None]:
        """The rooms' copies of the sanctions."""
        async with self.valkey.pipeline(transaction=False) as pipeline:
            for room in rooms:
                pipeline.hexists(keys_of(room).head, "epoch")
                pipeline.hgetall(keys_of(room).mutes)
            answers = await pipeline.execute()
        return [
            {person.decode(): None if until == b"ban" else int(until) for person, until in mutes.items()}
            if is_open
            else None
            for is_open, mutes in zip(answers[::2], answers[1::2], strict=True)
        ]

    async def replace(self, room: str, at: Spoken, tombstone: msgspec.Struct, event: msgspec.Struct) -> Spoken:
        """Buries an event and says so."""
        keys = keys_of(room)
        script_keys = (keys.head, keys.log, keys.copies, keys.once(at.id))
        args = (channel_of(room), at.e, at.o, encode(tombstone), encode(event), HISTORY_MAX, ONCE_TTL_MS)
        return _spoken(await self._in_open_room(room, lambda: _replace(self.valkey, script_keys, args)))

    async def bury(self, room: str, person: str | None, form: WordsForm, event: msgspec.Struct) -> Spoken:
        """Buries all of one person's words, or everybody's, and says so."""
        keys = keys_of(room)
        script_keys = (keys.head, keys.log, keys.copies)
        args = (channel_of(room), person or "", form.pattern, form.tombstone, encode(event), HISTORY_MAX)
        return _spoken(await self._in_open_room(room, lambda: _bury(self.valkey, script_keys, args)))

    async def story(self, room: str) -> Story:
        """The room's history."""
        view = await self.read(room)
        first = view.top - len(view.events) + 1
        return Story(view.e, view.top, [Said(first + n, event) for n, event in enumerate(view.events)])

    async def set_state(self, room: str, key: str, version: int, value: msgspec.Struct | None) -> bool:
        """Sets a state key when the version is newer."""
        assert " " not in key, key
        assert 0 <= version <= VERSION_MAX, version
        keys = keys_of(room)
        args = (channel_of(room), key, version, encode(value))

        async def attempt() -> list[int]:
            done = await _set_state(self.valkey, (keys.head, keys.state), args)
            return [] if done < 0 else [done]

        return bool((await self._in_open_room(room, attempt))[0])

    async def react(self, room: str, sums: Mapping[str, int]) -> None:
        """Publishes sums of reactions."""
        await self._publish(room, b"r " + encode(sums))

    async def tell(self, show: str, person: str, hint: msgspec.Struct) -> None:
        """Sends a hint to one person's sockets of the show."""
        await self._publish(show, b"u " + person.encode() + b" " + encode(hint))

    async def standing_changed(self, show: str, person: str) -> None:
        """Makes the person's open sockets of the show ask for their rights again, whichever room they are in."""
        for room in (show, staff_room(show)):  # a worker listens to those only that somebody joined there
            await self._publish(room, b"s " + person.encode())

    async def _publish(self, room: str, message: bytes) -> None:
        await _publish(self.valkey, (keys_of(room).head,), (channel_of(room), message))

    async def signed_out(self, person: str, session: str) -> None:
        """Closes the sockets that the ended session opened."""
        await self.valkey.publish(PEOPLE_CHANNEL, f"{person} {session}")

    async def read(self, room: str) -> RoomView:
        """All that a worker must know of a room."""
        keys = keys_of(room)
        script_keys = (keys.head, keys.log, keys.state)
        answer = await self._in_open_room(room, lambda: _read(self.valkey, script_keys))
        epoch, top, events, flat = answer
        return RoomView(epoch.decode(), top, events, _read_state(dict(zip(flat[::2], flat[1::2], strict=True))))

    async def heads(self, rooms: Sequence[str], *, with_state: bool) -> list[Head]:
        """Where each room stands, without opening any; closed when it was written under another server."""
        async with self.valkey.pipeline(transaction=False) as pipeline:
            pipeline.info("server")
            for room in rooms:
                keys = keys_of(room)
                pipeline.hmget(keys.head, "epoch", "top", "server")
                if with_state:
                    pipeline.hgetall(keys.state)
            info, *answers = await pipeline.execute()
        here = server_of(info).encode()
        heads, states = (answers[::2], answers[1::2]) if with_state else (answers, [{}] * len(answers))
        return [
            Head(epoch.decode(), int(top), _read_state(state)) if epoch and server == here else Head(None, 0, {})
            for (epoch, top, server), state in zip(heads, states, strict=True)
        ]

    async def has_sharded_channels(self) -> bool:
        """Whether the scripts publish on sharded channels here (room.lua tries the same command)."""
        try:
            await self.valkey.spublish(PEOPLE_CHANNEL, "")
        except NoPermissionError:
            return False
        except ResponseError as error:
            if "unknown command" not in str(error).lower():
                raise
            return False
        return True

    async def give_back(self, room: str, epoch: str, memory: Memory) -> int:
        """Gives the room, which is open under `epoch`, what this process remembers of it and the room does not; how
        many events the room got by it, -1 when it is open under another epoch by now.

        The words that were spoken here may be of an epoch that this process never read: it began and was lost between
        two readings.
        """
        assert self.sources is not None
        spoken = [one for name, one in self._spoken if name == room and one.epoch != epoch]
        unheard = [one for one in spoken if one.epoch != memory.epoch or one.offset > memory.top]
        return await give_back(self.valkey, self.sources, room, epoch, [*memory.all(), *unheard])

    async def keep(self, rooms: Sequence[str]) -> None:
        """Says that the rooms are in use: their keys are kept for ROOM_KEPT_MS from now."""
        async with self.valkey.pipeline(transaction=False) as pipeline:
            for room in rooms:
                keys = keys_of(room)
                for key in (keys.head, keys.log, keys.state, keys.mutes):
                    pipeline.pexpire(key, opening.ROOM_KEPT_MS)
            await pipeline.execute()

    async def reopen(self, room: str, epoch: str, top: int) -> None:
        """Opens a room anew whose epoch is still `epoch` but whose top fell below `top`: its tail is lost."""
        await self._open(room, epoch, top)

    async def _in_open_room(self, room: str, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """The attempt's answer; an empty one says that the room is closed, which is opened then."""
        for _ in range(OPEN_TRIES_MAX):
            answer = await attempt()
            if answer:
                return answer
            opening = self._openings.get(room)
            if opening is None:
                opening = asyncio.create_task(self._open(room, "", 0), name=f"open {room}")
                self._openings[room] = opening
                opening.add_done_callback(lambda _: self._openings.pop(room, None))
            await asyncio.shield(opening)
        raise RoomLostError(room)

    async def _open(self, room: str, lost_epoch: str, lost_top: int) -> None:
        assert self.sources is not None, "set ValkeyRooms.sources before the first call"
        await open_room(self.valkey, self.sources, room, lost_epoch, lost_top)


ANSWERS: Final[Mapping[bytes, Callable[[Sequence[Any]], Answer]]] = {
    b"said": lambda answer: Spoken(answer[1].decode(), answer[2], answer[3].decode()),
    b"kept": lambda answer: Kept(answer[1].decode(), answer[2]),
    b"welcome": lambda _: Welcome(),
    b"muted": lambda answer: Muted(None if answer[1] < 0 else answer[1]),
    b"warned": lambda _: Warned(),
    b"stale": lambda answer: Stale(answer[1]),
    b"same": lambda answer: Repeated(answer[1]),
    b"taken": lambda answer: Taken(answer[1]),
    b"fast": lambda answer: TooFast(answer[1]),
    b"crowded": lambda answer: Crowded(answer[1]),
    b"backlog": lambda _: Backlogged(),
}
"""What speak.lua answers, as values."""


def _read_state(stored: Mapping[bytes, bytes]) -> dict[str, tuple[int, bytes]]:
    state = {}
    for key, pair in stored.items():
        version, _, value = pair.partition(b" ")
        state[key.decode()] = (int(version), value)
    return state


def _allowances(keys: RoomKeys, shared: Shared | None) -> tuple[tuple[str, str], tuple[Argument, ...]]:
    """The keys of what somebody shares with others, and the arguments about them."""
    places = (keys.pace_from(shared.place if shared and shared.place else ""), keys.pace_of_all)
    if shared is None:
        return places, ("",) * 4
    by_place = ("", "") if shared.place is None else (shared.by_place.every_ms, shared.by_place.burst)
    return places, (*by_place, shared.by_room.every_ms, shared.by_room.burst)


def _spoken(answer: Sequence[Any]) -> Spoken:
    return Spoken(answer[0].decode(), answer[1])
