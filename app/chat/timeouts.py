"""Timing people out and letting them back: Postgres first, which is the truth, then the room's copy of it."""

from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from app import clock
from app.chat import sanctions
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Timeout, TimeoutEnded, TimeoutHint, who
from app.chat.moderation_rules import TIMEOUT_S_MAX, TIMEOUT_S_MIN
from app.chat.parts import Chat
from app.chat.targets import Account, Reason, find_target
from app.person import Person, Standing
from app.refusal import Refusal


class SetTimeout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """timeout.set, and the body of its HTTP twin."""

    account: Account
    seconds: Annotated[int, Meta(ge=TIMEOUT_S_MIN, le=TIMEOUT_S_MAX)]
    reason: Reason = ""


class EndTimeout(msgspec.Struct, frozen=True):
    """timeout.end"""  # noqa: D400, D415 - the command's name

    account: Account


class TimedOut(msgspec.Struct, frozen=True):
    """Until when the person may not write, Unix ms."""

    account: str
    until_ms: int


async def set_timeout(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: SetTimeout, *, undoes: int = 0
) -> TimedOut | Refusal:
    """Silences a person for some seconds from now; a newer timeout takes the place of an older one."""
    target = await find_target(chat, show, standing, wanted.account)
    if isinstance(target, Refusal):
        return target
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, target.id) as connection:
        now_ms = clock.now_ms()
        until_ms = now_ms + wanted.seconds * 1000
        detail = {"until_ms": until_ms, "seconds": wanted.seconds}
        deed = Deed(show, who(actor), "timeout.set", target, reason=wanted.reason, detail=detail, undoes=undoes)
        async with connection.transaction():
            await sanctions.insert_timeout(
                connection, clock.new_id(), show, target.id, until_ms=until_ms, reason=wanted.reason, actor=actor.id
            )
            number = await write_act(connection, deed)
        in_force = (await sanctions.sanctions_of(connection, show)).get(target.id, until_ms)
        await chat.rooms.sanction(show, target.id, in_force, Timeout(target, wanted.seconds, now_ms))
    await chat.rooms.tell(show, target.id, TimeoutHint(wanted.seconds * 1000, wanted.reason))
    await tell_act(chat, deed, number, now_ms)
    return TimedOut(target.id, until_ms)


async def end_timeout(
    chat: Chat, show: str, actor: Person, standing: Standing, account: str, *, undoes: int = 0
) -> Refusal | None:
    """Lets a person write again. Nothing happens when nothing silenced them."""
    target = await find_target(chat, show, standing, account)
    if isinstance(target, Refusal):
        return target
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, target.id) as connection:
        now_ms = clock.now_ms()
        deed = Deed(show, who(actor), "timeout.end", target, undoes=undoes)
        async with connection.transaction():
            lifted_ms = await sanctions.lift_timeouts(connection, show, target.id, actor.id)
            lifted = lifted_ms is not None
            number = await write_act(connection, replace(deed, detail={"until_ms": lifted_ms})) if lifted else 0
        # A ban stays; what only the room's copy still has goes.
        stays = target.id in await sanctions.sanctions_of(connection, show)
        if not stays and (lifted or await chat.rooms.sanction_of(show, target.id)):
            await chat.rooms.absolve(show, target.id, TimeoutEnded(target, now_ms))
    if not lifted:
        return None
    await chat.rooms.tell(show, target.id, TimeoutHint(0, ""))
    await tell_act(chat, deed, number, now_ms)
    return None
