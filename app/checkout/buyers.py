"""Who has bought, for the rooms that only buyers may write in. Owns this one question; chat asks it."""

from typing import Final

import asyncpg

# Whether an order of theirs stands at the shop of the show.
_HAS_BOUGHT: Final = """
SELECT EXISTS (
    SELECT FROM orders WHERE account_id = $2 AND state IN ('authorised', 'paid')
        AND shop_id = (SELECT shop_id FROM shows WHERE id = $1)
)
"""


async def has_bought(pg: asyncpg.Pool, show: str, person: str) -> bool:
    """Whether the person has an order at the show's shop that was neither cancelled nor refunded."""
    return bool(await pg.fetchval(_HAS_BOUGHT, show, person))
