"""Everybody's hand on the media role: asks its inner HTTP for sessions, figures and endings.

Owns the connection to it, nothing else. A media role that is away is a refusal that says when to try again.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import asyncpg
import httpx
import msgspec

from app import clock
from app.refusal import Refusal
from app.rooms.bus import Rooms
from app.settings import Settings
from app.streams.relay.wire import (
    EndSessions,
    NewSession,
    RelayFigures,
    SessionMade,
    SessionSeen,
    ShowFigures,
    Trickled,
    TrickleTaken,
    control_socket,
)
from app.streams.stream_state import STREAM_KEY, StreamState

TIMEOUT_S: Final = 5.0
RETRY_AFTER_MS: Final = 1_000
SHOWS_MAX: Final = 1_000
# Purpose: the shows in whose rooms people look at a stream.
_ON_AIR: Final = "SELECT id FROM shows WHERE state IN ('live', 'paused') ORDER BY started_at DESC LIMIT $1"
_T = TypeVar("_T")


class Ended(msgspec.Struct, frozen=True):
    """How many sessions an ending reached."""

    ended: int


class MediaControl:
    """Close it with aclose(). Calls answer with a value or a Refusal; a role that is away never makes them raise."""

    def __init__(self, settings: Settings) -> None:
        path = control_socket(settings)
        base = settings.media_control_url if path is None else "http://media"
        transport = httpx.AsyncHTTPTransport(uds=None if path is None else str(path))
        self._http = httpx.AsyncClient(transport=transport, base_url=base, timeout=TIMEOUT_S)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def create(self, wanted: NewSession) -> SessionMade | Refusal:
        """A session for an offer."""
        return await self._ask("POST", "/sessions", SessionMade, wanted)

    async def see(self, session: str) -> SessionSeen | Refusal:
        """Whose a session is; `not_found` when it has ended."""
        return await self._ask("GET", f"/sessions/{session}", SessionSeen)

    async def trickle(self, session: str, trickled: Trickled) -> TrickleTaken | Refusal:
        """Hands a fragment to a session."""
        return await self._ask("PATCH", f"/sessions/{session}", TrickleTaken, trickled)

    async def end(self, session: str) -> Refusal | None:
        """Ends a session; it may have ended already."""
        outcome = await self._send("DELETE", f"/sessions/{session}")
        return outcome if isinstance(outcome, Refusal) else None

    async def end_sessions(self, show: str, person: str | None = None, owner: str | None = None) -> int | Refusal:
        """Ends all media sessions of a show, or in it one person's, or one publisher's hands'; how many there were."""
        outcome = await self._ask("POST", f"/shows/{show}/end", Ended, EndSessions(person, owner))
        return outcome if isinstance(outcome, Refusal) else outcome.ended

    async def show(self, show: str) -> ShowFigures | Refusal:
        """The figures of one show's stream."""
        return await self._ask("GET", f"/shows/{show}", ShowFigures)

    async def stats(self) -> RelayFigures | Refusal:
        """The figures of the media role."""
        return await self._ask("GET", "/stats", RelayFigures)

    async def _ask(self, method: str, path: str, answer: type[_T], body: msgspec.Struct | None = None) -> _T | Refusal:
        content = await self._send(method, path, body)
        return content if isinstance(content, Refusal) else msgspec.json.decode(content, type=answer)

    async def _send(self, method: str, path: str, body: msgspec.Struct | None = None) -> bytes | Refusal:
        try:
            response = await self._http.request(
                method, path, content=None if body is None else msgspec.json.encode(body)
            )
        except httpx.TransportError:
            return Refusal("unavailable", "The video service is restarting; try again.", RETRY_AFTER_MS)
        if response.status_code == 409:
            return msgspec.json.decode(response.content, type=Refusal)
        response.raise_for_status()
        return response.content


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
