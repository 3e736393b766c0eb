"""The door of a room: the ASGI application behind `/ws/shows/{show}` and `/ws/shows/{show}/staff`.

Owns the life of one socket: who may open it, the join, commands until it closes, and the codes it closes with. What
is written in between is the room's business; what commands do is the features'.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from app import clock
from app.http.edge import Surroundings
from app.outage import EXTERNAL, is_outage
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import STAFF_SUFFIX, is_staff, show_of, staff_room
from app.rooms.command import Command
from app.rooms.crowd import Crowd, delay_ms
from app.rooms.dispatch import Asker, Join, MalformedFrameError, needs_staff, read_join, run
from app.rooms.frames import encode, error_body, hint_body, text_frame
from app.rooms.hub import Hub
from app.rooms.limits import FLOOD_MAX, JOIN_TIMEOUT_S, MESSAGE_BYTES_MAX, CommandPace
from app.rooms.session import Phase
from app.rooms.sources import Identity, MeSource
from app.rooms.viewer import Viewer
from app.rooms.wire import EXTENSION, TaskWire, Wire

CLOSE_BAD_REQUEST: Final = 4000
CLOSE_SIGN_IN: Final = 4001
CLOSE_FORBIDDEN: Final = 4003
CLOSE_UNKNOWN_SHOW: Final = 4004
CLOSE_TOO_LARGE: Final = 4009
CLOSE_OVERLOADED: Final = 1013
RETRY_AFTER_MS: Final = 1000
_SHOW_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
REASON_BYTES_MAX: Final = 120  # a close frame's reason has 123 (RFC 6455, section 5.5)

_log = structlog.get_logger("hawker.rooms")


class StandingHint(msgspec.Struct, frozen=True, tag="standing", tag_field="t"):
    """Tells a person's page that its rights changed."""

    standing: Standing


