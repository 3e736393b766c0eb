"""Everybody's hand on the media role, which may be several processes: asks the one that has the show.

Owns which process has which show. That is noted in Valkey when somebody publishes; where the note is lost the processes
themselves are asked, so Valkey may forget it at any moment. With one process there is nothing to note.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg
import msgspec
from redis.asyncio import Redis

from app import clock
from app.refusal import Refusal
from app.rooms.bus import Rooms
from app.settings import Settings
from app.storage.away import unless_away
from app.streams.media_node import AWAY, MediaNode
from app.streams.relay.wire import (
    NewSession,
    RelayFigures,
    SessionMade,
    SessionSeen,
    ShowFigures,
    Trickled,
    TrickleTaken,
    control_urls,
)
from app.streams.stream_state import STREAM_KEY, StreamState

NOTED_S: Final = 86_400  # a note that is older is made anew from what the processes say
SHOWS_MAX: Final = 1_000
# Purpose: the shows in whose rooms people look at a stream.
_ON_AIR: Final = "SELECT id FROM shows WHERE state IN ('live', 'paused') ORDER BY started_at DESC LIMIT $1"
_MARK: Final = "-"  # in a session's public id, behind the number of the process that has it
_NOT_FOUND: Final = Refusal("not_found", "There is no such session.")
_T = TypeVar("_T")


class MediaControl:
    """Close it with aclose(). Calls answer with a value or a Refusal; a role that is away never makes them raise.

    `valkey` is needed where there are several processes.
    """

    def __init__(self, settings: Settings, valkey: Redis | None = None) -> None:
        self._nodes = [MediaNode(url) for url in control_urls(settings)]
        self._valkey = valkey
        assert valkey is not None or len(self._nodes) == 1, "several media processes need Valkey"

    async def aclose(self) -> None:
        """Closes the connections."""
        for node in self._nodes:
            await node.aclose()

    async def create(self, wanted: NewSession) -> SessionMade | Refusal:
        """A session for an offer. A publisher whose show's process is away goes to another."""
        publishes = wanted.kind == "publish"
        number = await self._number(wanted.show, note=publishes)
        made = await self._nodes[number].create(wanted)
        if publishes and len(self._nodes) > 1 and isinstance(made, Refusal) and made.code == AWAY:
            number = await self._find(wanted.show)
            await self._note(wanted.show, number, anew=True)
            made = await self._nodes[number].create(wanted)
        if isinstance(made, Refusal) or len(self._nodes) == 1:
            return made
        return SessionMade(f"{number}{_MARK}{made.id}", made.sdp, made.etag)

    async def see(self, session: str) -> SessionSeen | Refusal:
        """Whose a session is; `not_found` when it has ended."""
        return await self._at(session, lambda node, own: node.see(own))

    async def trickle(self, session: str, trickled: Trickled) -> TrickleTaken | Refusal:
        """Hands a fragment to a session."""
        return await self._at(session, lambda node, own: node.trickle(own, trickled))

    async def end(self, session: str) -> Refusal | None:
        """Ends a session; it may have ended already."""
        return await self._at(session, lambda node, own: node.end(own))

    async def _at(self, session: str, ask: Callable[[MediaNode, str], Awaitable[_T | Refusal]]) -> _T | Refusal:
        if len(self._nodes) == 1:
            return await ask(self._nodes[0], session)
        number, mark, own = session.partition(_MARK)
        if not mark or number not in {str(place) for place in range(len(self._nodes))}:
            return _NOT_FOUND
        return await ask(self._nodes[int(number)], own)

    async def end_sessions(self, show: str, person: str | None = None, owner: str | None = None) -> int | Refusal:
        """Ends all media sessions of a show, or in it one person's, or one publisher's hands'; how many there were.
        Every process is asked: none may be left that a lost note hides.
        """
        outcomes = await asyncio.gather(*(node.end_sessions(show, person, owner) for node in self._nodes))
        refused = next((one for one in outcomes if isinstance(one, Refusal)), None)
        return refused or sum(one for one in outcomes if not isinstance(one, Refusal))

    async def show(self, show: str) -> ShowFigures | Refusal:
        """The figures of one show's stream."""
        return await self._nodes[await self._number(show)].show(show)

    async def stats(self) -> RelayFigures | Refusal:
        """The figures of all processes that answer; a refusal when none does."""
        answers = await self._heard()
        heard = [one for one in answers if not isinstance(one, Refusal)]
        if len(heard) < 2:
            return heard[0] if heard else answers[0]
        return RelayFigures(
            sessions=sum(one.sessions for one in heard),
            rooms=tuple(room for one in heard for room in one.rooms),
            datagrams_in=sum(one.datagrams_in for one in heard),
            datagrams_out=sum(one.datagrams_out for one in heard),
            dropped=sum(one.dropped for one in heard),
            port=heard[0].port,
        )

    # Which process has a show.

    async def _heard(self) -> list[RelayFigures | Refusal]:
        return await asyncio.gather(*(node.stats() for node in self._nodes))

    async def _number(self, show: str, *, note: bool = False) -> int:
        """The process that has the show, or shall have it."""
        if len(self._nodes) == 1:
            return 0
        noted = await self._noted(show)
        if noted is None:
            noted = await self._find(show)
            if note:
                noted = await self._note(show, noted)
        return noted

    async def _find(self, show: str) -> int:
        """Where the show is; if nowhere, the process with the fewest sessions of those that answer."""
        heard = {number: one for number, one in enumerate(await self._heard()) if not isinstance(one, Refusal)}
        here = [number for number, one in heard.items() if any(room.show == show for room in one.rooms)]
        return min(here or heard or [0], key=lambda number: heard[number].sessions if heard else 0)

    async def _noted(self, show: str) -> int | None:
        found: list[Any] = []

        async def read() -> None:
            assert self._valkey is not None
            found.append(await self._valkey.get(_place(show)))

        await unless_away("media node", read())
        number = int(found[0]) if found and found[0] is not None else None
        return number if number is not None and number < len(self._nodes) else None

    async def _note(self, show: str, number: int, *, anew: bool = False) -> int:
        """Notes a show's process, and says which it is: of two who publish at once the first decides for both."""
        before: list[Any] = []

        async def write() -> None:
            assert self._valkey is not None
            before.append(await self._valkey.set(_place(show), number, ex=NOTED_S, nx=not anew, get=not anew))

        await unless_away("media node", write())
        return int(before[0]) if not anew and before and before[0] is not None else number


