"""Whether the demo is there, asked at every start: imports nothing, so that it costs nothing.

An ended demo show goes on again at the next start: a demo without a show would show nothing.
"""

from typing import Any, Final

SHOW: Final = "demo"

# The pin went with the end; the first of the line-up takes its place.
_REVIVE: Final = """
UPDATE shows SET state = 'live', ended_at = NULL, version = version + 1,
    pinned_product_id = coalesce(pinned_product_id,
        (SELECT product_id FROM lineup WHERE show_id = $1 ORDER BY position LIMIT 1))
WHERE id = $1 AND state = 'ended'
"""
_EXISTS: Final = "SELECT 1 FROM shows WHERE id = $1"


async def is_live(connection: Any) -> bool:
    """Whether the demo is there. Puts an ended demo show on again."""
    await connection.execute(_REVIVE, SHOW)
    return await connection.fetchval(_EXISTS, SHOW) is not None
