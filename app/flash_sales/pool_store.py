"""Pools in Postgres: what the gate must know of one, read under its row's lock. Never talks to Valkey."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.flash_sales.gate_wire import HoldRecord, PoolConfig, PoolLabel
from app.flash_sales.moment import to_ms
from app.flash_sales.price_rules import Cut, PriceSources, ordinary_sources, price_to_pay
from app.flash_sales.sale_rules import OPEN_STATES
from app.money import step

_LOCK_POOL: Final = "SELECT epoch FROM pools WHERE id = $1 FOR UPDATE"

_RAISE_EPOCH: Final = "UPDATE pools SET epoch = epoch + 1 WHERE id = $1"

_READ_POOL: Final = """
    SELECT p.id, p.epoch, p.allotment, p.sold, p.closed_at,
           v.id AS variant, v.title AS variant_title, v.price_minor AS list_minor,
           coalesce(v.archived_at, d.archived_at) AS archived_at,
           d.id AS product, d.title AS product_title, d.shop_id, h.currency,
           s.id AS sale, s.show_id, s.state, s.price_minor, s.compare_at_minor, s.per_buyer_limit,
           s.starts_at, s.ends_at,
           -- Not now(): that is when the transaction began, perhaps long before it had the pool's lock.
           clock_timestamp() AS at,
           d.discount_percent, d.discount_minor, d.discount_starts_at, d.discount_ends_at,
           (SELECT coalesce(json_agg(json_build_object(
                       'name', c.name, 'percent', c.percent_off,
                       'starts_at_ms', floor(extract(epoch FROM c.starts_at) * 1000)::bigint,
                       'ends_at_ms', floor(extract(epoch FROM c.ends_at) * 1000)::bigint) ORDER BY c.id), '[]')
              FROM campaigns c
             WHERE c.shop_id = d.shop_id AND c.ended_at IS NULL AND c.ends_at > now()
               AND (c.all_products OR EXISTS (SELECT FROM campaign_products k
                                               WHERE k.campaign_id = c.id AND k.product_id = d.id))) AS campaigns
      FROM pools p
      JOIN variants v ON v.id = p.variant_id
      JOIN products d ON d.id = v.product_id
      JOIN shops h ON h.id = d.shop_id
      LEFT JOIN flash_sales s ON s.id = p.flash_sale_id
     WHERE p.id = $1"""

# Units whose payment may still become an order: they are held again under the new epoch.
_OPEN_ATTEMPTS: Final = """
    SELECT id, hold_id, account_id, show_id, quantity, unit_price_minor, hold_expires_at, created_at
      FROM payment_attempts WHERE unfinished AND pool_id = $1 AND state IN ('started', 'authorised')"""

_BUYERS: Final = "SELECT account_id, sold FROM pool_buyers WHERE pool_id = $1 AND sold > 0"

# Orders of which the outbox has still to tell the gate: until then the gate may count otherwise.
_UNTOLD_ORDERS: Final = """
    SELECT EXISTS (SELECT FROM outbox n JOIN payment_attempts a ON a.id = n.subject
                    WHERE n.done_at IS NULL AND n.created_at > now() - make_interval(secs => $2)
                      AND n.topic = 'order.committed' AND a.pool_id = $1)
        OR EXISTS (SELECT FROM outbox n JOIN unit_returns u ON u.id = n.subject
                    WHERE n.done_at IS NULL AND n.created_at > now() - make_interval(secs => $2)
                      AND n.topic = 'units.returned' AND u.pool_id = $1)"""

UNTOLD_MAX_S: Final = 60
"""An order of which the gate was not told for so long is not waited for."""
LIVE_POOLS_MAX: Final = 2000

_LIVE_POOLS: Final = """
    SELECT p.id FROM pools p
      JOIN variants v ON v.id = p.variant_id
      LEFT JOIN flash_sales f ON f.id = p.flash_sale_id
     WHERE p.closed_at IS NULL AND v.archived_at IS NULL AND EXISTS (
           SELECT FROM shows s LEFT JOIN lineup l ON l.show_id = s.id
            WHERE ($2::text IS NULL AND s.state IN ('rehearsal', 'live', 'paused') OR s.id = $2)
              AND (s.id = f.show_id OR f.id IS NULL AND l.product_id = v.product_id))
     ORDER BY p.id LIMIT $1"""

# What can be bought of these products at their ordinary price.
_POOLS_OF_PRODUCTS: Final = """
    SELECT p.id FROM pools p JOIN variants v ON v.id = p.variant_id
     WHERE v.product_id = ANY($1::text[]) AND v.archived_at IS NULL
       AND p.flash_sale_id IS NULL AND p.closed_at IS NULL
     ORDER BY p.id LIMIT $2"""


def pool_title(product: str, variant: str) -> str:
    """How a variant is called in a hold and on an order's line."""
    return f"{product}, {variant}" if variant else product


