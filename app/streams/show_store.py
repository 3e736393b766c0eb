"""Shows in Postgres: reading them for somebody, and changing them under their row's lock.

Owns the SQL of shows and line-ups. Each change of state, title or pin raises `version`, which is the version of the
room's keys `show` and `pin`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.streams.show_rules import ShowState

SHOWS_LISTED_MAX: Final = 100
SHOWS_OPEN_PER_SHOP_MAX: Final = 500

# Shows with their shop, and what $1 (an account or null) is in them.
_SHOWS: Final = """
SELECT w.id, w.shop_id, s.name AS shop_name, s.currency, w.title, w.state, w.scheduled_at, w.started_at, w.ended_at,
       w.pinned_product_id AS pinned, w.version,
       CASE WHEN m.role = 'host' THEN 'host'
            WHEN m.role = 'lead' OR sm.lead THEN 'lead'
            WHEN m.role = 'moderator' OR sm.account_id IS NOT NULL THEN 'moderator'
            ELSE 'viewer' END AS standing
FROM shows w
JOIN shops s ON s.id = w.shop_id
LEFT JOIN shop_members m ON m.shop_id = w.shop_id AND m.account_id = $1
LEFT JOIN show_moderators sm ON sm.show_id = w.id AND sm.account_id = $1
"""
_ONE: Final = f"{_SHOWS} WHERE w.id = $2"
# What is on comes first, then what is to come, then what was.
_LIST: Final = f"""{_SHOWS}
ORDER BY array_position(ARRAY['live', 'paused', 'rehearsal', 'scheduled', 'ended'], w.state),
         CASE WHEN w.state = 'scheduled' THEN w.scheduled_at END ASC NULLS LAST,
         coalesce(w.ended_at, w.started_at, w.created_at) DESC, w.id
LIMIT $2
"""
_LOCK: Final = "SELECT shop_id, state, title, scheduled_at, pinned_product_id FROM shows WHERE id = $1 FOR UPDATE"
_LOCK_SHOP: Final = "SELECT id FROM shops WHERE id = $1 FOR UPDATE"
_COUNT_OPEN: Final = "SELECT count(*) FROM shows WHERE shop_id = $1 AND state <> 'ended'"
_INSERT: Final = "INSERT INTO shows (id, shop_id, title, scheduled_at) VALUES ($1, $2, $3, $4)"
# started_at is the first start's; the pin goes when the show ends.
_SET_STATE: Final = """
UPDATE shows SET state = $2, version = version + 1,
    started_at = CASE WHEN $2 = 'live' THEN coalesce(started_at, now()) ELSE started_at END,
    ended_at = CASE WHEN $2 = 'ended' THEN now() END,
    pinned_product_id = CASE WHEN $2 = 'ended' THEN NULL ELSE pinned_product_id END
