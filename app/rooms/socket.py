"""The door of a room: the ASGI application behind `/ws/shows/{show}` and `/ws/shows/{show}/staff`.

Owns the way in: from the request for an upgrade to the join reply, and what closes a socket whose rights have ended.
What is written after that is the room's business; commands are the stay's, and what they do the features'.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from app.http.door import Surroundings
from app.outage import EXTERNAL, is_outage
from app.person import Standing
from app.rooms import closes
from app.rooms.admission import Admission, Guest, TurnedAway, turn_away
from app.rooms.bus import STAFF_SUFFIX, is_staff, staff_room
from app.rooms.closes import Close, Refused, overloaded
from app.rooms.command import Command
from app.rooms.crowd import Crowd
from app.rooms.dispatch import Join, MalformedFrameError, read_join
from app.rooms.frames import encode, hint_body, text_frame
from app.rooms.hub import Hub
from app.rooms.limits import JOIN_TIMEOUT_S
from app.rooms.session import Phase
from app.rooms.sources import BanSource, Identity, MeSource
from app.rooms.stay import Stay, text_of
from app.rooms.viewer import Viewer
from app.rooms.wire import EXTENSION, TaskWire, Wire

ME_TRIES_MAX: Final = 5
"""How often `me` is asked for one join, while the person is told one thing after the other."""

_log = structlog.get_logger("hawker.rooms")


BANNED: Final = "banned"
"""The reason with which a banned person's sockets are closed."""


class StandingHint(msgspec.Struct, frozen=True, tag="standing", tag_field="t"):
    """Tells a person's page that its rights changed."""

    standing: Standing


