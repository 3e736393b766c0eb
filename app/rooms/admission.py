"""Who may open a room's socket, decided before its upgrade: Origin, space for one more, identity, standing.

Owns the order of these checks and the answer to who is not even upgraded. A browser cannot read the status of a
refused upgrade, so whoever can still be afforded is upgraded and told by a close code; beyond that it is HTTP.
"""

import asyncio
import re
from typing import Final

import structlog
from starlette.requests import HTTPConnection
from starlette.types import Send

from app.http.door import Surroundings
from app.outage import EXTERNAL, is_outage
from app.person import Person, Standing
from app.rooms import closes
from app.rooms.bus import is_staff, show_of
from app.rooms.closes import Close, Refused, overloaded
from app.rooms.crowd import Crowd, Place, Space
from app.rooms.limits import ADMISSION_TIMEOUT_S
from app.rooms.sources import Identity

RETRY_AFTER_S: Final = 5
_SHOW_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HTTP_RESPONSE: Final = "websocket.http.response"

_log = structlog.get_logger("hawker.rooms")


class TurnedAway(Exception):  # noqa: N818 - an expected end, not an error
    """There will be no upgrade; `status` is HTTP's."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Guest:
    """Who stands at the door, with the place that is taken for the socket: whoever has it says `place.leave()` once."""

    __slots__ = ("person", "place", "standing")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.person: Person | None = None
        self.standing = Standing.VIEWER


class Admission:
    """The checks before an upgrade."""

    def __init__(self, identity: Identity, surroundings: Surroundings, crowd: Crowd) -> None:
        self.identity = identity
        self.crowd = crowd
        self._surroundings = surroundings

    def arrive(self, room: str, connection: HTTPConnection) -> tuple[Space, Guest]:
        """Takes a place for a socket. Raises TurnedAway."""
        if not self._surroundings.origin_allowed(connection):
            raise TurnedAway(403)
        space, place = self.crowd.take(self._surroundings.address(connection), show_of(room))
        if place is None:
            raise TurnedAway(503)
        return space, Guest(place)

    async def judge(self, room: str, connection: HTTPConnection, space: Space, guest: Guest) -> Close | None:
        """Finds out who the guest is. What is wrong with it, to be said by a close code. Raises TurnedAway."""
        if space is not Space.INSIDE:
            return overloaded()
        try:
            async with asyncio.timeout(ADMISSION_TIMEOUT_S):
                await self._identify(room, connection, guest)
        except Refused as refused:
            return refused.close
        except TimeoutError:
            return overloaded()
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            _log.warning("socket.unavailable", room=room, error=repr(error))
            return overloaded()
        return None

    async def _identify(self, room: str, connection: HTTPConnection, guest: Guest) -> None:
        show = show_of(room)
        if _SHOW_ID.fullmatch(show) is None:
            raise Refused(closes.UNKNOWN_SHOW, "no such show")
        ticket = connection.query_params.get("ticket")
        if ticket is not None:
            guest.person = await self.identity.redeem_ticket(ticket, show)
            if guest.person is None:
                raise Refused(closes.SIGN_IN, "the ticket is not valid")
        else:
            guest.person = await self.identity.identify(connection)
        if guest.person is not None:
            self._count(guest.place, guest.person)
        standing = await self.identity.standing(show, guest.person)
        if standing is None:
            raise Refused(closes.UNKNOWN_SHOW, "no such show")
        if is_staff(room) and guest.person is None:
            raise Refused(closes.SIGN_IN, "sign in first")
        if is_staff(room) and standing is Standing.VIEWER:
            raise Refused(closes.FORBIDDEN, "this room is for the show's staff")
        guest.standing = standing

    @staticmethod
    def _count(place: Place, person: Person) -> None:
        space = place.belongs_to(person.id)
        if space is Space.NONE:
            raise TurnedAway(503)
        if space is Space.DOORSTEP:
            raise Refused(closes.OVERLOADED, overloaded().reason)


async def turn_away(connection: HTTPConnection, send: Send, status: int) -> None:
    """Answers the request for an upgrade with HTTP: by this status where the server can, else 403."""
    if status == 403 or _HTTP_RESPONSE not in connection.scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"retry-after", b"%d" % RETRY_AFTER_S), (b"content-length", b"0")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b""})
