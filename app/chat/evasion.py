"""Telling the staff who may be somebody that they banned, come back under another name. Owns the table evasions.

Accounts are compared by the hints that accounts/hints.py keeps: a device, or (weaker: households and offices share one)
an address. It is a flag and no judgement: nobody is refused for it, and the staff are told once about each pair.
"""

from typing import Final

import asyncpg
import msgspec

from app.accounts.hints import forget_old
from app.chat.events import EvasionClosed, EvasionSuspected, Who, who
from app.chat.parts import Chat
from app.chat.store import unix_ms
from app.chat.targets import Account
from app.person import Person
from app.rooms.bus import staff_room
from app.storage.away import unless_away
from app.storage.loops import Loop

OPEN_MAX: Final = 200
LIKE_MAX: Final = 3
FORGET_PERIOD_S: Final = 3600.0

# Who is banned here and has a hint in common with this person ($2); a device says more than an address.
_FLAG: Final = """
WITH alike AS (
    SELECT b.account_id, max(b.kind) AS kind FROM account_hints h
    JOIN account_hints b ON b.hash = h.hash AND b.kind = h.kind AND b.account_id <> h.account_id
    WHERE h.account_id = $2 AND EXISTS (
        SELECT FROM sanctions x JOIN shows s ON s.id = $1 WHERE x.account_id = b.account_id AND x.kind = 'ban'
            AND x.lifted_at IS NULL AND (x.show_id = s.id OR x.shop_id = s.shop_id)
    ) GROUP BY b.account_id ORDER BY max(b.kind) DESC, max(b.seen_at) DESC LIMIT $3
), flagged AS (
    INSERT INTO evasions (show_id, account_id, like_id, kind) SELECT $1, $2, account_id, kind FROM alike
    ON CONFLICT DO NOTHING RETURNING like_id, kind, at
)
SELECT f.like_id, a.name, f.kind, f.at FROM flagged f JOIN accounts a ON a.id = f.like_id
"""
# Flags that nobody has seen to, of people who are not banned by now.
_OPEN: Final = """
SELECT e.account_id, a.name, e.like_id, b.name AS like_name, e.kind, e.at
FROM evasions e JOIN accounts a ON a.id = e.account_id JOIN accounts b ON b.id = e.like_id
JOIN shows s ON s.id = e.show_id
WHERE e.show_id = $1 AND e.closed_at IS NULL AND NOT EXISTS (
    SELECT FROM sanctions x WHERE x.account_id = e.account_id AND x.kind = 'ban' AND x.lifted_at IS NULL
        AND (x.show_id = s.id OR x.shop_id = s.shop_id)
) ORDER BY e.at LIMIT $2
"""
_CLOSE: Final = """
UPDATE evasions SET closed_at = now(), closed_by = $3
WHERE show_id = $1 AND account_id = $2 AND closed_at IS NULL RETURNING account_id
"""


class CloseEvasion(msgspec.Struct, frozen=True):
    """evasion.close: somebody has seen to the flags on this person."""

    account: Account


async def look(chat: Chat, show: str, person: Person) -> None:
    """Somebody writes in the show: tells the staff when they may be somebody that is banned there. While something is
    away nobody is told; the words were said all the same.
    """
    if chat.suspicions.is_due(show, person.id):
        await unless_away("evasion", _look(chat, show, person))


async def _look(chat: Chat, show: str, person: Person) -> None:
    for row in await chat.pg.fetch(_FLAG, show, person.id, LIKE_MAX):
        flag = EvasionSuspected(who(person), Who(row["like_id"], row["name"]), row["kind"], unix_ms(row["at"]))
        await chat.rooms.append(staff_room(show), flag)


async def open_evasions(pg: asyncpg.Pool, show: str) -> list[EvasionSuspected]:
    """What nobody has seen to yet, the oldest first."""
    return [
        EvasionSuspected(
            Who(row["account_id"], row["name"]), Who(row["like_id"], row["like_name"]), row["kind"], unix_ms(row["at"])
        )
        for row in await pg.fetch(_OPEN, show, OPEN_MAX)
    ]


async def close_evasion(chat: Chat, show: str, actor: Person, account: str) -> None:
    """Somebody has seen to it."""
    if await chat.pg.fetch(_CLOSE, show, account, actor.id):
        await chat.rooms.append(staff_room(show), EvasionClosed(account, who(actor)))


def hints_loop(chat: Chat) -> Loop:
    """The worker role's part."""
    return Loop("hints", FORGET_PERIOD_S, lambda: forget_old(chat.pg))
