"""Flash sales in Postgres: reading them, and moving units between a variant's ordinary pool and a sale's.

Owns the SQL; every function that moves units expects a transaction and says which locks it takes.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from app.flash_sales.draw_rules import commitment_of
from app.flash_sales.moment import to_ms
from app.flash_sales.sale_rules import OPEN_STATES, SaleState

SALES_MAX: Final = 1000
SHOWN_AFTER_S: Final = 30  # how long an ended sale stays on people's pages


class SaleProduct(msgspec.Struct, frozen=True):
    """What is sold."""

    id: str
    title: str
    photo: str | None


class Sale(msgspec.Struct, frozen=True):
    """A flash sale as everybody sees it. `list_minor` is the compare-at price; `commitment` the hash of the waiting
    room's seed, which is there once the draw has been made.
    """

    id: str
    show: str
    state: str
    product: SaleProduct
    variant: str
    variant_title: str
    pool: str
    price_minor: int
    list_minor: int
    currency: str
    allotment: int
    per_buyer_limit: int
    starts_at_ms: int
    ends_at_ms: int
    countdown_s: int
    waiting_room: bool
    commitment: str | None
    seed: str | None
    version: int


class SaleRow(msgspec.Struct, frozen=True):
    """A sale with what decides about it. `allotment` shrinks to what is held and sold when
    the sale is over, and to `sold` once its pool is closed.
    """

    view: Sale
    sold: int
    ordinary_pool: str
    closed: bool


class VariantRow(msgspec.Struct, frozen=True):
    """A variant that a sale is to be made of."""

    shop: str
    list_minor: int
    ordinary_pool: str
    currency: str


class NewSale(msgspec.Struct, frozen=True):
    """A sale to be written down, its values already decided."""

    id: str
    pool: str
    show: str
    variant: str
    state: SaleState
    price_minor: int
    list_minor: int
    per_buyer_limit: int
    allotment: int
    starts_at: datetime
    ends_at: datetime
    countdown_s: int
    waiting_room: bool
    draw_seed: bytes | None
    per_address_limit: int
    created_by: str


_SALE: Final = """
    SELECT s.id, s.show_id, s.state, s.variant_id, s.price_minor, s.compare_at_minor, s.per_buyer_limit, s.starts_at,
           s.ends_at, s.countdown_s, s.waiting_room, s.draw_seed, s.drawn_at, s.version,
           p.id AS pool, p.allotment, p.sold, p.closed_at, o.id AS ordinary_pool,
           v.title AS variant_title, d.id AS product_id, d.title AS product_title, d.photo_id, h.currency
      FROM flash_sales s
      JOIN pools p ON p.flash_sale_id = s.id
      JOIN variants v ON v.id = s.variant_id
      JOIN pools o ON o.variant_id = v.id AND o.flash_sale_id IS NULL
      JOIN products d ON d.id = v.product_id
      JOIN shops h ON h.id = d.shop_id"""

_BY_ID: Final = _SALE + " WHERE s.id = $1 AND s.show_id = $2"
_OF_SHOW: Final = _SALE + " WHERE s.show_id = $1 ORDER BY s.created_at DESC LIMIT $2"
_UNFINISHED: Final = _SALE + " WHERE p.closed_at IS NULL AND p.flash_sale_id IS NOT NULL ORDER BY s.created_at LIMIT $1"
_SHOWN: Final = (
    _SALE
    + """ WHERE s.show_id = $1 AND (p.closed_at IS NULL OR p.closed_at > now() - make_interval(secs => $2))
    ORDER BY s.created_at LIMIT $3"""
)
_GONE: Final = (
    _SALE
    + """ WHERE p.closed_at BETWEEN now() - make_interval(secs => $1) - interval '1 minute'
                           AND now() - make_interval(secs => $1) LIMIT $2"""
)

_VARIANT: Final = """
    SELECT d.shop_id, v.price_minor, o.id AS ordinary_pool, h.currency
      FROM shows w JOIN products d ON d.shop_id = w.shop_id
      JOIN variants v ON v.product_id = d.id JOIN shops h ON h.id = d.shop_id
      JOIN pools o ON o.variant_id = v.id AND o.flash_sale_id IS NULL
     WHERE w.id = $1 AND v.id = $2 AND v.archived_at IS NULL AND d.archived_at IS NULL"""

_SHOW_STATE: Final = "SELECT state FROM shows WHERE id = $1"

_INSERT_SALE: Final = """
    INSERT INTO flash_sales (id, show_id, variant_id, state, price_minor, compare_at_minor, per_buyer_limit, starts_at,
                             ends_at, countdown_s, waiting_room, draw_seed, per_address_limit, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"""

_INSERT_POOL: Final = "INSERT INTO pools (id, variant_id, flash_sale_id, allotment) VALUES ($1, $2, $3, $4)"

_TAKE_UNITS: Final = """
    UPDATE pools SET allotment = allotment - $2 WHERE id = $1 AND allotment - sold >= $2 RETURNING id"""

# The version keeps what was decided on an older row from being written: an end that was moved away meanwhile.
_CHANGE: Final = """
    UPDATE flash_sales SET state = $4, starts_at = $5, ends_at = $6, version = version + 1
     WHERE id = $1 AND version = $2 AND state = $3 RETURNING id"""

_MOVE_END: Final = """
    UPDATE flash_sales SET ends_at = $3, version = version + 1 WHERE id = $1 AND version = $2 RETURNING id"""

_TOUCH: Final = "UPDATE flash_sales SET version = version + 1 WHERE id = $1 AND state = ANY($2) RETURNING id"

_LOCK_BOTH: Final = "SELECT id, epoch, closed_at FROM pools WHERE id = ANY($1) ORDER BY id FOR UPDATE"

_MOVE_UNITS: Final = """
    WITH taken AS (UPDATE pools SET allotment = allotment - $3 WHERE id = $1 AND allotment - sold >= $3 RETURNING id)
    UPDATE pools SET allotment = allotment + $3 WHERE id = $2 AND EXISTS (SELECT FROM taken) RETURNING id"""

_PAYMENT_OPEN: Final = """
    SELECT EXISTS (SELECT FROM payment_attempts
                    WHERE unfinished AND pool_id = $1 AND state IN ('started', 'authorised'))"""

_RETURN_UNITS: Final = """
    WITH s AS (SELECT id, allotment - sold AS units FROM pools WHERE id = $1),
         closed AS (UPDATE pools p SET allotment = sold, closed_at = now() FROM s WHERE p.id = s.id)
    UPDATE pools o SET allotment = o.allotment + s.units FROM s WHERE o.id = $2"""


async def read_sale(pg: Any, show: str, sale: str) -> SaleRow | None:
    """One sale of this show."""
    row = await pg.fetchrow(_BY_ID, sale, show)
    return None if row is None else _row(row)


async def sales_of(pg: Any, show: str) -> list[SaleRow]:
    """All sales of the show, newest first."""
    return [_row(row) for row in await pg.fetch(_OF_SHOW, show, SALES_MAX)]


async def unfinished_sales(pg: Any) -> list[SaleRow]:
    """Sales that may still change, or whose units are not back yet."""
    return [_row(row) for row in await pg.fetch(_UNFINISHED, SALES_MAX)]


async def shown_sales(pg: Any, show: str) -> list[SaleRow]:
    """Sales that people's pages still show."""
    return [_row(row) for row in await pg.fetch(_SHOWN, show, SHOWN_AFTER_S, SALES_MAX)]


async def gone_sales(pg: Any) -> list[SaleRow]:
    """Sales that left people's pages within the last minute."""
    return [_row(row) for row in await pg.fetch(_GONE, SHOWN_AFTER_S, SALES_MAX)]


async def read_variant(pg: Any, show: str, variant: str) -> VariantRow | None:
    """A variant of the show's shop that is for sale."""
    row = await pg.fetchrow(_VARIANT, show, variant)
    return (
        None if row is None else VariantRow(row["shop_id"], row["price_minor"], row["ordinary_pool"], row["currency"])
    )


async def show_state(pg: Any, show: str) -> str | None:
    """The show's state; None when there is no such show."""
    state: str | None = await pg.fetchval(_SHOW_STATE, show)
    return state


async def insert_sale(connection: Any, new: NewSale, ordinary_pool: str) -> bool:
    """Moves the allotment and writes the sale; False when Postgres has too few units. The ordinary pool is locked."""
    if await connection.fetchval(_TAKE_UNITS, ordinary_pool, new.allotment) is None:
        return False
    await connection.execute(
        _INSERT_SALE,
        new.id,
        new.show,
        new.variant,
        new.state,
        new.price_minor,
        new.list_minor,
        new.per_buyer_limit,
        new.starts_at,
        new.ends_at,
        new.countdown_s,
        new.waiting_room,
        new.draw_seed,
        new.per_address_limit,
        new.created_by,
    )
    await connection.execute(_INSERT_POOL, new.pool, new.variant, new.id, new.allotment)
    return True


async def change_state(pg: Any, row: SaleRow, after: SaleState, starts_at: datetime, ends_at: datetime) -> bool:
    """False when the sale is not what `row` says any more."""
    view = row.view
    return await pg.fetchval(_CHANGE, view.id, view.version, view.state, after, starts_at, ends_at) is not None


async def move_end(pg: Any, row: SaleRow, ends_at: datetime) -> bool:
    """False when the sale is not what `row` says any more."""
    return await pg.fetchval(_MOVE_END, row.view.id, row.view.version, ends_at) is not None


async def touch_open_sale(connection: Any, sale: str) -> bool:
    """Raises the version of a sale whose allotment changes; False when it is over. Locks its row."""
    return await connection.fetchval(_TOUCH, sale, list(OPEN_STATES)) is not None


async def lock_pools(connection: Any, pools: list[str]) -> dict[str, Any]:
    """Locks the rows in the order of their ids and answers with epoch and closed_at of each."""
    return {row["id"]: row for row in await connection.fetch(_LOCK_BOTH, pools)}


async def payment_open(connection: Any, pool: str) -> bool:
    """True while a payment on this pool may still become an order."""
    return bool(await connection.fetchval(_PAYMENT_OPEN, pool))


async def move_units(connection: Any, source: str, target: str, units: int) -> bool:
    """Moves unsold units from the one to the other; False when there are not that many. Both pools are locked."""
    return await connection.fetchval(_MOVE_UNITS, source, target, units) is not None


async def return_units(connection: Any, pool: str, ordinary_pool: str) -> None:
    """Moves what was not sold back and closes the sale's pool. Both are locked."""
    await connection.execute(_RETURN_UNITS, pool, ordinary_pool)


def _row(row: Any) -> SaleRow:
    photo, seed = row["photo_id"], row["draw_seed"]
    view = Sale(
        id=row["id"],
        show=row["show_id"],
        state=row["state"],
        product=SaleProduct(row["product_id"], row["product_title"], f"/photos/{photo}" if photo else None),
        variant=row["variant_id"],
        variant_title=row["variant_title"],
        pool=row["pool"],
        price_minor=row["price_minor"],
        list_minor=row["compare_at_minor"],
        currency=row["currency"],
        allotment=row["allotment"],
        per_buyer_limit=row["per_buyer_limit"],
        starts_at_ms=to_ms(row["starts_at"]),
        ends_at_ms=to_ms(row["ends_at"]),
        countdown_s=row["countdown_s"],
        waiting_room=row["waiting_room"],
        commitment=None if seed is None else commitment_of(seed),
        seed=None if seed is None or row["drawn_at"] is None else seed.hex(),
        version=row["version"],
    )
    return SaleRow(view=view, sold=row["sold"], ordinary_pool=row["ordinary_pool"], closed=row["closed_at"] is not None)
