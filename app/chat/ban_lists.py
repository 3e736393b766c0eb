"""Lists of bans that shops share: giving one's own, taking over another's, and leaving it again. Owns the tables
ban_lists and ban_lists_taken, and the copies among the sanctions.

A list is a shop's own bans for all its shows, without those that it took over itself. Each is a ban of the shop that
takes the list, of its own, so everything that holds of bans holds of it; the worker keeps the copies up to date. The
staff let somebody back all the same, and that stays so. Nobody who serves the shop is banned by a list.
"""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.bans import restate, shows_of
from app.chat.events import Banned, Who, who
from app.chat.parts import Chat
from app.chat.sanctions import one_at_a_time
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right
from app.refusal import Refusal
from app.storage.loops import Loop

LISTS_MAX: Final = 20
COPIED_AT_ONCE_MAX: Final = 200
COPY_PERIOD_S: Final = 2.0
NO_LIST: Final = Refusal("not_found", "There is no such list.")

_SHOP: Final = "SELECT shop_id FROM shows WHERE id = $1"
_OWN: Final = """
SELECT l.code, (SELECT count(*) FROM ban_lists_taken t WHERE t.from_shop_id = l.shop_id) AS takers
FROM ban_lists l WHERE l.shop_id = $1
"""
_TAKEN: Final = """
SELECT t.from_shop_id AS shop, s.name, (
    SELECT count(*) FROM sanctions x JOIN sanctions y ON y.id = x.copy_of
    WHERE x.shop_id = t.shop_id AND y.shop_id = t.from_shop_id AND x.lifted_at IS NULL
) AS bans
FROM ban_lists_taken t JOIN shops s ON s.id = t.from_shop_id WHERE t.shop_id = $1 ORDER BY t.taken_at, s.id
"""
_SHARE: Final = """
INSERT INTO ban_lists (shop_id, code, shared_by) VALUES ($1, $2, $3) ON CONFLICT (shop_id) DO NOTHING RETURNING code
"""
_WITHDRAW: Final = "DELETE FROM ban_lists WHERE shop_id = $1 RETURNING code"
_BY_CODE: Final = "SELECT shop_id FROM ban_lists WHERE code = $1"
_LOCK: Final = "SELECT FROM shops WHERE id = $1 FOR NO KEY UPDATE"
_OTHERS: Final = "SELECT count(*) FROM ban_lists_taken WHERE shop_id = $1 AND from_shop_id <> $2"
_TAKE: Final = """
INSERT INTO ban_lists_taken (shop_id, from_shop_id, by_account_id) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING from_shop_id
"""
_LEAVE: Final = "DELETE FROM ban_lists_taken WHERE shop_id = $1 AND from_shop_id = $2 RETURNING from_shop_id"
# Bans of lists that those who took them lack.
_COPY: Final = """
INSERT INTO sanctions (id, shop_id, account_id, kind, reason, by_account_id, copy_of)
SELECT replace(gen_random_uuid()::text, '-', ''), t.shop_id, x.account_id, 'ban', x.reason, t.by_account_id, x.id
FROM ban_lists_taken t JOIN sanctions x ON x.shop_id = t.from_shop_id
WHERE x.kind = 'ban' AND x.lifted_at IS NULL AND x.copy_of IS NULL
    AND NOT EXISTS (SELECT FROM sanctions y WHERE y.shop_id = t.shop_id AND y.copy_of = x.id)
    AND NOT EXISTS (SELECT FROM shop_members m WHERE m.shop_id = t.shop_id AND m.account_id = x.account_id)
    AND NOT EXISTS (
        SELECT FROM show_moderators m JOIN shows s ON s.id = m.show_id
        WHERE s.shop_id = t.shop_id AND m.account_id = x.account_id
    )
ORDER BY x.created_at LIMIT $1 ON CONFLICT DO NOTHING RETURNING id
"""
# Copies whose ban was lifted, or whose list was left: of the latter nothing is remembered, should it be taken again.
_ENDED: Final = """
SELECT y.id, y.shop_id, y.account_id, a.name, x.lifted_at IS NULL AS is_left
FROM sanctions y JOIN sanctions x ON x.id = y.copy_of JOIN accounts a ON a.id = y.account_id
WHERE y.lifted_at IS NULL AND (x.lifted_at IS NOT NULL OR NOT EXISTS (
    SELECT FROM ban_lists_taken t WHERE t.shop_id = y.shop_id AND t.from_shop_id = x.shop_id
)) LIMIT $1
"""
_LIFT: Final = """
UPDATE sanctions SET lifted_at = now(), copy_of = CASE WHEN $2 THEN NULL ELSE copy_of END
WHERE id = $1 AND lifted_at IS NULL RETURNING id
"""
_FORGET: Final = """
UPDATE sanctions y SET copy_of = NULL FROM sanctions x
WHERE x.id = y.copy_of AND y.shop_id = $1 AND x.shop_id = $2 AND y.lifted_at IS NOT NULL
"""


class TakenList(msgspec.Struct, frozen=True):
    """Another shop's list that this shop took over, and how many it keeps out."""

    shop: str
    name: str
    bans: int


class BanLists(msgspec.Struct, frozen=True):
    """`code`: by which others take over this shop's list, None while it is not shared; `takers`: how many have."""

    code: str | None
    takers: int
    taken: list[TakenList]


