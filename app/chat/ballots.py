"""Answers to polls on their way into Postgres, in groups. Owns the table poll_answers; poll_store.py counts it."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

# In one order, so that two batches never wait for one another.
_SHARE: Final = """
SELECT pg_advisory_xact_lock_shared(hashtextextended('poll ' || id, 0))
FROM (SELECT DISTINCT id FROM unnest($1::text[]) AS id ORDER BY id) AS asked
"""
# Of each person the first answer, as long as the poll is open; nobody's whom the show has banned.
_ANSWER: Final = """
INSERT INTO poll_answers (poll_id, account_id, choice)
SELECT p.id, g.account_id, g.choice
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) WITH ORDINALITY
     AS g (show_id, poll_id, account_id, choice, place)
JOIN polls p ON p.id = g.poll_id AND p.show_id = g.show_id JOIN shows s ON s.id = p.show_id
WHERE p.state = 'open' AND (p.ends_at IS NULL OR p.ends_at > clock_timestamp()) AND s.state <> 'ended'
    AND g.choice < cardinality(p.options) AND NOT EXISTS (
        SELECT FROM sanctions x WHERE x.account_id = g.account_id AND x.lifted_at IS NULL AND x.kind = 'ban'
            AND (x.show_id = s.id OR x.shop_id = s.shop_id)
    )
ORDER BY g.place ON CONFLICT DO NOTHING
"""
_ANSWERED: Final = """
SELECT v.choice FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS g (poll_id, account_id, place)
LEFT JOIN poll_answers v ON v.poll_id = g.poll_id AND v.account_id = g.account_id ORDER BY g.place
"""


class Ballot(msgspec.Struct, frozen=True):
    """A person's answer to a poll of a show: the place of it in the options."""

    show: str
    poll: str
    account: str
    choice: int


async def write_answers(pg: asyncpg.Pool, ballots: Sequence[Ballot]) -> list[int | None]:
    """Writes each person's first answer; of each what the person has answered now, None when nothing. A batch."""
    shows, polls = [one.show for one in ballots], [one.poll for one in ballots]
    accounts, choices = [one.account for one in ballots], [one.choice for one in ballots]
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_SHARE, polls)
        await connection.execute(_ANSWER, shows, polls, accounts, choices)
        return [row["choice"] for row in await connection.fetch(_ANSWERED, polls, accounts)]
