"""What of a shop's money somebody has to look at: refused refunds, money that would not go back, disputes.

Reads only.
"""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

TROUBLES_MAX: Final = 200

# A refund that was refused is one until another was asked for.
_READ: Final = """
    SELECT b.attempt_id AS order, 'give_back_refused' AS kind, b.amount_minor, b.currency, b.since
      FROM give_backs_refused b WHERE b.shop_id = $1 AND b.ended_at IS NULL
    UNION ALL
    SELECT DISTINCT ON (r.order_id) r.order_id, 'refund_refused', r.amount_minor, r.currency, r.decided_at
      FROM refunds r JOIN orders o ON o.id = r.order_id AND o.shop_id = $1 AND o.state = 'paid'
     WHERE r.state = 'refused'
       AND NOT EXISTS (SELECT FROM refunds n WHERE n.order_id = r.order_id AND n.state <> 'refused'
                                               AND n.created_at > r.created_at)
    UNION ALL
    SELECT d.order_id, 'dispute_' || d.state, d.amount_minor, d.currency, d.created_at
      FROM disputes d WHERE d.shop_id = $1 AND d.state IN ('inquiry', 'open')
     ORDER BY since DESC LIMIT $2"""

_COUNT: Final = """
    SELECT (SELECT count(*) FROM give_backs_refused WHERE ended_at IS NULL)
         + (SELECT count(*) FROM disputes WHERE state IN ('inquiry', 'open'))"""


class Trouble(msgspec.Struct, frozen=True):
    """give_back_refused: the payment came to no order and its money would not go back; it is tried again by itself.
    refund_refused: the provider would not; somebody has to ask again, or otherwise. dispute_inquiry and dispute_open:
    the buyer's bank wants to know.
    """

    order: str
    kind: str
    amount_minor: int
    currency: str
    since: datetime


async def troubles_of(pg: asyncpg.Pool, shop: str) -> list[Trouble]:
    """The shop's, the newest first."""
    return [Trouble(**dict(row)) for row in await pg.fetch(_READ, shop, TROUBLES_MAX)]


async def count_troubles(pg: asyncpg.Pool) -> int:
    """Of all shops, those in which money is where it should not be."""
    return int(await pg.fetchval(_COUNT))