class RoomSocket:
    """The ASGI applications of both rooms. `scope["path_params"]["show"]` names the show."""

    def __init__(
        self,
        hub: Hub,
        identity: Identity,
        surroundings: Surroundings,
        *,
        commands: Mapping[str, Command],
        me_sources: Sequence[MeSource] = (),
        crowd: Crowd | None = None,
        bans: BanSource | None = None,
    ) -> None:
        self.hub = hub
        self.identity = identity
        self.commands = commands
        self.me_sources = me_sources
        self.crowd = crowd or Crowd()
        self.bans = bans
        self.admission = Admission(identity, surroundings, self.crowd)
        hub.standings = self

    async def public(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The public room's endpoint."""
        show = scope["path_params"]["show"]
        # A show's id has no colon, so nobody gets into a staff room by its name.
        await self._serve(show.replace(STAFF_SUFFIX, "?"), scope, receive, send)

    async def staff(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The staff room's endpoint."""
        await self._serve(staff_room(scope["path_params"]["show"]), scope, receive, send)

    async def _serve(self, room: str, scope: Scope, receive: Receive, send: Send) -> None:
        """One request for a socket. Where the wire takes the stay over, this ends with the join."""
        connection = HTTPConnection(scope)
        await receive()  # websocket.connect
        try:
            space, guest = self.admission.arrive(room, connection)
        except TurnedAway as turned:
            await turn_away(connection, send, turned.status)
            return
        taken_over = False
        try:
            close = await self.admission.judge(room, connection, space, guest)
            await send({"type": "websocket.accept"})
            wire = scope["extensions"].get(EXTENSION)
            if wire is not None:
                taken_over = await self._visit(room, guest, close, receive, wire)
            else:
                taken_over = await self._visit_by_task(room, guest, close, receive, send)
        except TurnedAway as turned:
            await turn_away(connection, send, turned.status)
        finally:
            if not taken_over:
                guest.place.leave()

    async def _visit_by_task(self, room: str, guest: Guest, close: Close | None, receive: Receive, send: Send) -> bool:
        """A visit over a server without a wire of its own."""
        task = asyncio.current_task()
        assert task is not None
        wire = TaskWire(task.cancel)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(wire.run(send))
            taken_over = await self._visit(room, guest, close, receive, wire)
            if not wire.closing:
                sending.cancel()
        return taken_over

    async def _visit(self, room: str, guest: Guest, close: Close | None, receive: Receive, wire: Wire) -> bool:
        """From the accept to the join, or to the close that says why not. True: a stay has the guest's place now."""
        try:
            if close is None:
                join = await self._read_join(receive)
                if join is not None and await self._enter(room, join, guest, receive, wire):
                    return True
        except Refused as refused:
            close = refused.close
        except MalformedFrameError as error:
            close = Refused(closes.BAD_REQUEST, str(error)).close
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            _log.warning("socket.unavailable", room=room, error=repr(error))
            close = overloaded()
        if close is not None:
            wire.close(close.code, close.reason)
        await wire.wait_gone()  # until then it is counted
        return False

    async def _read_join(self, receive: Receive) -> Join | None:
        """The join frame; None when the socket went away before."""
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                message = await receive()
        except TimeoutError:
            raise Refused(closes.BAD_REQUEST, "no join came") from None
        return None if message["type"] == "websocket.disconnect" else read_join(text_of(message))

    async def _enter(self, name: str, join: Join, guest: Guest, receive: Receive, wire: Wire) -> bool:
        """The join, and without a wire that takes the stay over, all the rest."""
        room = await self.hub.enter(name)
        viewer = Viewer(room, wire, guest.person, guest.standing)
        self.hub.welcome(viewer)
        stay = Stay(self, viewer, guest.place)
        taken_over = False
        try:
            await self._look_again(viewer)
            await self.hub.reach(room, join.epoch, join.since)
            me = await self._me_of_now(viewer)
            if viewer.session.phase is Phase.JOINING:
                room.join(viewer, join.epoch, join.since, me)
                taken_over = wire.take_over(stay)
                if not taken_over:
                    while (message := await receive())["type"] != "websocket.disconnect":
                        await stay.obey(message)
        finally:
            if not taken_over:
                stay.part()
        return taken_over

    async def _look_again(self, viewer: Viewer) -> None:
        """Makes up for what was said of the person between their admission and the hub's knowing the socket. Who is
        no staff can only have gained by it, and staff's rights are asked again for each command anyway.
        """
        if viewer.person is not None and self.hub.has_signed_out(viewer.person):
            raise Refused(closes.SIGN_IN, "signed out")
        if await self._is_banned(viewer):
            raise Refused(closes.FORBIDDEN, BANNED)
        if viewer.standing is not Standing.VIEWER:
            await self.ask_again([viewer])

    async def _me_of_now(self, viewer: Viewer) -> Mapping[str, Any]:
        """`me`, asked again when the person was told something meanwhile that may not be in it yet."""
        for _ in range(ME_TRIES_MAX):
            viewer.missed_hint = False
            me = await self._me(viewer)
            if not viewer.missed_hint:
                break
        return me

    async def _is_banned(self, viewer: Viewer) -> bool:
        return (
            viewer.person is not None
            and self.bans is not None
            and await self.bans.is_banned(viewer.show, viewer.person)
        )

    async def _me(self, viewer: Viewer) -> Mapping[str, Any]:
        person = viewer.person
        me: dict[str, Any] = {"person": None, "standing": viewer.standing, "timeout_ms": None, "holds": []}
        if person is not None:
            me["person"] = {"id": person.id, "name": person.name}
            for source in self.me_sources:
                me |= await source.me_of(viewer.show, person)
        return me

    async def close_ended(self) -> None:
        """Closes sockets whose sign-in session has ended: by expiry, or unheard while the bus was away."""
        sessions = self.hub.sessions()
        if sessions:
            ended = set(await self.identity.ended_sessions(list(sessions)))
            for session in ended:
                self.sign_out(sessions[session])

    async def dismiss_staff(self) -> None:
        """Closes sockets of the staff rooms whose person is no staff any more, unheard while the bus was away."""
        for viewers in self.hub.staff():
            await self.ask_again(viewers)

    # What the hub asks of us.

    async def ask_again(self, viewers: list[Viewer]) -> None:
        """Asks for the standing of these sockets of one person in one show, tells them, and acts on it."""
        if not viewers:
            return
        first = viewers[0]
        standing = await self.identity.standing(first.show, first.person)
        is_banned = await self._is_banned(first)
        for viewer in viewers:
            if is_banned:
                viewer.wire.close(closes.FORBIDDEN, BANNED)
            elif standing is None:
                viewer.wire.close(closes.UNKNOWN_SHOW, "no such show")
            elif is_staff(viewer.room.name) and standing is Standing.VIEWER:
                viewer.wire.close(closes.FORBIDDEN, "this room is for the show's staff")
            elif standing is not viewer.standing:
                viewer.standing = standing
                viewer.hint(text_frame(hint_body([encode(StandingHint(standing))])))

    def sign_out(self, viewers: list[Viewer]) -> None:
        """Closes these sockets."""
        for viewer in viewers:
            viewer.wire.close(closes.SIGN_IN, "signed out")