class ShareList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether others may take over the shop's list. No longer: they lose it, and the code."""

    shared: bool


class TakeList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code of another shop's list."""

    code: Annotated[str, Meta(min_length=1, max_length=100)]


async def read_lists(pg: asyncpg.Pool, show: str) -> BanLists:
    """Those of the show's shop."""
    shop = await pg.fetchval(_SHOP, show)
    own = await pg.fetchrow(_OWN, shop)
    taken = [TakenList(**row) for row in await pg.fetch(_TAKEN, shop)]
    return BanLists(own and own["code"], own["takers"] if own else 0, taken)


async def share(chat: Chat, show: str, actor: Person, *, shared: bool) -> BanLists:
    """Offers the shop's list, or takes it back from all. What is already so is no change."""
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        shop = await connection.fetchval(_SHOP, show)
        if shared:
            done = await connection.fetchval(_SHARE, shop, clock.new_secret(), actor.id)
        else:
            done = await connection.fetchval(_WITHDRAW, shop)
        deed = Deed(show, who(actor), "list.share" if shared else "list.withdraw")
        number = await write_act(connection, deed) if done else 0
    await _tell(chat, deed, number)
    return await read_lists(chat.pg, show)


async def take(chat: Chat, show: str, actor: Person, code: str) -> BanLists | Refusal:
    """Takes over the list with this code; taking it twice is taking it once."""
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        shop, source = await connection.fetchval(_SHOP, show), await connection.fetchval(_BY_CODE, code)
        if source is None or source == shop:
            return NO_LIST
        await connection.execute(_LOCK, shop)
        if await connection.fetchval(_OTHERS, shop, source) >= LISTS_MAX:
            return Refusal("too_many", f"A shop takes over {LISTS_MAX} lists at most.")
        done = await connection.fetchval(_TAKE, shop, source, actor.id)
        deed = Deed(show, who(actor), "list.take", detail={"shop": source})
        number = await write_act(connection, deed) if done else 0
    await _tell(chat, deed, number)
    return await read_lists(chat.pg, show)


async def leave(chat: Chat, show: str, actor: Person, source: str) -> BanLists:
    """Leaves another shop's list: whom it alone kept out may come back."""
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        shop = await connection.fetchval(_SHOP, show)
        done = await connection.fetchval(_LEAVE, shop, source)
        await connection.execute(_FORGET, shop, source)
        deed = Deed(show, who(actor), "list.leave", detail={"shop": source})
        number = await write_act(connection, deed) if done else 0
    await _tell(chat, deed, number)
    return await read_lists(chat.pg, show)


async def _tell(chat: Chat, deed: Deed, number: int) -> None:
    if number:
        await tell_act(chat, deed, number, clock.now_ms())


async def copy_lists(chat: Chat) -> None:
    """Makes the copies what the lists are. What is new the bans' own loop carries through."""
    while len(await chat.pg.fetch(_COPY, COPIED_AT_ONCE_MAX)) == COPIED_AT_ONCE_MAX:
        pass
    for row in await chat.pg.fetch(_ENDED, COPIED_AT_ONCE_MAX):
        await _let_back(chat, row)


async def _let_back(chat: Chat, row: Any) -> None:
    target = Who(row["account_id"], row["name"])
    async with chat.moderating, one_at_a_time(chat.pg, target.id) as connection:
        if await connection.fetchval(_LIFT, row["id"], row["is_left"]) is None:
            return
        for room in await shows_of(chat, None, row["shop_id"]):
            if await restate(chat, connection, room, target):
                await chat.rooms.tell(room, target.id, Banned(None))


def lists_loop(chat: Chat) -> Loop:
    """The worker role's part."""
    return Loop("ban lists", COPY_PERIOD_S, lambda: copy_lists(chat))


def endpoints(parts: Chat) -> list[Endpoint]:
    """All for the host alone: it is about every show of the shop."""

    async def read(call: Call) -> Reply:
        return Reply(await read_lists(parts.pg, call.path["show"]))

    async def offer(call: Call) -> Reply:
        return Reply(await share(parts, call.path["show"], call.signed_in, shared=call.body.shared))

    async def take_over(call: Call) -> Reply | Refusal:
        answer = await take(parts, call.path["show"], call.signed_in, call.body.code)
        return answer if isinstance(answer, Refusal) else Reply(answer)

    async def give_up(call: Call) -> Reply:
        return Reply(await leave(parts, call.path["show"], call.signed_in, call.path["shop"]))

    doings: list[tuple[str, str, Any, str, type[msgspec.Struct] | None]] = [
        ("GET", "", read, "The lists of bans that the shop shares and takes over", None),
        ("PUT", "", offer, "Share the shop's list of bans, or no more", ShareList),
        ("POST", "/taken", take_over, "Take over another shop's list of bans", TakeList),
        ("DELETE", "/taken/{shop}", give_up, "Leave another shop's list of bans", None),
    ]
    return [
        Endpoint(
            method=method,
            path="/api/shows/{show}/ban-lists" + path,
            right=Right.SHOW_HOST,
            action=action,
            summary=summary,
            body=body,
            answer=BanLists,
        )
        for method, path, action, summary, body in doings
    ]
