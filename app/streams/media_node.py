"""One media role's process as others speak to it: sessions, figures and endings over its inner HTTP.

Owns the connection to it, nothing else. A process that is away is a refusal that says when to try again.
"""

from typing import Final, TypeVar

import httpx
import msgspec

from app.refusal import Refusal
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

TIMEOUT_S: Final = 5.0
RETRY_AFTER_MS: Final = 1_000
AWAY: Final = "unavailable"  # the code of the refusal when the process does not answer
_T = TypeVar("_T")


class Ended(msgspec.Struct, frozen=True):
    """How many sessions an ending reached."""

    ended: int


class MediaNode:
    """Close it with aclose(). Calls answer with a value or a Refusal; a role that is away never makes them raise."""

    def __init__(self, url: str) -> None:
        path = control_socket(url)
        transport = httpx.AsyncHTTPTransport(uds=None if path is None else str(path))
        base = url if path is None else "http://media"
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
        """The figures of the process."""
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
            return Refusal(AWAY, "The video service is restarting; try again.", RETRY_AFTER_MS)
        if response.status_code == 409:
            return msgspec.json.decode(response.content, type=Refusal)
        response.raise_for_status()
        return response.content
