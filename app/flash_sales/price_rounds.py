"""The worker's round of prices: where a discount or a campaign came or went by the clock, the gates are told.

May run in several workers at once and may die anywhere: it notes how far it has seen only when all of it is told, and
telling twice changes nothing. Which price counts is read by pool_store; nothing here computes one.
"""

import asyncio
from datetime import datetime
from itertools import islice
from typing import Any, Final

from app.flash_sales.gate_wire import gate_keys
from app.flash_sales.parts import FlashSales
from app.flash_sales.pool_store import read_pool
from app.flash_sales.rebuild import gate_differs

SLACK_S: Final = 5
"""So far back each round looks again: at what was committed after its own time, at gates that were being rebuilt."""
AT_ONCE_MAX: Final = 8

_SPAN: Final = """
    SELECT coalesce((SELECT seen_until FROM price_rounds), to_timestamp(0))
               - make_interval(secs => $1) AS since,
           clock_timestamp() AS until"""

_SEEN: Final = """
    INSERT INTO price_rounds (seen_until) VALUES ($1)
        ON CONFLICT (one) DO UPDATE SET seen_until = greatest(price_rounds.seen_until, excluded.seen_until)"""

# The ordinary pools whose price has an edge in ($1, $2]; those that somebody is watching first.
_POOLS: Final = """
    WITH moved AS (
        SELECT id FROM products
         WHERE discount_starts_at > $1 AND discount_starts_at <= $2
            OR discount_ends_at > $1 AND discount_ends_at <= $2
        UNION
        SELECT p.id FROM campaigns c JOIN products p ON p.shop_id = c.shop_id
         WHERE (c.starts_at > $1 AND c.starts_at <= $2 OR c.ends_at > $1 AND c.ends_at <= $2
                OR c.ended_at > $1 AND c.ended_at <= $2)
           AND (c.all_products OR EXISTS (SELECT FROM campaign_products k
                                           WHERE k.campaign_id = c.id AND k.product_id = p.id)))
    SELECT o.id
      FROM moved m JOIN variants v ON v.product_id = m.id JOIN pools o ON o.variant_id = v.id
     WHERE o.flash_sale_id IS NULL AND o.closed_at IS NULL AND v.archived_at IS NULL
     ORDER BY EXISTS (SELECT FROM lineup l JOIN shows s ON s.id = l.show_id
                       WHERE l.product_id = m.id AND s.state IN ('rehearsal', 'live', 'paused')) DESC, o.id"""


async def move_prices(sales: FlashSales) -> None:
    """Tells the gates, and through them the rooms, of every price that changed by the clock since the last round."""
    span = await sales.pg.fetchrow(_SPAN, SLACK_S)
    pools = iter(await _pools_between(sales.pg, span["since"], span["until"]))
    while some := list(islice(pools, AT_ONCE_MAX)):
        await asyncio.gather(*(_follow(sales, pool) for pool in some))
    await sales.pg.execute(_SEEN, span["until"])


async def _pools_between(pg: Any, since: datetime, until: datetime) -> list[str]:
    return [row["id"] for row in await pg.fetch(_POOLS, since, until)]


async def _follow(sales: FlashSales, pool: str) -> None:
    if not await sales.valkey.exists(gate_keys(pool).config):
        return  # whoever touches it first builds it, at the price of that moment
    config = await read_pool(sales.pg, pool)
    if config is not None and await gate_differs(sales.valkey, config):
        await sales.gate.sync(pool)
