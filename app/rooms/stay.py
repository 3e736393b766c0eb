"""A viewer's stay in a room, from the join reply to the end of its socket: its commands, one after the other.

Owns the pace of commands and how a command that fails is answered. The server's side of the socket
(app/rooms/uvicorn_protocol.py) or the door's own loop (app/rooms/socket.py) hands it one message at a time. What is
answered later goes on beside that, one at a time too, in a task of the hub's.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import msgspec
import structlog

from app import clock
from app.outage import EXTERNAL, is_outage
from app.refusal import Refusal
from app.rooms import closes
from app.rooms.closes import Refused
from app.rooms.command import Command, Later
from app.rooms.crowd import Place
from app.rooms.dispatch import Asker, MalformedFrameError, needs_staff, run
from app.rooms.frames import error_body, text_frame
from app.rooms.hub import Hub
from app.rooms.limits import FLOOD_MAX, MESSAGE_BYTES_MAX, CommandPace
from app.rooms.session import Phase
from app.rooms.viewer import Viewer

RETRY_AFTER_MS: Final = 1000
LATER_MAX: Final = 32
"""Commands of one socket that wait to be answered later; a page that comes back repeats so many."""

_log = structlog.get_logger("hawker.rooms")


class House(Protocol):
    """What a stay needs of the door that it came through."""

    hub: Hub
    commands: Mapping[str, Command]

    async def ask_again(self, viewers: list[Viewer]) -> None:
        """Asks for the standing of these sockets of one person in one show, and acts on it."""


class Stay:
    """One viewer's. Who has it says `part`, or `end`, once."""

    __slots__ = ("_house", "_later", "_pace", "_place", "_viewer")

    def __init__(self, house: House, viewer: Viewer, place: Place) -> None:
        self._house = house
        self._viewer = viewer
        self._place = place
        self._pace: CommandPace | None = None  # of most viewers nothing is ever heard
        self._later: deque[Later] | None = None  # while a task sees to them

    async def obey(self, message: Mapping[str, Any]) -> None:
        """Answers what the peer said: an ASGI `websocket.receive`. Closes the socket for what is no command."""
        viewer = self._viewer
        try:
            reply = await self._reply(text_of(message))
        except Refused as refused:
            viewer.wire.close(refused.close.code, refused.close.reason)
        except MalformedFrameError as error:
            malformed = Refused(closes.BAD_REQUEST, str(error)).close
            viewer.wire.close(malformed.code, malformed.reason)
        else:
            if isinstance(reply, Later):
                self._put_off(reply)
                return
            viewer.wire.write(text_frame(reply))
            # Who does not read the answers may not ask more.
            await viewer.wire.wait_drained()

    def part(self) -> None:
        """The viewer is one no more."""
        viewer = self._viewer
        viewer.lost()
        viewer.wire.listener = None
        self._house.hub.farewell(viewer)

    def end(self) -> None:
        """The socket is gone, too, and its place is free. Only a wire that took the stay over says so."""
        self.part()
        self._place.leave()

    def _put_off(self, later: Later) -> None:
        if self._later is None:
            self._later = deque([later])
            self._house.hub.spawn(self._see_to(self._later))
        else:
            self._later.append(later)

    async def _see_to(self, later: deque[Later]) -> None:
        viewer = self._viewer
        try:
            while later and viewer.session.phase is not Phase.CLOSED:
                viewer.wire.write(text_frame(await later.popleft().work()))
        except Exception:  # noqa: BLE001 the boundary of one socket
            # As with a command that is answered at once: the defect is told, and this socket alone suffers from it.
            _log.exception("command.defect")
            viewer.wire.close(closes.DEFECT, "")
        finally:
            self._later = None  # what is left over, a page that comes back says again

    async def _reply(self, text: str) -> bytes | Later:
        now_s = clock.monotonic_s()
        if self._pace is None:
            self._pace = CommandPace(now_s)
        wait_ms = self._pace.take(now_s)
        if wait_ms is None:
            self._viewer.room.heard(self._viewer)
            return await self._run(text)
        if self._pace.floods > FLOOD_MAX:
            raise Refused(closes.BAD_REQUEST, "too many commands")
        return error_body(_id_of(text), Refusal("too_fast", "Too many commands at once.", wait_ms))

    async def _run(self, text: str) -> bytes | Later:
        answer: bytes | Later = await self._unless_away(text, partial(self._begin, text))
        if not isinstance(answer, Later):
            return answer
        if self._later is not None and len(self._later) >= LATER_MAX:
            return error_body(_id_of(text), Refusal("too_fast", "Too much is still unanswered.", RETRY_AFTER_MS))
        return Later(partial(self._unless_away, text, answer.work))

    async def _begin(self, text: str) -> bytes | Later:
        viewer = self._viewer
        if needs_staff(self._house.commands, text):
            await self._house.ask_again([viewer])
        asker = Asker(viewer.show, viewer.person, viewer.standing, self._place.address)
        return await run(self._house.commands, text, asker)

    async def _unless_away(self, text: str, work: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await work()
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            _log.warning("command.unavailable", error=repr(error))
            refusal = Refusal("unavailable", "This does not work just now; try again shortly.", RETRY_AFTER_MS)
            return error_body(_id_of(text), refusal)


def text_of(message: Mapping[str, Any]) -> str:
    """The text that came. Raises Refused for what is no text or too large."""
    text = message.get("text")
    if text is None:
        raise Refused(closes.BAD_REQUEST, "frames are text")
    if len(text) > MESSAGE_BYTES_MAX or len(text.encode()) > MESSAGE_BYTES_MAX:
        raise Refused(closes.TOO_LARGE, "a frame has at most 16 KiB")
    return str(text)


class _Identified(msgspec.Struct):
    id: str | None = None


def _id_of(text: str) -> str | None:
    """The command's id, as far as there is one, to answer a frame that is not looked at any closer."""
    try:
        return msgspec.json.decode(text, type=_Identified).id
    except (msgspec.DecodeError, RecursionError):
        return None
