"""Reads the log of moderation from its beginning and computes its chain again. Owns the reading; writes nothing."""

from typing import Final

import asyncpg

from app.chat.audit_rules import Chain, LoggedAct

PORTION: Final = 5000

_READ: Final = """
SELECT n, show_id, actor_id, act, coalesce(target_account_id, '') AS target, coalesce(target_message_id, '') AS message,
       detail::text AS detail, (extract(epoch FROM at) * 1000000)::bigint AS at_us, hash
FROM moderation_acts WHERE n > $1 ORDER BY n LIMIT $2
"""


async def verify(pg: asyncpg.Pool, known_hash: str = "") -> Chain:
    """The chain as far as it holds, and whether it has the hash (in hexadecimal) that somebody noted."""
    chain = Chain(known_hash)
    while chain.broken is None:
        rows = await pg.fetch(_READ, chain.last_n, PORTION)
        if not rows:
            break
        chain.read(LoggedAct(*row.values()) for row in rows)
    return chain
