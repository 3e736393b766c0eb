"""Comment to buy in Postgres: a show's switch and keywords, what a wish means, and which message took which hold."""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec

KEPT_H: Final = 24

_READ: Final = "SELECT version, is_on, keywords FROM comment_buying WHERE show_id = $1"
_WRITE: Final = """
    INSERT INTO comment_buying AS c (show_id, version, is_on, keywords) VALUES ($1, 1, $2, $3)
    ON CONFLICT (show_id) DO UPDATE SET version = c.version + 1, is_on = excluded.is_on, keywords = excluded.keywords
    RETURNING version"""
_UNKNOWN: Final = """
    SELECT t.id FROM unnest($2::text[]) AS t (id)
     WHERE NOT EXISTS (
         SELECT FROM variants v JOIN products d ON d.id = v.product_id JOIN shows s ON s.shop_id = d.shop_id
          WHERE v.id = t.id AND s.id = $1)"""

# What is pinned, or one variant of the line-up: from the sale that stands for it, else from ordinary stock.
_FIND: Final = """
    SELECT v.id AS variant, coalesce(f.pool, p.id) AS pool, f.pool IS NOT NULL AS of_sale
      FROM shows w
      JOIN products d ON d.shop_id = w.shop_id AND d.archived_at IS NULL
      JOIN variants v ON v.product_id = d.id AND v.archived_at IS NULL
      JOIN pools p ON p.variant_id = v.id AND p.flash_sale_id IS NULL
      LEFT JOIN LATERAL (
          SELECT sp.id AS pool FROM flash_sales s JOIN pools sp ON sp.flash_sale_id = s.id
           WHERE s.show_id = w.id AND s.variant_id = v.id AND s.state IN ('countdown', 'running', 'sold_out')
           ORDER BY s.starts_at LIMIT 1
      ) f ON true
     WHERE w.id = $1
       AND CASE WHEN $2::text IS NULL THEN d.id = w.pinned_product_id
                ELSE v.id = $2 AND EXISTS (SELECT FROM lineup l WHERE l.show_id = w.id AND l.product_id = d.id) END
     ORDER BY v.position"""

_NOTE: Final = """
    INSERT INTO comment_holds (hold_id, show_id, message_id, account_id) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING"""
_HOLDS: Final = """
    SELECT hold_id, account_id FROM comment_holds
     WHERE show_id = $1 AND ($2::text IS NULL OR message_id = $2) AND ($3::text IS NULL OR account_id = $3)
       AND made_at > now() - interval '1 day'"""
# Of messages that were deleted, or denied within the chat's delay. Holds that were taken earlier are over.
_HOLDS_OF_GONE: Final = """
    SELECT h.hold_id, h.account_id FROM comment_holds h WHERE h.made_at > now() - make_interval(secs => $1) AND (
        EXISTS (SELECT FROM messages m WHERE m.id = h.message_id AND m.deleted_at IS NOT NULL)
        OR EXISTS (SELECT FROM held_messages m WHERE m.id = h.message_id AND m.state = 'denied'))"""
_FORGET: Final = "DELETE FROM comment_holds WHERE made_at < now() - make_interval(hours => $1)"


class Buying(msgspec.Struct, frozen=True):
    """The room's key `buying`: whether comments buy in the show, and which variant each keyword stands for."""

    on: bool = False
    keywords: Mapping[str, str] = {}


class Item(msgspec.Struct, frozen=True):
    """What a wish may mean."""

    variant: str
    pool: str
    of_sale: bool


async def read_buying(pg: asyncpg.Pool, show: str) -> tuple[int, Buying]:
    """The show's switch and keywords with their version, 0 when nobody has set them."""
    row = await pg.fetchrow(_READ, show)
    return (0, Buying()) if row is None else (row["version"], Buying(row["is_on"], row["keywords"]))


async def write_buying(pg: asyncpg.Pool, show: str, buying: Buying) -> int:
    """Sets them; the new version."""
    version: int = await pg.fetchval(_WRITE, show, buying.on, dict(buying.keywords))
    return version


async def unknown_variants(pg: asyncpg.Pool, show: str, variants: Sequence[str]) -> list[str]:
    """Those that the show's shop does not have."""
    return [row["id"] for row in await pg.fetch(_UNKNOWN, show, list(variants))]


async def find_items(pg: asyncpg.Pool, show: str, variant: str | None) -> list[Item]:
    """What is pinned (None), or this variant as far as it is in the line-up."""
    return [Item(*row) for row in await pg.fetch(_FIND, show, variant)]


async def note_hold(pg: asyncpg.Pool, hold: str, show: str, message: str, person: str) -> None:
    """Notes which message took the hold."""
    await pg.execute(_NOTE, hold, show, message, person)


async def holds_of_words(pg: asyncpg.Pool, show: str, message: str | None, person: str | None) -> list[tuple[str, str]]:
    """Holds and their owners that one message took, or all messages of a person, or (both None) all of the show."""
    return [(row["hold_id"], row["account_id"]) for row in await pg.fetch(_HOLDS, show, message, person)]


async def holds_of_gone(pg: asyncpg.Pool, seconds: float) -> list[tuple[str, str]]:
    """Holds of the last so many seconds, with their owners, whose messages were deleted."""
    return [(row["hold_id"], row["account_id"]) for row in await pg.fetch(_HOLDS_OF_GONE, seconds)]


async def forget_holds(pg: asyncpg.Pool) -> None:
    """Drops what is long over."""
    await pg.execute(_FORGET, KEPT_H)
