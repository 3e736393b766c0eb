"""The draw of a waiting room in Postgres: whom it is of and what it gave. The order is draw_rules.py's."""

from collections.abc import Sequence
from typing import Any, Final

_UNDRAWN: Final = "SELECT id FROM line_entries WHERE pool_id = $1 AND state = 'waiting' AND place IS NULL"

_PLACE_DRAWN: Final = """
    UPDATE line_entries e SET place = t.place, drawn = true
      FROM unnest($1::text[]) WITH ORDINALITY AS t (id, place) WHERE e.id = t.id"""

_NOTE_DRAW: Final = """
    UPDATE flash_sales SET drawn_at = now(), version = version + 1
     WHERE id = $1 AND drawn_at IS NULL AND state IN ('running', 'sold_out') RETURNING draw_seed"""

_DRAWN: Final = "SELECT id FROM line_entries WHERE pool_id = $1 AND drawn ORDER BY place"

_PLACE_CROWD: Final = "UPDATE flash_sales SET draw_crowd = $2 WHERE id = $1"

_CROWD: Final = "SELECT draw_crowd FROM flash_sales WHERE id = $1"


async def undrawn(connection: Any, pool: str) -> list[str]:
    """The entries that wait for the draw."""
    return [row["id"] for row in await connection.fetch(_UNDRAWN, pool)]


async def note_draw(connection: Any, sale: str) -> bytes | None:
    """Marks a sale that runs as drawn, once; answers with the seed. None: it was, or the sale does not run."""
    seed: bytes | None = await connection.fetchval(_NOTE_DRAW, sale)
    return seed


async def place_drawn(connection: Any, sale: str, order: Sequence[str], crowd: bytes) -> None:
    """Gives the entries their places, the first one 1; `crowd` is their hash."""
    await connection.execute(_PLACE_DRAWN, list(order))
    await connection.execute(_PLACE_CROWD, sale, crowd)


async def drawn_crowd(pg: Any, sale: str) -> bytes | None:
    """The hash of the entries as it was written down with the draw."""
    crowd: bytes | None = await pg.fetchval(_CROWD, sale)
    return crowd


async def drawn_entries(pg: Any, pool: str) -> list[str]:
    """The entries of the draw, in its order."""
    return [row["id"] for row in await pg.fetch(_DRAWN, pool)]
