"""All rooms of one worker: keeps each in step with the bus and finds the viewers that news is for.

Owns the worker's one subscription, the readings of whole rooms (at the first viewer, after a hole, after a reconnect,
and now and then, since a lost last message leaves no hole) and the index of people. Sockets and commands are not its
business.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import structlog
from redis.asyncio.client import PubSub

from app import clock
from app.outage import EXTERNAL, is_outage
from app.person import Person
from app.rooms.bus import is_staff
from app.rooms.figures import Tally
from app.rooms.frames import hint_body, text_frame
from app.rooms.keys import channel_of
from app.rooms.news import Hinted, News, Opened, Reacted, Set, StandingChanged, Told, read_news
from app.rooms.room import LocalRoom
from app.rooms.session import Phase
from app.rooms.valkey_bus import PEOPLE_CHANNEL, Head, ValkeyRooms
from app.rooms.viewer import Viewer
from app.storage.loops import backoff_s

CHECK_PERIOD_S: Final = 1.0
REREAD_EVERY: Final = 3
"""Each so many checks all state keys are read again."""
KEEP_EVERY: Final = 60
"""Each so many checks Valkey is told that the rooms are in use."""
LINGER_CHECKS: Final = 15
"""A room without viewers is kept for so many checks: a page that reloads finds it warm."""
REACH_PERIOD_S: Final = 0.1
"""A room is read so often at most for viewers who say that they have seen more of it."""
BACKLOG_MAX: Final = 2000
"""News kept while a room is being read; beyond that it is read once more."""
LISTEN_TIMEOUT_S: Final = 1.0
SIGN_OUTS_KEPT: Final = 256
"""For sockets that are being admitted while their session ends."""

_log = structlog.get_logger("hawker.rooms")


class RoomUnreadableError(ConnectionError):
    """The room could not be read now."""


class Standings(Protocol):
    """What the hub does about a person whose rights changed; app/rooms/socket.py implements it."""

    async def ask_again(self, viewers: list[Viewer]) -> None:
        """Asks for the standing of these sockets of one person and acts on it."""

    def sign_out(self, viewers: list[Viewer]) -> None:
        """Closes these sockets: their sign-in has ended."""


class _Tracked:
    """A room and how it is kept in step."""

    __slots__ = ("backlog", "behind", "guests", "idle_checks", "loaded", "loading", "reached_s", "room", "subscribed")

    def __init__(self, name: str, tally: Tally) -> None:
        self.room = LocalRoom(name, tally)
        self.subscribed = asyncio.Event()
        self.loaded = False
        self.loading: asyncio.Task[None] | None = None
        self.backlog: list[Told | Set | Opened] = []
        self.behind = 0  # a top seen at the last check that the bus had not told of
        self.reached_s = -REACH_PERIOD_S  # when it was read for a viewer who has seen more
        self.guests = 0  # viewers, those whose join is being prepared among them
        self.idle_checks = 0


class Hub:
    """The worker's rooms. Use it inside `async with hub.running():`."""

    def __init__(self, bus: ValkeyRooms) -> None:
        self.bus = bus
        self.worker = clock.new_id()
        self.standings: Standings | None = None
        self.tally = Tally()
        self._rooms: dict[str, _Tracked] = {}
        self._by_channel: dict[bytes, _Tracked] = {}
        self._people: dict[str, set[Viewer]] = {}
        self._signed_out: deque[tuple[str, str]] = deque(maxlen=SIGN_OUTS_KEPT)
        self._pubsub: PubSub | None = None
        self._sharded = False  # which kind of channel the present subscription is to
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._checks = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listens to the bus and checks the rooms until left."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.spawn(self._keep(self._listen))
            self.spawn(self._keep(self._check_for_ever))
            try:
                yield
            finally:
                self._group = None
                for task in tuple(self._tasks):
                    task.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Has `work` done, at the longest until the hub is left. What it raises ends the hub."""
        assert self._group is not None, "use the hub inside `async with hub.running()`"
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Viewers.

    async def enter(self, name: str) -> LocalRoom:
        """The room, in step with the bus. Raises what reading it raises."""
        tracked = self._rooms.get(name)
        if tracked is None:
            tracked = _Tracked(name, self.tally)
            self._rooms[name] = self._by_channel[channel_of(name).encode()] = tracked
            if self._pubsub is not None:
                await self._subscribe(self._pubsub, [name])
        tracked.idle_checks = 0
        if not tracked.loaded:
            async with asyncio.timeout(LISTEN_TIMEOUT_S * 5):
                await tracked.subscribed.wait()
            await asyncio.shield(self._load(tracked))
        if not tracked.loaded:
            raise RoomUnreadableError(name)
        return tracked.room

    async def reach(self, room: LocalRoom, epoch: str | None, since: int | None) -> None:
        """Reads the room when a viewer has seen more of it than this worker has heard, or says so."""
        if since is not None and epoch == room.ring.epoch and since > room.ring.top:
            tracked, now_s = self._rooms[room.name], clock.monotonic_s()
            if tracked.reached_s + REACH_PERIOD_S <= now_s:
                tracked.reached_s = now_s
                self._load(tracked)
            if tracked.loading is not None:
                await asyncio.shield(tracked.loading)

    def welcome(self, viewer: Viewer) -> None:
        """Counts a viewer in, so that its room is kept and what is for its person reaches it."""
        self._rooms[viewer.room.name].guests += 1
        if viewer.person is not None:
            self._people.setdefault(viewer.person.id, set()).add(viewer)

    def farewell(self, viewer: Viewer) -> None:
        """Counts a viewer out."""
        self._rooms[viewer.room.name].guests -= 1
        if viewer.person is None:
            return
        theirs = self._people.get(viewer.person.id, set())
        theirs.discard(viewer)
        if not theirs:
            self._people.pop(viewer.person.id, None)

    def staff(self) -> list[list[Viewer]]:
        """The sockets of the staff rooms, those of one person in one show together."""
        found: dict[tuple[str, str], list[Viewer]] = {}
        for person, theirs in self._people.items():
            for viewer in theirs:
                if is_staff(viewer.room.name):
                    found.setdefault((viewer.show, person), []).append(viewer)
        return list(found.values())

    def sessions(self) -> dict[str, list[Viewer]]:
        """The sockets of each sign-in session."""
        found: dict[str, list[Viewer]] = {}
        for theirs in self._people.values():
            for viewer in theirs:
                if viewer.person is not None:
                    found.setdefault(viewer.person.session, []).append(viewer)
        return found

    def has_signed_out(self, person: Person) -> bool:
        """Whether the person's sign-in session is among the last that ended."""
        return (person.id, person.session) in self._signed_out

    def sockets_of(self, person: str) -> int:
        """How many sockets the person has here."""
        return len(self._people.get(person, ()))

    def counts(self) -> dict[str, int]:
        """How many viewers each room has here."""
        return {name: len(tracked.room.viewers) for name, tracked in self._rooms.items()}

    # From the bus.

    async def _listen(self) -> None:
        self._sharded = await self.bus.has_sharded_channels()
        async with self.bus.valkey.pubsub() as pubsub:
            for tracked in self._rooms.values():
                tracked.subscribed.clear()
            known = set(self._rooms)
            await pubsub.subscribe(PEOPLE_CHANNEL)
            await self._subscribe(pubsub, known)
            self._pubsub = pubsub
            await self._subscribe(pubsub, self._rooms.keys() - known)  # entered meanwhile
            try:
                while True:
                    message = await pubsub.get_message(timeout=LISTEN_TIMEOUT_S)
                    if message is not None:
                        self._hear(message)
            finally:
                self._pubsub = None

    async def _subscribe(self, pubsub: PubSub, names: Iterable[str]) -> None:
        subscribe = pubsub.ssubscribe if self._sharded else pubsub.subscribe
        for name in names:  # one by one: a cluster takes no two shards in one command
            await subscribe(channel_of(name))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["channel"] == PEOPLE_CHANNEL.encode():
            if message["type"] == "message":
                person, _, session = message["data"].decode().partition(" ")
                self._sign_out(person, session)
            return
        tracked = self._by_channel.get(message["channel"])
        if tracked is None:
            return
        if message["type"] in {"subscribe", "ssubscribe"}:
            # Also after the connection broke, when anything may have been missed.
            tracked.subscribed.set()
            if tracked.loaded:
                self._load(tracked)
        elif message["type"] in {"message", "smessage"}:
            self._receive(tracked, read_news(message["data"]))

    def _receive(self, tracked: _Tracked, news: News) -> None:
        if isinstance(news, Told | Set | Opened):
            if tracked.loading is not None:
                if len(tracked.backlog) <= BACKLOG_MAX:  # one more than that tells the reader that there was too much
                    tracked.backlog.append(news)
            elif tracked.loaded and not self._fits(tracked.room, news):
                self._load(tracked)
        elif isinstance(news, Reacted):
            tracked.room.react(news.sums)
        elif isinstance(news, Hinted):
            frame = text_frame(hint_body([news.hint]))
            for viewer in tuple(self._people.get(news.person, ())):
                if viewer.room is tracked.room:
                    viewer.hint(frame)
        else:
            assert isinstance(news, StandingChanged)
            self._ask_again(tracked.room, news.person)

    def _ask_again(self, room: LocalRoom, person: str) -> None:
        viewers = [viewer for viewer in self._people.get(person, ()) if viewer.room is room]
        if viewers and self.standings is not None:
            self.spawn(self._until_done(lambda: self._standings_of(viewers)))

    async def _standings_of(self, viewers: list[Viewer]) -> None:
        assert self.standings is not None
        await self.standings.ask_again([one for one in viewers if one.session.phase is not Phase.CLOSED])

    def _sign_out(self, person: str, session: str) -> None:
        self._signed_out.append((person, session))
        viewers = [
            viewer
            for viewer in self._people.get(person, ())
            if viewer.person is not None and viewer.person.session == session
        ]
        if viewers and self.standings is not None:
            self.standings.sign_out(viewers)

    # Keeping in step.

    def _load(self, tracked: _Tracked) -> asyncio.Task[None]:
        """The reading of the whole room: the one under way, or a new one."""
        if tracked.loading is None:
            tracked.loading = self.spawn(self._read(tracked))
        return tracked.loading

    async def _read(self, tracked: _Tracked) -> None:
        try:
            await self._read_whole(tracked)
            tracked.loaded = True
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            # Whoever waits for the room is told; those inside are served again by the next check.
            _log.warning("room.not_read", room=tracked.room.name, error=repr(error))
        finally:
            tracked.loading = None

    async def _read_whole(self, tracked: _Tracked) -> None:
        """Reads until the news that came meanwhile fits."""
        room = tracked.room
        while True:
            tracked.backlog = []
            epoch, top = room.ring.epoch, room.ring.top
            view = await self.bus.read(room.name)
            self.tally.readings += 1
            if view.e == epoch and view.top < top:
                # Valkey has forgotten what viewers have seen: those offsets must not be given twice.
                await self.bus.reopen(room.name, epoch, top)
                continue
            if view.e != epoch and await self.bus.give_back(room.name, view.e, room.memory()):
                continue  # it has more now, or was lost once more
            room.adopt(view)
            tracked.behind = 0
            backlog, tracked.backlog = tracked.backlog, []
            if len(backlog) <= BACKLOG_MAX and all(self._fits(room, news) for news in backlog):
                return

    @staticmethod
    def _fits(room: LocalRoom, news: Told | Set | Opened) -> bool:
        return news.e == room.ring.epoch if isinstance(news, Opened) else room.apply(news)

    async def _check_for_ever(self) -> None:
        while True:
            await self.check()
            await asyncio.sleep(CHECK_PERIOD_S)

    async def check(self) -> None:
        """Compares each room's top with Valkey's, reads rooms that differ, and drops those that nobody needs."""
        self._checks += 1
        await self._drop_idle()
        loaded = [tracked for tracked in self._rooms.values() if tracked.loaded and tracked.loading is None]
        before = [(tracked.room.ring.epoch, tracked.room.ring.top) for tracked in loaded]
        with_state = self._checks % REREAD_EVERY == 0
        if self._checks % KEEP_EVERY == 0:
            await self.bus.keep([tracked.room.name for tracked in loaded])
        heads = await self.bus.heads([tracked.room.name for tracked in loaded], with_state=with_state)
        for tracked, known, head in zip(loaded, before, heads, strict=True):
            if tracked.loading is not None or tracked.room.ring.epoch != known[0]:
                continue  # it is or was read meanwhile
            if self._is_astray(tracked, known, head):
                self._load(tracked)
            else:
                tracked.room.take_state(head.state)

    def _is_astray(self, tracked: _Tracked, known: tuple[str, int], head: Head) -> bool:
        if head.e != known[0] or head.top < known[1]:
            return True
        # The bus may be about to tell: only what it has not told until the next check is missing.
        missing, tracked.behind = tracked.behind > 0 and tracked.room.ring.top < tracked.behind, head.top
        return missing

    async def _drop_idle(self) -> None:
        for name, tracked in list(self._rooms.items()):
            if tracked.guests or tracked.loading is not None:
                tracked.idle_checks = 0
                continue
            tracked.idle_checks += 1
            if tracked.idle_checks > LINGER_CHECKS:
                del self._rooms[name]
                del self._by_channel[channel_of(name).encode()]
                if self._pubsub is not None:
                    unsubscribe = self._pubsub.sunsubscribe if self._sharded else self._pubsub.unsubscribe
                    await unsubscribe(channel_of(name))

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work` again whenever its infrastructure was away."""
        failures = 0
        while True:
            started_s = clock.monotonic_s()
            try:
                await work()
            except EXTERNAL as error:
                if not is_outage(error):
                    raise
                failures = failures + 1 if clock.monotonic_s() - started_s < LISTEN_TIMEOUT_S else 1
                _log.warning("rooms.wait", error=repr(error))
                await asyncio.sleep(backoff_s(failures))

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work` until its infrastructure let it finish: a right that was taken away is not forgotten."""
        failures = 0
        while True:
            try:
                return await work()
            except EXTERNAL as error:
                if not is_outage(error):
                    raise
                failures += 1
                await asyncio.sleep(backoff_s(failures))
