"""Products and variants in Postgres: reading them whole, making and editing them, adding stock.

Owns their SQL. Stock on hand is what is left of a variant's ordinary pool; adding stock raises that pool's allotment
and the variant's `received` in one transaction, and nothing here ever lowers either.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from app import clock
from app.catalog.step_rules import off_step
from app.catalog.views import Discount, NewProduct, NewVariant, Product, ProductEdit, VariantEdit
from app.refusal import Refusal

PRODUCTS_PER_SHOP_MAX: Final = 1000
POOL_UNITS_MAX: Final = 100_000_000

# Products with their variants as JSON, each with its ordinary pool.
_PRODUCTS: Final = """
SELECT p.id, p.shop_id AS shop, p.title, p.description, '/photos/' || p.photo_id AS photo, p.version,
       CASE WHEN coalesce(p.discount_percent, p.discount_minor) IS NOT NULL THEN json_build_object(
                   'percent', p.discount_percent, 'amount_minor', p.discount_minor,
                   'starts_at_ms', floor(extract(epoch FROM p.discount_starts_at) * 1000)::bigint,
                   'ends_at_ms', floor(extract(epoch FROM p.discount_ends_at) * 1000)::bigint) END AS discount,
       (SELECT coalesce(json_agg(json_build_object(
                   'id', v.id, 'title', v.title, 'price_minor', v.price_minor, 'currency', s.currency,
                   'on_hand', o.allotment - o.sold, 'pool', o.id) ORDER BY v.position), '[]')
        FROM variants v JOIN pools o ON o.variant_id = v.id AND o.flash_sale_id IS NULL
        WHERE v.product_id = p.id AND v.archived_at IS NULL) AS variants
FROM products p JOIN shops s ON s.id = p.shop_id
"""
_ONE: Final = _PRODUCTS + "WHERE p.id = $1 AND p.archived_at IS NULL"
_OF_SHOP: Final = _PRODUCTS + "WHERE p.shop_id = $1 AND p.archived_at IS NULL ORDER BY p.created_at, p.id"
_OF_SHOW: Final = (
    _PRODUCTS
    + "JOIN lineup l ON l.product_id = p.id WHERE l.show_id = $1 AND p.archived_at IS NULL ORDER BY l.position"
)
# The shop's row, locked: two new products cannot both be the last one that fits.
_LOCK_SHOP: Final = "SELECT currency FROM shops WHERE id = $1 FOR UPDATE"
_CURRENCY: Final = "SELECT currency FROM shops WHERE id = $1"
_COUNT: Final = "SELECT count(*) FROM products WHERE shop_id = $1"
# The product's row, locked: edits of one product come one after the other.
_LOCK_PRODUCT: Final = "SELECT shop_id FROM products WHERE id = $1 AND archived_at IS NULL FOR UPDATE"
_PHOTO_OF_SHOP: Final = "SELECT 1 FROM photos WHERE id = $1 AND shop_id = $2"
_INSERT_PRODUCT: Final = "INSERT INTO products (id, shop_id, title, description, photo_id) VALUES ($1, $2, $3, $4, $5)"
_UPDATE_PRODUCT: Final = """
UPDATE products SET title = $2, description = $3, photo_id = $4, version = version + 1 WHERE id = $1
"""
_SET_DISCOUNT: Final = """
UPDATE products SET discount_percent = $2, discount_minor = $3,
       discount_starts_at = 'epoch'::timestamptz + $4::bigint * interval '1 millisecond',
       discount_ends_at = 'epoch'::timestamptz + $5::bigint * interval '1 millisecond'
WHERE id = $1
"""
_INSERT_VARIANT: Final = """
INSERT INTO variants (id, product_id, title, position, price_minor, received) VALUES ($1, $2, $3, $4, $5, $6)
"""
_INSERT_POOL: Final = "INSERT INTO pools (id, variant_id, allotment) VALUES ($1, $2, $3)"
_UPDATE_VARIANT: Final = """
UPDATE variants SET title = $2, position = $3, price_minor = $4, received = received + $5 WHERE id = $1
"""
# The ordinary pools of a product, locked in the order in which an order's commit locks pools.
_LOCK_POOLS: Final = """
SELECT o.id, o.variant_id, o.allotment
FROM pools o JOIN variants v ON v.id = o.variant_id
WHERE v.product_id = $1 AND v.archived_at IS NULL AND o.flash_sale_id IS NULL
ORDER BY o.id FOR UPDATE OF o
"""
_RAISE_POOL: Final = "UPDATE pools SET allotment = allotment + $2 WHERE id = $1"


def _products(rows: Sequence[Mapping[str, Any]]) -> list[Product]:
    return msgspec.convert([dict(row) for row in rows], list[Product])


async def find_product(pg: asyncpg.Pool, product: str) -> Product | None:
    """A product by its id."""
    found = _products(await pg.fetch(_ONE, product))
    return found[0] if found else None


async def products_of_shop(pg: asyncpg.Pool, shop: str) -> list[Product]:
    """All products of a shop, oldest first; at most PRODUCTS_PER_SHOP_MAX."""
    return _products(await pg.fetch(_OF_SHOP, shop))


async def products_of_lineup(pg: asyncpg.Pool, show: str) -> list[Product]:
    """The products of a show's line-up, in its order."""
    return _products(await pg.fetch(_OF_SHOW, show))