def _gate_state(row: Any) -> str:
    if row["closed_at"] is not None or (row["sale"] is None and row["archived_at"] is not None):
        return "closed"
    if row["sale"] is None or row["state"] in OPEN_STATES:
        return "open"
    return str(row["state"])


def _sources(row: Any) -> tuple[PriceSources, str]:
    """The prices of the pool by Postgres's clock, and the campaign's name. A sale's pool knows the sale's alone."""
    if row["sale"] is not None:
        return PriceSources(list_minor=row["list_minor"], flash_sale_minor=row["price_minor"]), ""
    discount = None
    if row["discount_percent"] is not None or row["discount_minor"] is not None:
        starts_at, ends_at = row["discount_starts_at"], row["discount_ends_at"]
        discount = Cut(
            percent=row["discount_percent"],
            amount_minor=row["discount_minor"],
            starts_at_ms=None if starts_at is None else to_ms(starts_at),
            ends_at_ms=None if ends_at is None else to_ms(ends_at),
        )
    return ordinary_sources(
        list_minor=row["list_minor"],
        discount=discount,
        campaigns=msgspec.convert(row["campaigns"], list[Cut]),
        now_ms=to_ms(row["at"]),
        step_minor=step(row["currency"]),
    )


def _to_config(row: Any) -> PoolConfig:
    on_sale = row["sale"] is not None
    sources, campaign = _sources(row)
    price_minor = price_to_pay(sources)
    return PoolConfig(
        pool=row["id"],
        epoch=row["epoch"],
        allotment=row["allotment"],
        sold=row["sold"],
        price_minor=price_minor,
        per_buyer_limit=row["per_buyer_limit"] if on_sale else 0,
        starts_at_ms=to_ms(row["starts_at"]) if on_sale else 0,
        ends_at_ms=to_ms(row["ends_at"]) if on_sale else 0,
        state=_gate_state(row),
        label=PoolLabel(
            shop=row["shop_id"],
            show=row["show_id"] or "",
            sale=row["sale"] or "",
            product=row["product"],
            variant=row["variant"],
            title=pool_title(row["product_title"], row["variant_title"]),
            currency=row["currency"],
            list_minor=row["compare_at_minor"] if on_sale else row["list_minor"],
            price_minor=price_minor,
            campaign=campaign,
        ),
    )


async def read_pool(connection: Any, pool: str) -> PoolConfig | None:
    """The pool as Postgres has it now; None when there is none."""
    row = await connection.fetchrow(_READ_POOL, pool)
    return None if row is None else _to_config(row)


async def lock_pool(connection: Any, pool: str) -> bool:
    """Locks the row until the transaction ends, against commits and new payment attempts; False: no such pool."""
    return await connection.fetchval(_LOCK_POOL, pool) is not None


async def raise_epoch(connection: Any, pool: str) -> None:
    """Ends every hold of the old epoch that no open payment attempt carries over."""
    await connection.execute(_RAISE_EPOCH, pool)


async def open_attempts(connection: Any, pool: str) -> list[HoldRecord]:
    """The holds that payments in flight stand on, as records of the gate with their old expiry."""
    rows = await connection.fetch(_OPEN_ATTEMPTS, pool)
    return [
        HoldRecord(
            state="held",
            person=row["account_id"],
            quantity=row["quantity"],
            price_minor=row["unit_price_minor"],
            expires_at_ms=to_ms(row["hold_expires_at"]),
            first_expires_at_ms=to_ms(row["hold_expires_at"]),
            granted_at_ms=to_ms(row["created_at"]),
            key="",
            body="",
            show=row["show_id"] or "",
            attempt=row["id"],
            id=row["hold_id"],
        )
        for row in rows
    ]


async def buyers(connection: Any, pool: str) -> dict[str, int]:
    """Units of orders that stand, by person."""
    return {row["account_id"]: row["sold"] for row in await connection.fetch(_BUYERS, pool)}


async def untold_orders(connection: Any, pool: str) -> bool:
    """True while the gate has a right to count otherwise. The pool is locked, so that no order joins them."""
    return bool(await connection.fetchval(_UNTOLD_ORDERS, pool, UNTOLD_MAX_S))


async def live_pools(pg: Any) -> list[str]:
    """Pools that somebody can buy from in a show that is on."""
    return [row["id"] for row in await pg.fetch(_LIVE_POOLS, LIVE_POOLS_MAX, None)]


async def live_pools_of(pg: Any, show: str) -> list[str]:
    """Pools that can be bought from in this show: its sales', and the ordinary ones of its line-up."""
    return [row["id"] for row in await pg.fetch(_LIVE_POOLS, LIVE_POOLS_MAX, show)]


async def pools_of_products(pg: Any, products: Sequence[str]) -> list[str]:
    """The ordinary pools of the products' variants."""
    return [row["id"] for row in await pg.fetch(_POOLS_OF_PRODUCTS, list(products), LIVE_POOLS_MAX)]
