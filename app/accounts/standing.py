"""What a person is in a show or a shop, as Postgres has it now.

Owns the questions; it decides nothing. Hosts, leads and moderators of a shop are that in all its shows; a show has
moderators and leads of its own besides.
"""

from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec

from app.person import Person, Standing

# The person's role in the shop of the thing asked about and in the show, and whether they host any other shop. No row:
# the thing is unknown.
_PLACE: Final = """
SELECT (SELECT role FROM shop_members m WHERE m.shop_id = t.shop_id AND m.account_id = $2) AS role,
       (SELECT CASE WHEN sm.lead THEN 'lead' ELSE 'moderator' END FROM show_moderators sm
        WHERE sm.show_id = t.show_id AND sm.account_id = $2) AS appointed,
       EXISTS (SELECT 1 FROM shop_members m
               WHERE m.account_id = $2 AND m.role = 'host' AND m.shop_id <> t.shop_id) AS hosts_elsewhere
FROM ({thing}) t
"""
_THINGS: Final = {
    "show": "SELECT shop_id, id AS show_id FROM shows WHERE id = $1",
    "product": "SELECT shop_id, NULL::text AS show_id FROM products WHERE id = $1",
    "shop": "SELECT id AS shop_id, NULL::text AS show_id FROM shops WHERE id = $1",
}
_QUERIES: Final = {name: _PLACE.format(thing=thing) for name, thing in _THINGS.items()}

_HIGHEST_FIRST: Final = (Standing.HOST, Standing.LEAD, Standing.MODERATOR)


class Place(msgspec.Struct, frozen=True):
    """A person's standing where the request acts, and whether they host another shop."""

    standing: Standing
    hosts_elsewhere: bool


async def place_of(pg: asyncpg.Pool, person: Person, scope: Mapping[str, str]) -> Place | None:
    """The place of the person in a scope of one name (show, product or shop); None when there is no such thing."""
    ((name, thing),) = scope.items()
    row = await pg.fetchrow(_QUERIES[name], thing, person.id)
    if row is None:
        return None
    roles = {row["role"], row["appointed"]}
    highest = next((one for one in _HIGHEST_FIRST if one in roles), Standing.VIEWER)
    return Place(highest, row["hosts_elsewhere"])


async def standing(pg: asyncpg.Pool, show: str, person: Person | None) -> Standing | None:
    """The person's standing in the show; None when there is no such show. Nobody in particular is a viewer."""
    place = await place_of(pg, person or Person(id="", name=""), {"show": show})
    return None if place is None else place.standing
