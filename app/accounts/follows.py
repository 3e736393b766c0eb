"""Following a shop: one's own list, and for how long somebody has followed. Owns the table follows; tells nobody."""

from typing import Final

import asyncpg
import msgspec

from app.accounts.parts import Accounts
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

FOLLOWS_MAX: Final = 2000

_LIST: Final = """
SELECT s.id, s.name, (extract(epoch FROM f.followed_at) * 1000)::bigint AS since_ms
FROM follows f JOIN shops s ON s.id = f.shop_id WHERE f.account_id = $1 ORDER BY f.followed_at DESC, s.id
"""
_COUNT: Final = "SELECT count(*) FROM follows WHERE account_id = $1 AND shop_id <> $2"
# Who follows already has followed since then.
_ADD: Final = """
WITH shop AS (SELECT id FROM shops WHERE id = $2),
added AS (INSERT INTO follows (account_id, shop_id) SELECT $1, id FROM shop ON CONFLICT DO NOTHING)
SELECT EXISTS (SELECT FROM shop)
"""
_REMOVE: Final = "DELETE FROM follows WHERE account_id = $1 AND shop_id = $2"
_FOR_S: Final = """
SELECT extract(epoch FROM now() - f.followed_at)::float8 FROM follows f JOIN shows s ON s.shop_id = f.shop_id
WHERE s.id = $1 AND f.account_id = $2
"""


class Followed(msgspec.Struct, frozen=True):
    """A shop that the person follows."""

    id: str
    name: str
    since_ms: int


class Follows(msgspec.Struct, frozen=True):
    """All of them, the last one first."""

    shops: list[Followed]


async def follows_for_s(pg: asyncpg.Pool, show: str, account: str) -> float | None:
    """For how many seconds the person has followed the show's shop; None: they do not."""
    found: float | None = await pg.fetchval(_FOR_S, show, account)
    return found


async def follow(pg: asyncpg.Pool, account: str, shop: str) -> Refusal | None:
    """Follows a shop. Once more, nothing changes."""
    if await pg.fetchval(_COUNT, account, shop) >= FOLLOWS_MAX:
        return Refusal("too_many", f"You can follow {FOLLOWS_MAX} shops at most.")
    return None if await pg.fetchval(_ADD, account, shop) else Refusal("not_found", "There is no such shop.")


async def unfollow(pg: asyncpg.Pool, account: str, shop: str) -> None:
    """Follows it no more."""
    await pg.execute(_REMOVE, account, shop)


def endpoints(parts: Accounts) -> list[Endpoint]:
    """Reading and editing one's own list."""

    async def listed(call: Call) -> Reply:
        rows = await parts.pg.fetch(_LIST, call.signed_in.id)
        return Reply(Follows([Followed(row["id"], row["name"], row["since_ms"]) for row in rows]))

    async def read(call: Call) -> Reply | Refusal:
        return await listed(call)

    async def add(call: Call) -> Reply | Refusal:
        return await follow(parts.pg, call.signed_in.id, call.path["shop"]) or await listed(call)

    async def remove(call: Call) -> Reply | Refusal:
        await unfollow(parts.pg, call.signed_in.id, call.path["shop"])
        return await listed(call)

    doings = [
        ("GET", "/api/follows", read, "The shops that one follows"),
        ("PUT", "/api/follows/{shop}", add, "Follow a shop"),
        ("DELETE", "/api/follows/{shop}", remove, "Follow a shop no more"),
    ]
    return [
        Endpoint(method=method, path=path, right=Right.SIGNED_IN, action=action, summary=summary, answer=Follows)
        for method, path, action, summary in doings
    ]
