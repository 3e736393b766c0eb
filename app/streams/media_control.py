"""The web role's hand on the media role: asks its inner HTTP for sessions, figures and endings.

Owns the connection to it, nothing else. A media role that is away is a refusal that says when to try again.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import httpx
import msgspec

from app import clock
from app.refusal import Refusal
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
        outcome = await self._ask("DELETE", f"/sessions/{session}", None)
        return outcome if isinstance(outcome, Refusal) else None

    async def end_sessions(self, show: str, person: str | None = None) -> int | Refusal:
        """Ends all media sessions of a show, or one person's in it; how many there were."""
        outcome = await self._ask("POST", f"/shows/{show}/end", Ended, EndSessions(person))
        return outcome if isinstance(outcome, Refusal) else outcome.ended

    async def show(self, show: str) -> ShowFigures | Refusal:
        """The figures of one show's stream."""
        return await self._ask("GET", f"/shows/{show}", ShowFigures)

    async def stats(self) -> RelayFigures | Refusal:
        """The figures of the media role."""
        return await self._ask("GET", "/stats", RelayFigures)

    async def _ask(self, method: str, path: str, answer: type[_T] | None, body: msgspec.Struct | None = None) -> Any:
        content = None if body is None else msgspec.json.encode(body)
        try:
            response = await self._http.request(method, path, content=content)
        except httpx.TransportError:
            return Refusal("unavailable", "The video service is restarting; try again.", RETRY_AFTER_MS)
        if response.status_code == 409:
            return msgspec.json.decode(response.content, type=Refusal)
        response.raise_for_status()
        return None if answer is None else msgspec.json.decode(response.content, type=answer)


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
