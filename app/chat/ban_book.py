"""Who is banned from where, asked by whoever lets people in: holds, lines, orders, media sessions.

Postgres is asked each time, so a ban counts from its commit on, whatever Valkey has forgotten; where Postgres cannot be
asked nobody is let in. All who ask while a question is under way share the next one. Owns the asking; bans nobody.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg
import msgspec

from app.storage.group_commit import GroupCommit

CALLS_MAX: Final = 2

_BANS: Final = """
SELECT account_id, show_id, shop_id FROM sanctions
WHERE account_id = ANY($1::text[]) AND kind = 'ban' AND lifted_at IS NULL
"""
_FROM_SHOW: Final = """
SELECT EXISTS (
    SELECT FROM sanctions x JOIN shows s ON s.id = $2 AND (x.show_id = s.id OR x.shop_id = s.shop_id)
    WHERE x.account_id = $1 AND x.kind = 'ban' AND x.lifted_at IS NULL
)
"""


class Bans(msgspec.Struct, frozen=True):
    """From where one person is banned: shows, and shops with all their shows."""

    shows: frozenset[str] = frozenset()
    shops: frozenset[str] = frozenset()

    def bar(self, shop: str, *shows: str) -> bool:
        """Whether the person may not buy what is the shop's, in one of these shows ("": in none)."""
        return shop in self.shops or not self.shows.isdisjoint(shows)


_NONE: Final = Bans()


class BanBook:
    """Reads bans. `drain` it before Postgres is closed."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._asked: GroupCommit[str, Bans] = GroupCommit(partial(_read, pg), calls_max=CALLS_MAX)
        self.drain = self._asked.drain

    async def of(self, person: str) -> Bans:
        """All bans of the person that stand now."""
        return await self._asked.submit(person)

    async def bars(self, person: str, show: str) -> bool:
        """Whether the person may not be in the show."""
        return bool(await self._pg.fetchval(_FROM_SHOW, person, show))


async def _read(pg: asyncpg.Pool, people: list[str]) -> Sequence[Bans]:
    found: dict[str, Bans] = {}
    for person, show, shop in await pg.fetch(_BANS, list(set(people))):
        known = found.get(person, _NONE)
        found[person] = Bans(known.shows | {show} - {None}, known.shops | {shop} - {None})
    return [found.get(person, _NONE) for person in people]
