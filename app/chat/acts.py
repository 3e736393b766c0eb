"""The log of moderation: who did what to whom, and why. Owns its SQL and the staff room's word of each act.

An act is written in the transaction of its effect, as its last statement.
"""

from typing import Any, Final

import asyncpg
import msgspec

from app.chat.events import Act, Who
from app.chat.moderation_rules import UNDOABLE
from app.chat.parts import Chat
from app.rooms.bus import staff_room

_INSERT_ACT: Final = """
INSERT INTO moderation_acts (show_id, actor_id, act, target_account_id, target_message_id, detail)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING n
"""

_READ: Final = """
SELECT m.n, m.act, m.actor_id, a.name AS actor_name, m.target_account_id, t.name AS target_name, m.target_message_id,
       m.detail, m.at, EXISTS (
           SELECT FROM moderation_acts u WHERE u.detail ? 'undoes' AND (u.detail ->> 'undoes')::bigint = m.n
       ) AS undone
FROM moderation_acts m JOIN accounts a ON a.id = m.actor_id LEFT JOIN accounts t ON t.id = m.target_account_id
WHERE m.show_id = $1
"""
# A show's newest acts, or those about one person; and one act.
_ACTS: Final = _READ + "AND ($3::text IS NULL OR m.target_account_id = $3) ORDER BY m.n DESC LIMIT $2"
_ACT: Final = _READ + "AND m.n = $2"


class Deed(msgspec.Struct, frozen=True):
    """An act before it is written. `detail` says what it needs to be understood, and undone; `undoes`: the number of
    the act that it takes back, 0 for none.
    """

    show: str
    actor: Who
    act: str
    target: Who | None = None
    message: str | None = None
    reason: str = ""
    detail: dict[str, Any] = {}
    undoes: int = 0


async def write_act(connection: Any, deed: Deed) -> int:
    """Writes the act; its number. Raises asyncpg.UniqueViolationError when what it takes back was taken back before."""
    detail = {**deed.detail, "reason": deed.reason} if deed.reason else deed.detail
    detail = {**detail, "undoes": deed.undoes} if deed.undoes else detail
    target = None if deed.target is None else deed.target.id
    number: int = await connection.fetchval(
        _INSERT_ACT, deed.show, deed.actor.id, deed.act, target, deed.message, detail
    )
    return number


async def tell_act(chat: Chat, deed: Deed, number: int, now_ms: int) -> None:
    """Tells the staff room."""
    event = Act(
        deed.actor,
        deed.act,
        deed.target,
        now_ms,
        n=number,
        message=deed.message,
        reason=deed.reason,
        undoable=deed.act in UNDOABLE and number > 0,
        undoes=deed.undoes,
    )
    await chat.rooms.append(staff_room(deed.show), event)


async def find_act(pg: asyncpg.Pool, show: str, number: int) -> Any:
    """The show's act of that number, None when there is none."""
    return await pg.fetchrow(_ACT, show, number)


async def acts_of(pg: asyncpg.Pool, show: str, count: int, account: str | None = None) -> list[Any]:
    """The show's last acts, or those about one person, newest first."""
    return list(await pg.fetch(_ACTS, show, count, account))
