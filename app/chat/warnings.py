"""Warning people: they read why, and say so, before they write again. Postgres first, then the room's copy."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from app import clock
from app.chat import sanctions
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Warning as WarningHint
from app.chat.events import who
from app.chat.moderation_rules import REASON_LENGTH_MAX
from app.chat.parts import Chat
from app.chat.targets import Account, find_target
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import warned

_INSERT: Final = """
INSERT INTO warnings (id, show_id, account_id, reason, by_account_id) VALUES ($1, $2, $3, $4, $5)
"""
_ACKNOWLEDGE: Final = """
UPDATE warnings SET acknowledged_at = now()
WHERE id = $1 AND show_id = $2 AND account_id = $3 AND acknowledged_at IS NULL
"""
# The oldest that the person has not acknowledged in the show.
_NEXT: Final = """
SELECT id, reason FROM warnings WHERE show_id = $1 AND account_id = $2 AND acknowledged_at IS NULL
ORDER BY created_at, id LIMIT 1
"""


class GiveWarning(msgspec.Struct, frozen=True):
    """warning.give"""  # noqa: D400, D415 - the command's name

    account: Account
    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX)]


class AcceptWarning(msgspec.Struct, frozen=True):
    """warning.accept"""  # noqa: D400, D415 - the command's name

    warning: Annotated[str, Meta(min_length=1, max_length=64)]


async def warn(chat: Chat, show: str, actor: Person, standing: Standing, wanted: GiveWarning) -> Refusal | None:
    """Warns a person."""
    target = await find_target(chat, show, standing, wanted.account)
    if isinstance(target, Refusal):
        return target
    warning = clock.new_id()
    deed = Deed(show, who(actor), "warning.give", target, reason=wanted.reason, detail={"warning": warning})
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, target.id) as connection:
        async with connection.transaction():
            await connection.execute(_INSERT, warning, show, target.id, wanted.reason, actor.id)
            number = await write_act(connection, deed)
        await chat.rooms.sanction(show, warned(target.id), None, None)
    await chat.rooms.tell(show, target.id, WarningHint(warning, wanted.reason))
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def withdraw_warning(
    chat: Chat, show: str, actor: Person, standing: Standing, account: str, *, warning: str, undoes: int
) -> Refusal | None:
    """Takes a warning back that the person has not acknowledged yet. Nothing happens when they have."""
    target = await find_target(chat, show, standing, account)
    if isinstance(target, Refusal):
        return target
    deed = Deed(show, who(actor), "warning.withdraw", target, detail={"warning": warning}, undoes=undoes)
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, target.id) as connection:
        async with connection.transaction():
            stood = await connection.execute(_ACKNOWLEDGE, warning, show, target.id) != "UPDATE 0"
            number = await write_act(connection, deed) if stood else 0
        if await next_warning(connection, show, target.id) is None:
            await chat.rooms.absolve(show, warned(target.id), None)
    if stood:
        await tell_act(chat, deed, number, clock.now_ms())
    return None


async def accept_warning(chat: Chat, show: str, person: Person, warning: str) -> WarningHint | None:
    """The person has read it; the next one, if there is another."""
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, person.id) as connection:
        await connection.execute(_ACKNOWLEDGE, warning, show, person.id)
        following = await next_warning(connection, show, person.id)
        if following is None:
            await chat.rooms.absolve(show, warned(person.id), None)
    return following


async def next_warning(pg: sanctions.Executor, show: str, account: str) -> WarningHint | None:
    """What the person has yet to acknowledge. `pg` is a pool or a connection."""
    row = await pg.fetchrow(_NEXT, show, account)
    return None if row is None else WarningHint(row["id"], row["reason"])
