"""Who moderates a show: appointing and dismissing. Each is written among the moderation acts in its transaction."""

from typing import Any, Final

from app.accounts.name_rules import clean_email, fold_name
from app.accounts.standing import standing
from app.http.endpoint import Call, Reply
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import staff_room
from app.storage.away import unless_away
from app.streams.parts import Streams
from app.streams.views import ActEvent, Appointment, Moderators, Named

MODERATORS_MAX: Final = 100

_LIST: Final = """
SELECT a.id, a.name FROM show_moderators m JOIN accounts a ON a.id = m.account_id
WHERE m.show_id = $1 ORDER BY m.appointed_at, a.id
"""
_BY_NAME: Final = "SELECT id, name FROM accounts WHERE name_folded = $1"
_BY_EMAIL: Final = "SELECT id, name FROM accounts WHERE email_folded = $1"
# The show's row, locked: two appointments cannot both be the last that fits.
_LOCK: Final = "SELECT id FROM shows WHERE id = $1 FOR UPDATE"
_COUNT: Final = "SELECT count(*) FROM show_moderators WHERE show_id = $1"
_APPOINT: Final = """
INSERT INTO show_moderators (show_id, account_id, appointed_by) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING account_id
"""
_DISMISS: Final = """
DELETE FROM show_moderators m USING accounts a
WHERE m.show_id = $1 AND m.account_id = $2 AND a.id = m.account_id
RETURNING a.name
"""
_ACT: Final = """
INSERT INTO moderation_acts (show_id, actor_id, act, target_account_id) VALUES ($1, $2, $3, $4)
"""


async def _moderators(streams: Streams, show: str) -> Moderators:
    return Moderators([Named(row["id"], row["name"]) for row in await streams.pg.fetch(_LIST, show)])


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
    """Makes somebody a moderator of the show; their sockets learn it. Twice is once."""
    show = call.path["show"]
    person = await _find(streams, call.body)
    if isinstance(person, Refusal):
        return person
    if await standing(streams.pg, show, Person(person.id, person.name)) is Standing.HOST:
        return Refusal("is_host", "A host of the shop moderates the show anyway.")
    async with streams.pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, show)
        if await connection.fetchval(_COUNT, show) >= MODERATORS_MAX:
            return Refusal("too_many", f"A show has {MODERATORS_MAX} moderators at most.")
        fresh = await connection.fetchval(_APPOINT, show, person.id, call.signed_in.id) is not None
        if fresh:
            await _write_act(connection, show, call, "appoint", person.id)
    if fresh:
        await _tell(streams, show, call, "appoint", person)
    return Reply(await _moderators(streams, show))


async def dismiss_moderator(streams: Streams, call: Call) -> Reply:
    """Takes the office away; their sockets learn it. Dismissing who is none changes nothing."""
    show, account = call.path["show"], call.path["account"]
    async with streams.pg.acquire() as connection, connection.transaction():
        name = await connection.fetchval(_DISMISS, show, account)
        if name is not None:
            await _write_act(connection, show, call, "dismiss", account)
    if name is not None:
        await _tell(streams, show, call, "dismiss", Named(account, name))
    return Reply()


async def _write_act(connection: Any, show: str, call: Call, act: str, target: str) -> None:
    await connection.execute(_ACT, show, call.signed_in.id, act, target)


async def _tell(streams: Streams, show: str, call: Call, act: str, person: Named) -> None:
    """Makes the person's sockets ask what they are now, and tells the staff who did it."""
    await unless_away("standing", streams.rooms.standing_changed(show, person.id))
    actor = Named(call.signed_in.id, call.signed_in.name)
    await unless_away("act", streams.rooms.append(staff_room(show), ActEvent(actor, act, person, call.now_ms)))
