"""Banning people from one show or from all shows of a shop, and letting them back.

Postgres first, which is the truth; then every room that the ban is for, the person's sockets, and whoever listens
(holds, media sessions). What could not be told because somebody was away, the loop below tells.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from app import clock
from app.accounts.standing import place_of
from app.chat import sanctions
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Ban, BanEnded, Banned, Who, who
from app.chat.moderation_rules import may_silence
from app.chat.parts import Chat
from app.chat.purges import purge
from app.chat.targets import Account, Reason, find_target
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import Muted
from app.storage.loops import Loop

ENFORCE_PERIOD_S: Final = 2.0
ENFORCED_AT_ONCE_MAX: Final = 50
AGAIN_S: Final = 20
"""For so long whoever listens is told again: of what the person began before the ban and had only after it."""

_SHOP: Final = "SELECT shop_id FROM shows WHERE id = $1"
# Shows that somebody may be in: all that have not ended, and of those that have the ones with an open room ($2).
_SHOWS: Final = "SELECT id FROM shows WHERE shop_id = $1 AND (state <> 'ended' OR id = ANY($2))"
# What a person is at most, in a shop or in any of its shows.
_HIGHEST: Final = """
SELECT coalesce((
    SELECT role FROM (
        SELECT role FROM shop_members WHERE shop_id = $1 AND account_id = $2
        UNION ALL
        SELECT CASE WHEN m.lead THEN 'lead' ELSE 'moderator' END FROM show_moderators m
        JOIN shows s ON s.id = m.show_id WHERE s.shop_id = $1 AND m.account_id = $2
    ) roles ORDER BY array_position('{host,lead,moderator}', role) LIMIT 1
), 'viewer')
"""
_INSERT: Final = """
INSERT INTO sanctions (id, show_id, shop_id, account_id, kind, reason, by_account_id)
SELECT $1, $2, $3, $4, 'ban', $5, $6 WHERE NOT EXISTS (
    SELECT 1 FROM sanctions
    WHERE account_id = $4 AND kind = 'ban' AND lifted_at IS NULL
          AND show_id IS NOT DISTINCT FROM $2 AND shop_id IS NOT DISTINCT FROM $3 AND copy_of IS NULL
) RETURNING id
"""
_LIFT: Final = """
UPDATE sanctions SET lifted_at = now(), lifted_by = $4
WHERE account_id = $3 AND kind = 'ban' AND lifted_at IS NULL AND (show_id = $1 OR shop_id = $2)
RETURNING shop_id IS NOT NULL AS everywhere
"""
_ENFORCED: Final = "UPDATE sanctions SET enforced_at = now() WHERE id = $1"
_UNENFORCED: Final = """
SELECT x.id, x.show_id, x.shop_id, x.account_id, a.name, x.reason
FROM sanctions x JOIN accounts a ON a.id = x.account_id
WHERE x.kind = 'ban' AND x.enforced_at IS NULL AND x.lifted_at IS NULL AND x.created_at < now() - interval '1 second'
ORDER BY x.created_at LIMIT $1
"""
_YOUNG: Final = """
SELECT show_id, shop_id, account_id FROM sanctions
WHERE kind = 'ban' AND lifted_at IS NULL AND enforced_at IS NOT NULL AND created_at > now() - make_interval(secs => $1)
"""


class SetBan(msgspec.Struct, frozen=True):
    """ban.set. `everywhere`: in all shows of the shop. `delete`: with all that the person said in this show."""

    account: Account
    reason: Reason = ""
    everywhere: bool = False
    delete: bool = False


class EndBan(msgspec.Struct, frozen=True):
    """ban.end. `everywhere`: also one that is for all shows of the shop."""

    account: Account
    everywhere: bool = False


class _Reach(msgspec.Struct, frozen=True):
    """The shows that a ban is for, and the shop whose they are when it is for all of them."""

    shows: Sequence[str]
    shop: str | None


async def set_ban(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: SetBan, *, undoes: int = 0
) -> Refusal | None:
    """Bans a person. Banning twice is banning once."""
    found = await meant(chat, show, actor, standing, wanted)
    if isinstance(found, Refusal):
        return found
    target, shop = found
    detail = {"everywhere": wanted.everywhere}
    deed = Deed(show, who(actor), "ban.set", target, reason=wanted.reason, detail=detail, undoes=undoes)
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, target.id) as connection:
        ban, of_show = clock.new_id(), None if shop else show
        async with connection.transaction():
            values = (ban, of_show, shop, target.id, wanted.reason, actor.id)
            fresh = await connection.fetchval(_INSERT, *values) is not None
            number = await write_act(connection, deed) if fresh else 0
        if fresh:
            reach = _Reach(await shows_of(chat, of_show, shop), shop)
            await _enforce(chat, connection, ban, reach, target, reason=wanted.reason, first=True)
    if wanted.delete:
        await purge(chat, show, actor, target)
    if fresh:
        await tell_act(chat, deed, number, clock.now_ms())
    return None


async def end_ban(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: EndBan, *, undoes: int = 0
) -> Refusal | None:
    """Lets a person back. Nothing happens when no ban of that reach stands. Taking back one for all shows leaves
    another that was for this show alone.
    """
    found = await meant(chat, show, actor, standing, wanted)
    if isinstance(found, Refusal):
        return found
    target, shop = found
    deed = Deed(show, who(actor), "ban.end", target, undoes=undoes)
    of_show = None if undoes and shop else show
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, target.id) as connection:
        async with connection.transaction():
            lifted = await connection.fetch(_LIFT, of_show, shop, target.id, actor.id)
            detail = {"everywhere": any(row["everywhere"] for row in lifted)}
            number = await write_act(connection, msgspec.structs.replace(deed, detail=detail)) if lifted else 0
        for room in await shows_of(chat, None if shop else show, shop):
            await restate(chat, connection, room, target)
    if lifted:
        if (await sanctions.sanctions_of(chat.pg, show)).get(target.id, 0) is not None:
            await chat.rooms.tell(show, target.id, Banned(None))
        await tell_act(chat, deed, number, clock.now_ms())
    return None


async def meant(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: SetBan | EndBan
) -> tuple[Who, str | None] | Refusal:
    """Whom it is about, and the shop when it is for all its shows; why the actor may not."""
    target = await find_target(chat, show, standing, wanted.account)
    if isinstance(target, Refusal):
        return target
    if not wanted.everywhere:
        return target, None
    place = await _shop_of(chat, show, actor)
    if isinstance(place, Refusal):
        return place
    shop, standing_there = place
    highest = await chat.pg.fetchval(_HIGHEST, shop, target.id)
    if not may_silence(standing_there, Standing(highest)):
        return Refusal("forbidden", f"You cannot do that to a {highest} of this shop.")
    return target, shop


async def restate(chat: Chat, connection: Any, room: str, target: Who) -> bool:
    """Makes the room's copy say what Postgres says, after a ban was lifted. Whether it said something else."""
    in_force = await sanctions.sanctions_of(connection, room)
    known = await chat.rooms.sanction_of(room, target.id)
    if known != Muted(None) or (target.id in in_force and in_force[target.id] is None):
        return False
    ended = BanEnded(target, clock.now_ms())
    if target.id in in_force:
        await chat.rooms.sanction(room, target.id, in_force[target.id], ended)
    else:
        await chat.rooms.absolve(room, target.id, ended)
    return True


