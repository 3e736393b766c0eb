"""Puts the demo shop into the database: accounts, products, one live show. Safe to run again, also after a crash.

Each step looks for what is there; the show comes last, so a show means that all is there.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

import asyncpg

from app import clock
from app.accounts.register import create_account
from app.catalog.photos import Photo, keep_photo
from app.catalog.products import insert_product
from app.catalog.views import NewProduct
from app.demo.presence import SHOW
from app.demo.products import PRODUCTS, DemoProduct
from app.refusal import Refusal
from app.storage.postgres import open_pool

SHOP: Final = "demo"
PAINTERS: Final = 2

_HOST: Final = "SELECT id FROM accounts WHERE demo_role = $1 ORDER BY created_at, id LIMIT 1"
_INSERT_SHOP: Final = """
INSERT INTO shops (id, name, currency) VALUES ($1, 'The Demo Shop', 'EUR') ON CONFLICT DO NOTHING
"""
_INSERT_MEMBER: Final = """
INSERT INTO shop_members (shop_id, account_id, role) VALUES ($1, $2, 'host') ON CONFLICT DO NOTHING
"""
_TITLES: Final = "SELECT title FROM products WHERE shop_id = $1"
_INSERT_SHOW: Final = """
INSERT INTO shows (id, shop_id, title, state, started_at, pinned_product_id)
SELECT $1, $2, 'Good things for slow mornings', 'live', now(), id FROM products
WHERE shop_id = $2 AND title = $3 ORDER BY created_at LIMIT 1
ON CONFLICT DO NOTHING
"""
_INSERT_LINEUP: Final = """
INSERT INTO lineup (show_id, product_id, position)
SELECT $1, p.id, one.n FROM unnest($3::text[]) WITH ORDINALITY AS one (title, n)
JOIN products p ON p.shop_id = $2 AND p.title = one.title
ON CONFLICT DO NOTHING
"""
_INSERT_MODERATOR: Final = """
INSERT INTO show_moderators (show_id, account_id, appointed_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""


async def seed_demo(database_url: str) -> None:
    """Makes sure that the demo is there and live."""
    pool = await open_pool(database_url, size_max=2)
    try:
        host = await _account(pool, "host", "Demo Host")
        moderator = await _account(pool, "moderator", "Demo Moderator")
        await pool.execute(_INSERT_SHOP, SHOP)
        await pool.execute(_INSERT_MEMBER, SHOP, host)
        await _stock_shelves(pool)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(_INSERT_SHOW, SHOW, SHOP, PRODUCTS[0].title)
            await connection.execute(_INSERT_LINEUP, SHOW, SHOP, [product.title for product in PRODUCTS])
            await connection.execute(_INSERT_MODERATOR, SHOW, moderator, host)
    finally:
        await pool.close()


async def _account(pool: asyncpg.Pool, role: Literal["host", "moderator"], name: str) -> str:
    known = await pool.fetchval(_HOST, role)
    if known is not None:
        return str(known)
    made = await create_account(pool, name=name, email=None, password_hash=None, demo_role=role, may_be_reserved=True)
    if isinstance(made, Refusal):  # somebody took the name before there was a demo
        made = await create_account(
            pool, name=f"{name} {clock.new_id()}", email=None, password_hash=None, demo_role=role, may_be_reserved=True
        )
    assert isinstance(made, str), made
    return made


async def _stock_shelves(pool: asyncpg.Pool) -> None:
    there = {row["title"] for row in await pool.fetch(_TITLES, SHOP)}
    missing = [product for product in PRODUCTS if product.title not in there]
    with ThreadPoolExecutor(PAINTERS) as painters:
        pictures = [painters.submit(product.paint) for product in missing]
        for product, picture in zip(missing, pictures, strict=True):
            await _put_on_shelf(pool, product, picture.result())


async def _put_on_shelf(pool: asyncpg.Pool, product: DemoProduct, picture: bytes) -> None:
    photo = await keep_photo(pool, SHOP, Photo("image/webp", picture))
    assert isinstance(photo, str), photo
    made = await insert_product(
        pool,
        NewProduct(
            shop=SHOP,
            title=product.title,
            description=product.description,
            photo=f"/photos/{photo}",
            variants=product.variants,
        ),
    )
    assert not isinstance(made, Refusal), made
