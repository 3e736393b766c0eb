"""Carts in Postgres: what a person means to buy at a shop. Owns the table and its bound; knows no price and no gate.

What became an order leaves the cart by itself: an item whose noted hold was bought is deleted when the cart is read, so
that no crash between the order and the cart can offer it twice.
"""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

ITEMS_MAX: Final = 20
KEPT_DAYS: Final = 30
FORGOTTEN_AT_ONCE: Final = 1000

_DROP_BOUGHT: Final = """
    DELETE FROM cart_items c
     WHERE c.account_id = $1 AND c.shop_id = $2 AND c.hold_id IS NOT NULL
       AND EXISTS (SELECT FROM payment_attempts a
                    WHERE (a.hold_id = c.hold_id OR a.replaced_hold_id = c.hold_id) AND a.account_id = $1
                      AND NOT a.failed AND a.state IN ('committed', 'captured', 'capture_refused'))"""

_READ: Final = """
    SELECT pool_id AS pool, quantity, coalesce(show_id, '') AS show, hold_id AS hold FROM cart_items
     WHERE account_id = $1 AND shop_id = $2 ORDER BY changed_at, pool_id LIMIT $3"""

# A cart that is full takes no other thing; of what is in it the quantity may change.
_PUT: Final = """
    INSERT INTO cart_items AS c (account_id, shop_id, pool_id, quantity, show_id, hold_id)
    SELECT $1, $2, $3, $4, (SELECT id FROM shows WHERE id = $5), $6
     WHERE (SELECT count(*) FROM cart_items WHERE account_id = $1 AND shop_id = $2 AND pool_id <> $3) < $7
    ON CONFLICT (account_id, shop_id, pool_id)
    DO UPDATE SET quantity = $4, show_id = excluded.show_id, hold_id = $6
    RETURNING c.pool_id"""

_DROP: Final = """
    DELETE FROM cart_items WHERE account_id = $1 AND shop_id = $2 AND pool_id = $3 RETURNING hold_id"""

# Of two orders of one cart at once the second finds other holds there than it has read, and notes none of its own.
_NOTE_HOLDS: Final = """
    WITH locked AS MATERIALIZED (
        SELECT pool_id, hold_id FROM cart_items WHERE account_id = $1 AND shop_id = $2 ORDER BY pool_id FOR UPDATE
    )
    UPDATE cart_items c SET hold_id = t.hold
      FROM unnest($3::text[], $4::text[], $5::text[]) AS t (pool, hold, was)
      JOIN locked l ON l.pool_id = t.pool AND l.hold_id IS NOT DISTINCT FROM t.was
     WHERE c.account_id = $1 AND c.shop_id = $2 AND c.pool_id = t.pool
    RETURNING c.pool_id"""

_FORGET: Final = """
    DELETE FROM cart_items WHERE (account_id, shop_id, pool_id) IN (
        SELECT account_id, shop_id, pool_id FROM cart_items
         WHERE changed_at < now() - make_interval(days => $1) LIMIT $2)"""


class CartRow(msgspec.Struct, frozen=True):
    """An item. `show` is "" for none; `hold` may be over."""

    pool: str
    quantity: int
    show: str
    hold: str | None


async def read_items(pg: asyncpg.Pool, person: str, shop: str) -> list[CartRow]:
    """What is in the cart and was not bought meanwhile, oldest first."""
    await pg.execute(_DROP_BOUGHT, person, shop)
    return [CartRow(**dict(row)) for row in await pg.fetch(_READ, person, shop, ITEMS_MAX)]


async def put_item(pg: asyncpg.Pool, person: str, shop: str, item: CartRow) -> bool:
    """Puts it in, or changes it; False when the cart is full."""
    found: Any = await pg.fetchval(_PUT, person, shop, item.pool, item.quantity, item.show, item.hold, ITEMS_MAX)
    return found is not None


async def drop_item(pg: asyncpg.Pool, person: str, shop: str, pool: str) -> str | None:
    """Takes it out; answers with the hold that was noted on it."""
    hold: str | None = await pg.fetchval(_DROP, person, shop, pool)
    return hold


async def note_holds(pg: asyncpg.Pool, person: str, shop: str, items: Sequence[CartRow], holds: Sequence[str]) -> bool:
    """Notes the holds, one an item, with which an order is about to be asked for; False when the items are not any
    more what was read: somebody else is at the cart.
    """
    pools, were = [one.pool for one in items], [one.hold for one in items]
    noted = await pg.fetch(_NOTE_HOLDS, person, shop, pools, list(holds), were)
    return len(noted) == len(items)


async def forget_carts(pg: asyncpg.Pool) -> None:
    """Deletes what nobody has touched for KEPT_DAYS."""
    await pg.execute(_FORGET, KEPT_DAYS, FORGOTTEN_AT_ONCE)