WHERE id = $1
"""
_SET_PLAN: Final = "UPDATE shows SET title = $2, scheduled_at = $3, version = version + 1 WHERE id = $1"
_SET_PIN: Final = "UPDATE shows SET pinned_product_id = $2, version = version + 1 WHERE id = $1"
# The shows that pin a product, made to say it again.
_TOUCH_PINS: Final = "UPDATE shows SET version = version + 1 WHERE pinned_product_id = $1 RETURNING id"
_IN_SHOP: Final = """
SELECT id, title FROM products WHERE id = ANY($1::text[]) AND shop_id = $2 AND archived_at IS NULL
"""
_CLEAR_LINEUP: Final = "DELETE FROM lineup WHERE show_id = $1 RETURNING product_id"
_FILL_LINEUP: Final = """
INSERT INTO lineup (show_id, product_id, position)
SELECT $1, one.id, one.n FROM unnest($2::text[]) WITH ORDINALITY AS one (id, n)
"""
# Versions of the shows that somebody may be watching: all that are open, and those that ended a moment ago.
_VERSIONS: Final = """
SELECT id, version FROM shows
WHERE state <> 'ended' OR ended_at > now() - interval '10 minutes'
ORDER BY created_at DESC LIMIT 1000
"""
# The shows that ended a while ago, and whether what was under way at that moment must have arrived by now.
_JUST_ENDED: Final = """
SELECT id, ended_at < now() - interval '30 seconds' AS settled FROM shows
WHERE state = 'ended' AND ended_at > now() - interval '10 minutes'
ORDER BY ended_at DESC LIMIT 1000
"""
# At the end of the line-up, unless it is there already.
_EXTEND_LINEUP: Final = """
INSERT INTO lineup (show_id, product_id, position)
SELECT $1, $2, (SELECT coalesce(max(position), 0) + 1 FROM lineup WHERE show_id = $1)
ON CONFLICT DO NOTHING
"""


class ShowRow(msgspec.Struct, frozen=True):
    """A show as it is kept, and the standing of the person it was read for."""

    id: str
    shop_id: str
    shop_name: str
    currency: str
    title: str
    state: str
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    pinned: str | None
    version: int
    standing: str


class LockedShow(msgspec.Struct, frozen=True):
    """A show whose row this transaction holds."""

    shop: str
    state: ShowState
    title: str
    scheduled_at: datetime | None
    pinned: str | None


async def find_show(pg: asyncpg.Pool, show: str, account: str | None = None) -> ShowRow | None:
    """A show by its id."""
    row = await pg.fetchrow(_ONE, account, show)
    return None if row is None else ShowRow(**row)


async def list_shows(pg: asyncpg.Pool, account: str | None) -> list[ShowRow]:
    """The shows that a home page lists."""
    return [ShowRow(**row) for row in await pg.fetch(_LIST, account, SHOWS_LISTED_MAX)]


async def versions(pg: asyncpg.Pool) -> Mapping[str, int]:
    """The version of each show that somebody may be watching."""
    return {row["id"]: row["version"] for row in await pg.fetch(_VERSIONS)}


async def just_ended(pg: asyncpg.Pool) -> Mapping[str, bool]:
    """The shows that ended within the last ten minutes, and whether that is more than half a minute ago."""
    return {row["id"]: row["settled"] for row in await pg.fetch(_JUST_ENDED)}


async def lock_show(connection: Any, show: str) -> LockedShow | None:
    """The show, locked until the transaction ends."""
    row = await connection.fetchrow(_LOCK, show)
    if row is None:
        return None
    return LockedShow(
        row["shop_id"], ShowState(row["state"]), row["title"], row["scheduled_at"], row["pinned_product_id"]
    )


async def insert_show(pg: asyncpg.Pool, *, show: str, shop: str, title: str, scheduled_at: datetime | None) -> bool:
    """Makes a show of an existing shop. False when the shop has too many open ones."""
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK_SHOP, shop)
        if await connection.fetchval(_COUNT_OPEN, shop) >= SHOWS_OPEN_PER_SHOP_MAX:
            return False
        await connection.execute(_INSERT, show, shop, title, scheduled_at)
    return True


async def set_state(connection: Any, show: str, state: ShowState) -> None:
    """Moves a locked show to `state`."""
    await connection.execute(_SET_STATE, show, state.value)


async def set_plan(connection: Any, show: str, title: str, scheduled_at: datetime | None) -> None:
    """Changes title and plan of a locked show."""
    await connection.execute(_SET_PLAN, show, title, scheduled_at)


async def set_pin(connection: Any, show: str, product: str | None) -> None:
    """Pins a product of the shop in a locked show, or none. What is pinned is in the line-up from then on."""
    if product is not None:
        await connection.execute(_EXTEND_LINEUP, show, product)
    await connection.execute(_SET_PIN, show, product)


async def touch_pins(pg: asyncpg.Pool, product: str) -> Sequence[str]:
    """Raises the version of the shows that pin the product and names them."""
    return [row["id"] for row in await pg.fetch(_TOUCH_PINS, product)]


async def titles_in_shop(connection: Any, products: Sequence[str], shop: str) -> Mapping[str, str]:
    """The titles of those of the products that the shop has."""
    return {row["id"]: row["title"] for row in await connection.fetch(_IN_SHOP, list(products), shop)}


async def set_lineup(connection: Any, show: str, products: Sequence[str]) -> list[str]:
    """Replaces the line-up of a locked show; the products that were not in the old one."""
    before = {row["product_id"] for row in await connection.fetch(_CLEAR_LINEUP, show)}
    await connection.execute(_FILL_LINEUP, show, list(products))
    return [product for product in products if product not in before]