def _place(show: str) -> str:
    return f"media:{{{show}}}"


class StreamSource:
    """Says the room's state key `stream` again when the room was lost (rooms' StateSource)."""

    def __init__(self, control: MediaControl) -> None:
        self._control = control

    async def state_of(self, show: str) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
        """The key with a version older than any change from now on; nothing while the media role is away."""
        asked_ms = clock.now_ms()
        figures = await self._control.show(show)
        if isinstance(figures, Refusal):
            return []
        return [(STREAM_KEY, asked_ms, StreamState(figures.publishing))]


class StreamWatch:
    """Looks after the state key `stream` where nobody else can: a media role that was killed told nobody that its
    publishers are gone.
    """

    def __init__(self, pg: asyncpg.Pool, control: MediaControl, rooms: Rooms) -> None:
        self._pg = pg
        self._control = control
        self._rooms = rooms
        self._said: dict[str, bool] = {}

    async def look(self) -> None:
        """Says the truth of every show on air where it is not what was said last. Call it every few seconds."""
        asked_ms = clock.now_ms()  # before the figures: whatever the media role says meanwhile is newer
        figures = await self._control.stats()
        if isinstance(figures, Refusal):
            return
        publishing = {room.show for room in figures.rooms if room.publishing}
        on_air = {row["id"] for row in await self._pg.fetch(_ON_AIR, SHOWS_MAX)}
        for show in on_air:
            if self._said.get(show) is not (show in publishing):
                await self._rooms.set_state(show, STREAM_KEY, asked_ms, StreamState(show in publishing))
                self._said[show] = show in publishing
        self._said = {show: said for show, said in self._said.items() if show in on_air}
