"""A shop's campaigns: percent off all its products or chosen ones for a while, made and ended by the host.

Owns their rows. When one is on is Postgres's clock's to say; what a unit costs meanwhile is decided in flash_sales,
whose worker's round carries the price to the gates when a campaign begins and ends.
"""

from typing import Annotated, Any, Final

import asyncpg
from msgspec import Meta, Struct, convert

from app import clock
from app.catalog.text_rules import clean_title
from app.catalog.views import Id, UnixMs
from app.refusal import Refusal

NAME_LENGTH_MAX: Final = 60
OPEN_MAX: Final = 20
PRODUCTS_MAX: Final = 200
LISTED_MAX: Final = 100

_VIEW: Final = """
SELECT c.id, c.shop_id AS shop, c.name, c.percent_off,
       floor(extract(epoch FROM c.starts_at) * 1000)::bigint AS starts_at_ms,
       floor(extract(epoch FROM c.ends_at) * 1000)::bigint AS ends_at_ms,
       CASE WHEN NOT c.all_products THEN
            (SELECT coalesce(json_agg(k.product_id ORDER BY k.product_id), '[]')
             FROM campaign_products k WHERE k.campaign_id = c.id) END AS products,
       CASE WHEN c.ended_at IS NOT NULL OR c.ends_at <= now() THEN 'over'
            WHEN c.starts_at <= now() THEN 'running' ELSE 'planned' END AS state
FROM campaigns c
"""
_ONE: Final = _VIEW + "WHERE c.id = $1 AND c.shop_id = $2"
_OF_SHOP: Final = _VIEW + "WHERE c.shop_id = $1 ORDER BY c.created_at DESC, c.id LIMIT $2"

# The shop's row, locked: two new campaigns cannot both be the last one that fits.
_LOCK_SHOP: Final = "SELECT id FROM shops WHERE id = $1 FOR UPDATE"
_COUNT_OPEN: Final = "SELECT count(*) FROM campaigns WHERE shop_id = $1 AND ended_at IS NULL AND ends_at > now()"
_COUNT_PRODUCTS: Final = "SELECT count(*) FROM products WHERE id = ANY($1) AND shop_id = $2 AND archived_at IS NULL"

# clock_timestamp(): a start that is now is so when it is written, not when the transaction began. No row: no window.
_INSERT: Final = """
INSERT INTO campaigns (id, shop_id, name, percent_off, all_products, starts_at, ends_at, created_by)
SELECT $1, $2, $3, $4, $5, w.starts_at, w.ends_at, $8
FROM (SELECT greatest(clock_timestamp(), 'epoch'::timestamptz + $6::bigint * interval '1 millisecond') AS starts_at,
             'epoch'::timestamptz + $7::bigint * interval '1 millisecond' AS ends_at) w
WHERE w.starts_at < w.ends_at AND w.ends_at <= now() + interval '366 days'
RETURNING id
"""
_INSERT_PRODUCTS: Final = "INSERT INTO campaign_products SELECT $1, unnest($2::text[])"
_END: Final = """
UPDATE campaigns SET ended_at = clock_timestamp()
WHERE id = $1 AND shop_id = $2 AND ended_at IS NULL AND ends_at > now()
"""

_NOT_FOUND: Final = Refusal("not_found", "The shop has no such campaign.")
_TOO_MANY: Final = Refusal("too_many", f"A shop has {OPEN_MAX} campaigns to come or running at most.")
_NO_PRODUCT: Final = Refusal("unknown_product", "The shop has no such product; name each once.")
_WINDOW: Final = Refusal("malformed", "A campaign ends after it starts, and within a year.")


class Campaign(Struct, frozen=True):
    """A campaign as its host sees it. `products` null: all of the shop. `state`: planned, running or over."""

    id: str
    shop: str
    name: str
    percent_off: int
    starts_at_ms: int
    ends_at_ms: int
    products: list[str] | None
    state: str


class Campaigns(Struct, frozen=True):
    """A shop's campaigns, newest first; at most LISTED_MAX."""

    campaigns: list[Campaign]


class NewCampaign(Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign to be. Unix times of the server's clock; without `starts_at_ms`, or with one that has passed, it
    starts now. Without `products` it is for all of the shop's, also those that are added later.
    """

    shop: Id
    name: Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH_MAX)]
    percent_off: Annotated[int, Meta(ge=1, le=99)]
    ends_at_ms: UnixMs
    starts_at_ms: UnixMs | None = None
    products: Annotated[list[Id], Meta(min_length=1, max_length=PRODUCTS_MAX)] | None = None


async def campaigns_of(pg: asyncpg.Pool, shop: str) -> Campaigns:
    """What the shop has planned, runs and ran."""
    return Campaigns(convert([dict(row) for row in await pg.fetch(_OF_SHOP, shop, LISTED_MAX)], list[Campaign]))


async def make_campaign(pg: asyncpg.Pool, host: str, new: NewCampaign) -> Campaign | Refusal:
    """Writes the campaign down; its prices count from its start."""
    name = clean_title(new.name, NAME_LENGTH_MAX)
    if isinstance(name, Refusal):
        return name
    campaign = clock.new_id()
    async with pg.acquire() as connection, connection.transaction():
        refused = await _refused(connection, new)
        if refused is not None:
            return refused
        everything = new.products is None
        window = (new.starts_at_ms, new.ends_at_ms)
        values = (campaign, new.shop, name, new.percent_off, everything, *window, host)
        if await connection.fetchval(_INSERT, *values) is None:
            return _WINDOW
        await connection.execute(_INSERT_PRODUCTS, campaign, new.products or [])
    return await _read(pg, campaign, new.shop)


async def end_campaign(pg: asyncpg.Pool, shop: str, campaign: str) -> Campaign | Refusal:
    """Ends it now, or calls it off before its start. One that is over stays as it is."""
    await pg.execute(_END, campaign, shop)
    return await _read(pg, campaign, shop)


async def _refused(connection: Any, new: NewCampaign) -> Refusal | None:
    await connection.execute(_LOCK_SHOP, new.shop)
    if await connection.fetchval(_COUNT_OPEN, new.shop) >= OPEN_MAX:
        return _TOO_MANY
    if new.products is None:
        return None
    known = await connection.fetchval(_COUNT_PRODUCTS, new.products, new.shop)
    return None if known == len(new.products) else _NO_PRODUCT


async def _read(pg: asyncpg.Pool, campaign: str, shop: str) -> Campaign | Refusal:
    row = await pg.fetchrow(_ONE, campaign, shop)
    return _NOT_FOUND if row is None else convert(dict(row), Campaign)