async def _shop_of(chat: Chat, show: str, actor: Person) -> tuple[str, Standing] | Refusal:
    """The show's shop, and what the actor is in all of it, if they are staff there."""
    shop: str = await chat.pg.fetchval(_SHOP, show)
    place = await place_of(chat.pg, actor, {"shop": shop})
    if place is None or place.standing is Standing.VIEWER:
        return Refusal("forbidden", "Only the shop's own staff may do this for all its shows.")
    return shop, place.standing


async def shows_of(chat: Chat, show: str | None, shop: str | None) -> Sequence[str]:
    """The show alone, or (with `shop`) all of the shop in which somebody may be."""
    if shop is None:
        assert show is not None
        return [show]
    return [row["id"] for row in await chat.pg.fetch(_SHOWS, shop, await chat.copies.rooms())]


async def _enforce(
    chat: Chat, connection: asyncpg.Connection, ban: str, reach: _Reach, target: Who, *, reason: str, first: bool
) -> None:
    """Tells every room, the person, and whoever listens; then says in Postgres that this was done."""
    for show in reach.shows:
        if first or await chat.rooms.sanction_of(show, target.id) != Muted(None):
            await chat.rooms.sanction(show, target.id, None, Ban(target, clock.now_ms()))
        await chat.rooms.tell(show, target.id, Banned(reason))
        await chat.rooms.standing_changed(show, target.id)
    await _tell_listeners(chat, target.id, reach)
    await connection.execute(_ENFORCED, ban)


async def _tell_listeners(chat: Chat, account: str, reach: _Reach) -> None:
    for listener in chat.ban_listeners:
        await listener.person_banned(account, reach.shows, reach.shop)


async def enforce_all(chat: Chat) -> None:
    """Does what is left to do of bans that were written and not carried through, and ends what those who were banned
    just now had begun before.
    """
    for row in await chat.pg.fetch(_UNENFORCED, ENFORCED_AT_ONCE_MAX):
        target = Who(row["account_id"], row["name"])
        async with sanctions.one_at_a_time(chat.pg, target.id) as connection:
            reach = _Reach(await shows_of(chat, row["show_id"], row["shop_id"]), row["shop_id"])
            await _enforce(chat, connection, row["id"], reach, target, reason=row["reason"], first=False)
    for row in await chat.pg.fetch(_YOUNG, AGAIN_S):
        reach = _Reach(await shows_of(chat, row["show_id"], row["shop_id"]), row["shop_id"])
        await _tell_listeners(chat, row["account_id"], reach)


def bans_loop(chat: Chat) -> Loop:
    """The worker role's part."""
    return Loop("bans", ENFORCE_PERIOD_S, lambda: enforce_all(chat))
