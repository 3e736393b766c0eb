"""Who moderates a show, or all shows of its shop, as moderator or lead: appointing and dismissing.

Each is written among the moderation acts in its transaction.
"""

from typing import Final

from app.accounts.name_rules import clean_email, fold_name
from app.accounts.standing import standing
from app.http.endpoint import Call, Reply
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import staff_room
from app.storage.away import unless_away
from app.streams.parts import Streams
from app.streams.views import ActEvent, Appointment, Moderator, Moderators, Named

MODERATORS_MAX: Final = 100

_LIST: Final = """
SELECT a.id, a.name, m.lead, m.everywhere FROM (
    SELECT account_id, lead, false AS everywhere, appointed_at FROM show_moderators WHERE show_id = $1
    UNION ALL
    SELECT m.account_id, m.role = 'lead', true, m.appointed_at FROM shop_members m JOIN shows s ON s.shop_id = m.shop_id
    WHERE s.id = $1 AND m.role <> 'host'
) m JOIN accounts a ON a.id = m.account_id ORDER BY m.appointed_at, a.id, m.everywhere
"""
_BY_NAME: Final = "SELECT id, name FROM accounts WHERE name_folded = $1"
_BY_EMAIL: Final = "SELECT id, name FROM accounts WHERE email_folded = $1"
# The shop's row, locked: two appointments cannot both be the last that fits.
_LOCK: Final = "SELECT id FROM shops WHERE id = (SELECT shop_id FROM shows WHERE id = $1) FOR NO KEY UPDATE"
# The others of the same office: who has it already may still be made a lead, or no longer one.
_OTHERS: Final = "SELECT count(*) FROM show_moderators WHERE show_id = $1 AND account_id <> $2"
_OTHERS_EVERYWHERE: Final = """
SELECT count(*) FROM shop_members m JOIN shows s ON s.shop_id = m.shop_id
WHERE s.id = $1 AND m.account_id <> $2 AND m.role <> 'host'
"""
_APPOINT: Final = """
INSERT INTO show_moderators AS m (show_id, account_id, appointed_by, lead) VALUES ($1, $2, $3, $4)
ON CONFLICT (show_id, account_id) DO UPDATE SET lead = excluded.lead, appointed_by = excluded.appointed_by
WHERE m.lead <> excluded.lead RETURNING account_id
"""
_APPOINT_EVERYWHERE: Final = """
INSERT INTO shop_members AS m (shop_id, account_id, role)
SELECT shop_id, $2, CASE WHEN $3 THEN 'lead' ELSE 'moderator' END FROM shows WHERE id = $1
ON CONFLICT (shop_id, account_id) DO UPDATE SET role = excluded.role
WHERE m.role NOT IN ('host', excluded.role) RETURNING account_id
"""
_DISMISS_EVERYWHERE: Final = """
DELETE FROM shop_members m USING accounts a, shows s
WHERE s.id = $1 AND m.shop_id = s.shop_id AND m.account_id = $2 AND m.role <> 'host' AND a.id = m.account_id
RETURNING a.name
"""
_SHOWS: Final = """
SELECT o.id FROM shows s JOIN shows o ON o.shop_id = s.shop_id WHERE s.id = $1 AND (o.id = $1 OR o.state <> 'ended')
"""
_DISMISS: Final = """
DELETE FROM show_moderators m USING accounts a
WHERE m.show_id = $1 AND m.account_id = $2 AND a.id = m.account_id
RETURNING a.name
"""
_ACT: Final = """
INSERT INTO moderation_acts (show_id, actor_id, act, target_account_id, detail) VALUES ($1, $2, $3, $4, $5)
"""


async def _moderators(streams: Streams, show: str) -> Moderators:
    return Moderators([Moderator(*row) for row in await streams.pg.fetch(_LIST, show)])


async def read_moderators(streams: Streams, call: Call) -> Reply:
    """The show's moderators by appointment."""
    return Reply(await _moderators(streams, call.path["show"]))


async def _find(streams: Streams, whom: Appointment) -> Named | Refusal:
    if (whom.name is None) == (whom.email is None):
        return Refusal("malformed", "Say whom: by name or by email.")
    unknown = Refusal("unknown_person", "There is nobody of that name or address.")
    if whom.email is not None:
        email = clean_email(whom.email)
        row = None if isinstance(email, Refusal) else await streams.pg.fetchrow(_BY_EMAIL, email)
    else:
        row = await streams.pg.fetchrow(_BY_NAME, fold_name(whom.name or ""))
    return unknown if row is None else Named(row["id"], row["name"])


async def appoint_moderator(streams: Streams, call: Call) -> Reply | Refusal:
    """Makes somebody a moderator or a lead, of the show or of all its shop's; their sockets learn it. Twice is once."""
    show = call.path["show"]
    person = await _find(streams, call.body)
    if isinstance(person, Refusal):
        return person
    if await standing(streams.pg, show, Person(person.id, person.name)) is Standing.HOST:
        return Refusal("is_host", "A host of the shop moderates the show anyway.")
    async with streams.pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, show)
        others = _OTHERS_EVERYWHERE if call.body.everywhere else _OTHERS
        if await connection.fetchval(others, show, person.id) >= MODERATORS_MAX:
            what = "shop" if call.body.everywhere else "show"
            return Refusal("too_many", f"A {what} has {MODERATORS_MAX} moderators at most.")
        how = {"lead": call.body.lead, "everywhere": call.body.everywhere}
        if call.body.everywhere:
            appointed = await connection.fetchval(_APPOINT_EVERYWHERE, show, person.id, call.body.lead)
        else:
            appointed = await connection.fetchval(_APPOINT, show, person.id, call.signed_in.id, call.body.lead)
        if appointed is not None:
            await connection.execute(_ACT, show, call.signed_in.id, "appoint", person.id, how)
    if appointed is not None:
        await _tell(streams, show, call, "appoint", person, everywhere=call.body.everywhere)
    return Reply(await _moderators(streams, show))


async def dismiss_moderator(streams: Streams, call: Call) -> Reply:
    """Takes the office away, with `?everywhere=1` that for all shows; their sockets learn it. Dismissing who has none
    changes nothing.
    """
    show, account = call.path["show"], call.path["account"]
    everywhere = call.request.query_params.get("everywhere") == "1"
    async with streams.pg.acquire() as connection, connection.transaction():
        name = await connection.fetchval(_DISMISS_EVERYWHERE if everywhere else _DISMISS, show, account)
        if name is not None:
            await connection.execute(_ACT, show, call.signed_in.id, "dismiss", account, {"everywhere": everywhere})
    if name is not None:
        await _tell(streams, show, call, "dismiss", Named(account, name), everywhere=everywhere)
    return Reply()


async def _tell(streams: Streams, show: str, call: Call, act: str, person: Named, *, everywhere: bool) -> None:
    """Makes the person's sockets ask what they are now, and tells the staff who did it."""
    for one in [row["id"] for row in await streams.pg.fetch(_SHOWS, show)] if everywhere else [show]:
        await unless_away("standing", streams.rooms.standing_changed(one, person.id))
    actor = Named(call.signed_in.id, call.signed_in.name)
    await unless_away("act", streams.rooms.append(staff_room(show), ActEvent(actor, act, person, call.now_ms)))
