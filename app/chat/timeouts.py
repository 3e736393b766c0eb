"""Timing people out and letting them back: Postgres first, which is the truth, then the room's copy of it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app import clock
from app.accounts.standing import standing as standing_of
from app.chat import store
from app.chat.events import Act, Timeout, TimeoutEnded, TimeoutHint, Who, who
from app.chat.moderation_rules import REASON_LENGTH_MAX, TIMEOUT_S_MAX, may_silence
from app.chat.parts import Chat
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import staff_room

Account = Annotated[str, Meta(min_length=1, max_length=64)]


class SetTimeout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """timeout.set, and the body of its HTTP twin."""

    account: Account
    seconds: Annotated[int, Meta(ge=1, le=TIMEOUT_S_MAX)]
    reason: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)] = ""


class EndTimeout(msgspec.Struct, frozen=True):
    """timeout.end"""  # noqa: D400, D415 - the command's name

    account: Account


class TimedOut(msgspec.Struct, frozen=True):
    """Until when the person may not write, Unix ms."""

    account: str
    until_ms: int


async def set_timeout(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: SetTimeout
) -> TimedOut | Refusal:
    """Silences a person for some seconds from now; a newer timeout takes the place of an older one."""
    target = await _target(chat, show, standing, wanted.account)
    if isinstance(target, Refusal):
        return target
    async with chat.moderating, store.one_at_a_time(chat.pg, show, target.id) as connection:
        now_ms = clock.now_ms()
        until_ms = now_ms + wanted.seconds * 1000
        await store.insert_timeout(
            connection, clock.new_id(), show, target.id, until_ms=until_ms, reason=wanted.reason, actor=actor.id
        )
        await chat.rooms.sanction(show, target.id, until_ms, Timeout(target, wanted.seconds, now_ms))
    await chat.rooms.tell(show, target.id, TimeoutHint(wanted.seconds * 1000, wanted.reason))
    await chat.rooms.append(staff_room(show), Act(who(actor), "timeout.set", target, now_ms))
    return TimedOut(target.id, until_ms)


async def end_timeout(chat: Chat, show: str, actor: Person, standing: Standing, account: str) -> Refusal | None:
    """Lets a person write again. Nothing happens when nothing silenced them."""
    target = await _target(chat, show, standing, account)
    if isinstance(target, Refusal):
        return target
    async with chat.moderating, store.one_at_a_time(chat.pg, show, target.id) as connection:
        now_ms = clock.now_ms()
        lifted = await store.lift_timeouts(connection, show, target.id, actor.id)
        # A sanction of the whole shop stays; one that only the room's copy still has goes.
        stays = target.id in await store.sanctions_of(connection, show)
        if not stays and (lifted or await chat.rooms.sanction_of(show, target.id)):
            await chat.rooms.absolve(show, target.id, TimeoutEnded(target, now_ms))
    if not lifted:
        return None
    await chat.rooms.tell(show, target.id, TimeoutHint(0, ""))
    await chat.rooms.append(staff_room(show), Act(who(actor), "timeout.end", target, now_ms))
    return None


async def _target(chat: Chat, show: str, actor: Standing, account: str) -> Who | Refusal:
    """The person to act on, if this actor may."""
    name = await store.name_of(chat.pg, account)
    theirs = await standing_of(chat.pg, show, Person(account, name or ""))
    if name is None or theirs is None:
        return Refusal("not_found", "There is no such person.")
    if not may_silence(actor, theirs):
        return Refusal("forbidden", f"You cannot time out a {theirs.value} of this show.")
    return Who(account, name)