async def insert_product(pg: asyncpg.Pool, new: NewProduct) -> Product | Refusal:
    """Makes a product with its variants, their pools and first stock. Texts are clean already; the shop exists."""
    product = clock.new_id()
    photo = _photo_id(new.photo)
    async with pg.acquire() as connection, connection.transaction():
        currency = await connection.fetchval(_LOCK_SHOP, new.shop)
        refused = _unpayable(new, currency)
        if refused is not None:
            return refused
        if await connection.fetchval(_COUNT, new.shop) >= PRODUCTS_PER_SHOP_MAX:
            return Refusal("too_many", f"A shop has {PRODUCTS_PER_SHOP_MAX} products at most.")
        if not await _photo_fits(connection, photo, new.shop):
            return _UNKNOWN_PHOTO
        await connection.execute(_INSERT_PRODUCT, product, new.shop, new.title, new.description, photo)
        if new.discount is not None:
            await _set_discount(connection, product, new.discount)
        for position, variant in enumerate(new.variants):
            await _insert_variant(connection, product, position, variant)
    made = await find_product(pg, product)
    assert made is not None
    return made


async def update_product(pg: asyncpg.Pool, product: str, edit: ProductEdit) -> Product | Refusal:
    """Makes the product what `edit` says, all or nothing."""
    photo = _photo_id(edit.photo)
    async with pg.acquire() as connection, connection.transaction():
        shop = await connection.fetchval(_LOCK_PRODUCT, product)
        if shop is None:
            return Refusal("not_found", "There is no such product.")
        if not await _photo_fits(connection, photo, shop):
            return _UNKNOWN_PHOTO
        pools = {row["variant_id"]: row for row in await connection.fetch(_LOCK_POOLS, product)}
        refused = _unpayable(edit, await connection.fetchval(_CURRENCY, shop))
        if refused is not None:
            return refused
        refused = _edit_refused(edit, {variant: row["allotment"] for variant, row in pools.items()})
        if refused is not None:
            return refused
        await connection.execute(_UPDATE_PRODUCT, product, edit.title, edit.description, photo)
        await _set_discount(connection, product, edit.discount or Discount())
        for position, variant in enumerate(edit.variants):
            if variant.id is None:
                new = NewVariant(price_minor=variant.price_minor, stock=variant.stock_add, title=variant.title)
                await _insert_variant(connection, product, position, new)
                continue
            await connection.execute(
                _UPDATE_VARIANT, variant.id, variant.title, position, variant.price_minor, variant.stock_add
            )
            if variant.stock_add:
                await connection.execute(_RAISE_POOL, pools[variant.id]["id"], variant.stock_add)
    changed = await find_product(pg, product)
    assert changed is not None
    return changed


_UNKNOWN_PHOTO: Final = Refusal("unknown_photo", "The shop has no such photo; upload it first.")


def _photo_id(path: str | None) -> str | None:
    return None if path is None else path.removeprefix("/photos/")


async def _photo_fits(connection: Any, photo: str | None, shop: str) -> bool:
    return photo is None or await connection.fetchval(_PHOTO_OF_SHOP, photo, shop) is not None


async def _set_discount(connection: Any, product: str, off: Discount) -> None:
    await connection.execute(_SET_DISCOUNT, product, off.percent, off.amount_minor, off.starts_at_ms, off.ends_at_ms)


async def _insert_variant(connection: Any, product: str, position: int, new: NewVariant) -> None:
    variant = clock.new_id()
    await connection.execute(_INSERT_VARIANT, variant, product, new.title, position, new.price_minor, new.stock)
    await connection.execute(_INSERT_POOL, clock.new_id(), variant, new.stock)


def _unpayable(written: NewProduct | ProductEdit, currency: str) -> Refusal | None:
    off = None if written.discount is None else written.discount.amount_minor
    return off_step(currency, off, *(variant.price_minor for variant in written.variants))


def _edit_refused(edit: ProductEdit, allotments: Mapping[str, int]) -> Refusal | None:
    """Why the edit does not fit the variants that are there; their stock may not outgrow what can be counted."""
    named: list[VariantEdit] = [variant for variant in edit.variants if variant.id is not None]
    if sorted(str(variant.id) for variant in named) != sorted(allotments):
        return Refusal("unknown_variant", "Name each variant of the product once, and no other.")
    if any(allotments[str(variant.id)] + variant.stock_add > POOL_UNITS_MAX for variant in named):
        return Refusal("stock_limit", f"A variant has {POOL_UNITS_MAX} units at most.")
    return None