class Refused(Exception):  # noqa: N818 - an expected end of a socket, not an error
    """The socket is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def overloaded() -> Refused:
    """Come back later, each after a delay of its own."""
    return Refused(CLOSE_OVERLOADED, str(delay_ms()))


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
    ) -> None:
        self.hub = hub
        self.identity = identity
        self.surroundings = surroundings
        self.commands = commands
        self.me_sources = me_sources
        self.crowd = crowd or Crowd()
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
        connection = HTTPConnection(scope)
        await receive()  # websocket.connect
        if not self.surroundings.origin_allowed(connection):
            await send({"type": "websocket.close"})  # before the accept: HTTP 403
            return
        await send({"type": "websocket.accept"})
        wire = scope["extensions"].get(EXTENSION)
        if wire is not None:
            await self._visit(room, connection, receive, wire)
            return
        task = asyncio.current_task()
        assert task is not None
        fallback = TaskWire(task.cancel)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(fallback.run(send))
            await self._visit(room, connection, receive, fallback)
            if not fallback.closing:
                sending.cancel()

    async def _visit(self, room: str, connection: HTTPConnection, receive: Receive, wire: Wire) -> None:
        """One socket from its accept to its end."""
        address = self.surroundings.address(connection)
        with self.crowd.one_more(address, show_of(room)) as fits:
            try:
                if not fits:
                    raise overloaded()
                person, standing = await self._admit(room, connection)
                join = await self._read_join(receive)
                if join is not None:
                    await self._inhabit(room, join, receive, wire, Asker(show_of(room), person, standing, address))
            except Refused as refused:
                wire.close(refused.code, refused.reason)
            except MalformedFrameError as error:
                wire.close(CLOSE_BAD_REQUEST, str(error)[:REASON_BYTES_MAX].encode("ascii", "replace").decode())
            except EXTERNAL as error:
                if not is_outage(error):
                    raise
                _log.warning("socket.unavailable", room=room, error=repr(error))
                busy = overloaded()
                wire.close(busy.code, busy.reason)

    async def _admit(self, room: str, connection: HTTPConnection) -> tuple[Person | None, Standing]:
        """Who it is and what they are in the show."""
        show = show_of(room)
        if _SHOW_ID.fullmatch(show) is None:
            raise Refused(CLOSE_UNKNOWN_SHOW, "no such show")
        ticket = connection.query_params.get("ticket")
        if ticket is not None:
            person = await self.identity.redeem_ticket(ticket, show)
            if person is None:
                raise Refused(CLOSE_SIGN_IN, "the ticket is not valid")
        else:
            person = await self.identity.identify(connection)
        standing = await self.identity.standing(show, person)
        if standing is None:
            raise Refused(CLOSE_UNKNOWN_SHOW, "no such show")
        if is_staff(room) and person is None:
            raise Refused(CLOSE_SIGN_IN, "sign in first")
        if is_staff(room) and standing is Standing.VIEWER:
            raise Refused(CLOSE_FORBIDDEN, "this room is for the show's staff")
        if person is not None and self.hub.sockets_of(person.id) >= self.crowd.caps.per_person:
            raise overloaded()
        return person, standing

    async def _read_join(self, receive: Receive) -> Join | None:
        """The join frame; None when the socket went away before."""
        try:
            async with asyncio.timeout(JOIN_TIMEOUT_S):
                text = await _read_text(receive)
        except TimeoutError:
            raise Refused(CLOSE_BAD_REQUEST, "no join came") from None
        return None if text is None else read_join(text)

    async def _inhabit(self, name: str, join: Join, receive: Receive, wire: Wire, asker: Asker) -> None:
        """From the join reply to the end."""
        room = await self.hub.enter(name)
        viewer = Viewer(room, wire, asker.person, asker.standing)
        self.hub.welcome(viewer)
        try:
            await self._look_again(viewer)
            me = await self._me(viewer)
            if viewer.session.phase is Phase.JOINING:
                room.join(viewer, join.epoch, join.since, me)
                wire.settle()
                await self._obey(viewer, receive, asker)
        finally:
            viewer.lost()
            wire.listener = None
            self.hub.farewell(viewer)

    async def _look_again(self, viewer: Viewer) -> None:
        """Makes up for what was said of the person between their admission and the hub's knowing the socket. Who is
        no staff can only have gained by it, and staff's rights are asked again for each command anyway.
        """
        if viewer.person is not None and self.hub.has_signed_out(viewer.person):
            raise Refused(CLOSE_SIGN_IN, "signed out")
        if viewer.standing is not Standing.VIEWER:
            await self.ask_again([viewer])

    async def _me(self, viewer: Viewer) -> Mapping[str, Any]:
        person = viewer.person
        me: dict[str, Any] = {"person": None, "standing": viewer.standing, "timeout_ms": None, "holds": []}
        if person is not None:
            me["person"] = {"id": person.id, "name": person.name}
            for source in self.me_sources:
                me |= await source.me_of(viewer.show, person)
        return me

    async def _obey(self, viewer: Viewer, receive: Receive, asker: Asker) -> None:
        """Runs the viewer's commands, one after the other, until the socket is gone."""
        pace = CommandPace(clock.monotonic_s())
        while (text := await _read_text(receive)) is not None:
            wait_ms = pace.take(clock.monotonic_s())
            if wait_ms is not None:
                if pace.floods > FLOOD_MAX:
                    raise Refused(CLOSE_BAD_REQUEST, "too many commands")
                reply = error_body(_id_of(text), Refusal("too_fast", "Too many commands at once.", wait_ms))
            else:
                reply = await self._run(viewer, text, asker)
            viewer.wire.write(text_frame(reply))
            # Who does not read the answers may not ask more.
            await viewer.wire.wait_drained()

    async def _run(self, viewer: Viewer, text: str, asker: Asker) -> bytes:
        try:
            if needs_staff(self.commands, text):
                await self.ask_again([viewer])
            present = msgspec.structs.replace(asker, standing=viewer.standing)
            return await run(self.commands, text, present)
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            _log.warning("command.unavailable", error=repr(error))
            refusal = Refusal("unavailable", "This does not work just now; try again shortly.", RETRY_AFTER_MS)
            return error_body(_id_of(text), refusal)

    async def close_ended(self) -> None:
        """Closes sockets whose sign-in session has ended: by expiry, or unheard while the bus was away."""
        sessions = self.hub.sessions()
        if sessions:
            ended = set(await self.identity.ended_sessions(list(sessions)))
            for session in ended:
                self.sign_out(sessions[session])

    # What the hub asks of us.

    async def ask_again(self, viewers: list[Viewer]) -> None:
        """Asks for the standing of these sockets of one person in one show, tells them, and acts on it."""
        if not viewers:
            return
        first = viewers[0]
        standing = await self.identity.standing(first.show, first.person)
        for viewer in viewers:
            if standing is None:
                viewer.wire.close(CLOSE_UNKNOWN_SHOW, "no such show")
            elif is_staff(viewer.room.name) and standing is Standing.VIEWER:
                viewer.wire.close(CLOSE_FORBIDDEN, "this room is for the show's staff")
            elif standing is not viewer.standing:
                viewer.standing = standing
                viewer.hint(text_frame(hint_body([encode(StandingHint(standing))])))

    def sign_out(self, viewers: list[Viewer]) -> None:
        """Closes these sockets."""
        for viewer in viewers:
            viewer.wire.close(CLOSE_SIGN_IN, "signed out")


async def _read_text(receive: Callable[[], Awaitable[Any]]) -> str | None:
    """The next text message; None when the socket is gone. Raises Refused for what is no text or too large."""
    message = await receive()
    if message["type"] == "websocket.disconnect":
        return None
    text = message.get("text")
    if text is None:
        raise Refused(CLOSE_BAD_REQUEST, "frames are text")
    if len(text) > MESSAGE_BYTES_MAX or len(text.encode()) > MESSAGE_BYTES_MAX:
        raise Refused(CLOSE_TOO_LARGE, "a frame has at most 16 KiB")
    return str(text)


def _id_of(text: str) -> str | None:
    """The command's id, as far as there is one, to answer a frame that is not looked at any closer."""
    try:
        command_id = msgspec.json.decode(text, type=_Identified).id
    except (msgspec.DecodeError, RecursionError):
        return None
    return command_id


class _Identified(msgspec.Struct):
    id: str | None = None
