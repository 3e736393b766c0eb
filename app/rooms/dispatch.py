"""The table of all that a room's socket can do, merged from the features' commands, and how one frame runs through it.

Owns decoding, the check of rights and the wording of refusals. It knows no command by name except that there is none.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from app import clock
from app.http.body import NUL, has_nul
from app.person import Person, Right, Standing
from app.refusal import Refusal
from app.rooms.command import Command, Later, Order
from app.rooms.frames import error_body, reply_body
from app.rooms.limits import COMMAND_ID_LENGTH_MAX

_STAFF_RIGHTS: Final = frozenset({Right.SHOW_STAFF, Right.SHOW_LEAD, Right.SHOW_HOST})
_RIGHTS: Final = frozenset({Right.ANYONE, Right.SIGNED_IN}) | _STAFF_RIGHTS
_decode = msgspec.json.Decoder().decode


class MalformedFrameError(Exception):
    """The frame is no JSON object with an `op`, or has no usable `id` to answer to: the peer is no room client."""


class Join(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first frame of a socket: what it has of the room already."""

    op: str
    epoch: str | None = None
    since: int | None = None


def merge(*tables: Iterable[Command]) -> dict[str, Command]:
    """One table of the features' commands. Two of one name, or a right that a room cannot check, are defects."""
    merged: dict[str, Command] = {}
    for table in tables:
        for command in table:
            assert command.op not in merged, command.op
            assert command.right in _RIGHTS, (command.op, command.right)
            merged[command.op] = command
    return merged


def read_object(text: str) -> dict[str, Any]:
    """The frame as a JSON object. Raises MalformedFrameError."""
    try:
        frame = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise MalformedFrameError(str(error)) from error
    if not isinstance(frame, dict):
        raise MalformedFrameError("a frame is a JSON object")
    return frame


def read_join(text: str) -> Join:
    """The join frame. Raises MalformedFrameError."""
    try:
        join = msgspec.convert(read_object(text), Join)
    except msgspec.ValidationError as error:
        raise MalformedFrameError(str(error)) from error
    if join.op != "join":
        raise MalformedFrameError("the first frame is a join")
    return join


class Asker(msgspec.Struct, frozen=True):
    """Who sent a frame, from where, into which show."""

    show: str
    person: Person | None
    standing: Standing
    address: str


async def run(commands: Mapping[str, Command], text: str, asker: Asker) -> bytes | Later:
    """Runs the frame's command; the reply's JSON, or Later with that. Raises MalformedFrameError, and what the action
    raises.
    """
    frame = read_object(text)
    op, command_id = frame.pop("op", None), frame.pop("id", None)
    if not isinstance(op, str) or not isinstance(command_id, str) or not 0 < len(command_id) <= COMMAND_ID_LENGTH_MAX:
        raise MalformedFrameError("a command has an op and an id of 1 to 64 characters")
    command = commands.get(op)
    if command is None:
        return error_body(command_id, Refusal("unknown_op", "There is no such command."))
    refusal = refuse(command.right, asker.person, asker.standing)
    if refusal is not None:
        return error_body(command_id, refusal)
    body = _read_body(command.body, frame)
    if isinstance(body, Refusal):
        return error_body(command_id, body)
    order = Order(
        show=asker.show,
        person=asker.person,
        standing=asker.standing,
        id=command_id,
        body=body,
        address=asker.address,
        now_ms=clock.now_ms(),
    )
    answer = await command.action(order)
    return Later(partial(_wait, command_id, answer)) if isinstance(answer, Later) else _reply(command_id, answer)


async def _wait(command_id: str, later: Later) -> bytes:
    return _reply(command_id, await later.work())


def _reply(command_id: str, answer: Any) -> bytes:
    return error_body(command_id, answer) if isinstance(answer, Refusal) else reply_body(command_id, answer)


def needs_staff(commands: Mapping[str, Command], text: str) -> bool:
    """Whether the frame's command is for staff, whose standing is then asked again. False for a malformed frame."""
    try:
        op = read_object(text).get("op")
    except MalformedFrameError:
        return False
    return isinstance(op, str) and op in commands and commands[op].right in _STAFF_RIGHTS


def refuse(right: Right, person: Person | None, standing: Standing) -> Refusal | None:
    """None when the right is held, else why not."""
    if right is Right.ANYONE:
        return None
    if person is None:
        return Refusal("sign_in", "Sign in first.")
    if right is Right.SHOW_HOST and standing is not Standing.HOST:
        return Refusal("forbidden", "Only the show's host may do this.")
    if right is Right.SHOW_LEAD and standing not in {Standing.LEAD, Standing.HOST}:
        return Refusal("forbidden", "Only the show's host and lead moderators may do this.")
    if right is Right.SHOW_STAFF and standing is Standing.VIEWER:
        return Refusal("forbidden", "Only the show's staff may do this.")
    return None


def _read_body(kind: type[msgspec.Struct], frame: dict[str, Any]) -> msgspec.Struct | Refusal:
    unknown = frame.keys() - {field.encode_name for field in msgspec.structs.fields(kind)}
    if unknown:
        return Refusal("unknown_field", f"There is no field {min(unknown)[:40]!r} in this command.")
    if has_nul(frame):
        return NUL
    try:
        return msgspec.convert(frame, kind)
    except msgspec.ValidationError as error:
        return Refusal("malformed", f"{error}.")
