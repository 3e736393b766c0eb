"""Asking to be let back after a ban, and the staff's answer. Owns the table unban_requests.

A ban is asked about once; what the answer was stands as long as the ban does. Letting back is done by bans.py, under
its rules.
"""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.bans import EndBan, end_ban, meant
from app.chat.events import UnbanAsked, UnbanDecided, Who, who
from app.chat.moderation_rules import REASON_LENGTH_MAX
from app.chat.parts import Chat
from app.chat.store import unix_ms
from app.chat.talk_edge import signed_in
from app.chat.targets import MessageId
from app.chat.text_rules import GRAPHEMES_MAX, clean_message
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right, Standing
from app.refusal import Refusal
from app.rooms.bus import staff_room
from app.rooms.command import Command, Order

OPEN_MAX: Final = 200
NO_REQUEST: Final = Refusal("not_found", "There is no such request.")

# The ban that keeps the person out of the show: the one for all shows first.
_BAN: Final = """
SELECT x.id, u.id AS request, coalesce(u.state, 'none') AS state, coalesce(u.answer, '') AS answer, x.reason
FROM sanctions x JOIN shows s ON s.id = $1 LEFT JOIN unban_requests u ON u.sanction_id = x.id
WHERE x.account_id = $2 AND x.kind = 'ban' AND x.lifted_at IS NULL AND (x.show_id = s.id OR x.shop_id = s.shop_id)
ORDER BY x.shop_id IS NULL, x.created_at DESC LIMIT 1
"""
_ASK: Final = """
INSERT INTO unban_requests (id, sanction_id, asked_in, account_id, body) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (sanction_id) DO NOTHING RETURNING asked_at
"""
_OPEN: Final = """
SELECT u.id, u.account_id, a.name, u.body, u.asked_at, x.shop_id IS NOT NULL AS everywhere
FROM unban_requests u JOIN sanctions x ON x.id = u.sanction_id JOIN accounts a ON a.id = u.account_id
WHERE u.asked_in = $1 AND u.state = 'open' AND x.lifted_at IS NULL ORDER BY u.asked_at LIMIT $2
"""
_LOCK: Final = """
SELECT u.state, u.account_id, a.name, x.shop_id IS NOT NULL AS everywhere
FROM unban_requests u JOIN sanctions x ON x.id = u.sanction_id JOIN accounts a ON a.id = u.account_id
WHERE u.id = $1 AND u.asked_in = $2 FOR UPDATE OF u
"""
_DECIDE: Final = """
UPDATE unban_requests SET state = $2, answer = $3, decided_by = $4, decided_at = now() WHERE id = $1
"""


class AskBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the person should be let back, in their words."""

    text: Annotated[str, Meta(max_length=GRAPHEMES_MAX * 8)]


class Asked(msgspec.Struct, frozen=True):
    """What the person is told: `reason` the staff's words with the ban; `state` none, open, declined; `answer` their
    words when declined. `banned` False: nothing keeps them out (any more).
    """

    banned: bool
    state: str = "none"
    answer: str = ""
    reason: str = ""


class DecideUnban(msgspec.Struct, frozen=True):
    """unban.accept and unban.decline; the text is for the person, when declined."""

    request: MessageId
    text: Annotated[str, Meta(max_length=REASON_LENGTH_MAX)] = ""


async def own_request(pg: asyncpg.Pool, show: str, person: str) -> Asked:
    """How it stands with the person's ban."""
    row = await pg.fetchrow(_BAN, show, person)
    return Asked(banned=False) if row is None else Asked(True, row["state"], row["answer"], row["reason"])


async def ask_back(chat: Chat, show: str, person: Person, text: str) -> Asked | Refusal:
    """Asks the staff. About the same ban once: what was asked first stands."""
    words = clean_message(text)
    if isinstance(words, Refusal):
        return words
    ban = await chat.pg.fetchrow(_BAN, show, person.id)
    if ban is None:
        return Refusal("not_banned", "Nothing keeps you out of this show.")
    request = clock.new_id()
    asked_at = await chat.pg.fetchval(_ASK, request, ban["id"], show, person.id, words)
    if asked_at is not None:
        await chat.rooms.append(staff_room(show), UnbanAsked(request, who(person), words, unix_ms(asked_at)))
    return await own_request(chat.pg, show, person.id)


async def open_requests(pg: asyncpg.Pool, show: str) -> list[UnbanAsked]:
    """What nobody has decided on yet, the oldest first."""
    rows = await pg.fetch(_OPEN, show, OPEN_MAX)
    return [
        UnbanAsked(row["id"], Who(row["account_id"], row["name"]), row["body"], unix_ms(row["asked_at"]))
        for row in rows
    ]


async def decide(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: DecideUnban, *, accepted: bool
) -> Refusal | None:
    """Lets the person back, or not, with the staff's words. The same decision again changes nothing."""
    state = "accepted" if accepted else "declined"
    row = await chat.pg.fetchrow(_LOCK, wanted.request, show)
    if row is None:
        return NO_REQUEST
    if row["state"] == "open":
        refusal = await _may(chat, show, actor, standing, row, accepted=accepted)
        if refusal is not None:
            return refusal
    deed = Deed(show, who(actor), f"unban.{state}", Who(row["account_id"], row["name"]), reason=wanted.text)
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        now = (await connection.fetchrow(_LOCK, wanted.request, show))["state"]
        let_back = accepted and row["state"] == "open"  # by now; also when somebody declined in this very moment
        if now == state:
            return None
        if now != "open" and not let_back:
            return Refusal("decided", f"This request was {now} already.")
        await connection.execute(_DECIDE, wanted.request, state, "" if accepted else wanted.text, actor.id)
        number = await write_act(connection, deed)
    await chat.rooms.append(staff_room(show), UnbanDecided(wanted.request, accepted, who(actor)))
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def _may(chat: Chat, show: str, actor: Person, standing: Standing, row: Any, *, accepted: bool) -> Refusal | None:
    """Lets the person back when that is the decision; why the actor may not decide, who may not end the ban."""
    wanted = EndBan(row["account_id"], row["everywhere"])
    if accepted:
        return await end_ban(chat, show, actor, standing, wanted)
    found = await meant(chat, show, actor, standing, wanted)
    return found if isinstance(found, Refusal) else None


def commands(parts: Chat) -> list[Command]:
    """What the staff decide."""

    async def accept(order: Order) -> Any:
        return await decide(parts, order.show, signed_in(order), order.standing, order.body, accepted=True)

    async def decline(order: Order) -> Any:
        return await decide(parts, order.show, signed_in(order), order.standing, order.body, accepted=False)

    return [
        Command(op="unban.accept", right=Right.SHOW_STAFF, body=DecideUnban, action=accept),
        Command(op="unban.decline", right=Right.SHOW_STAFF, body=DecideUnban, action=decline),
    ]


def endpoints(parts: Chat) -> list[Endpoint]:
    """What the person asks: over HTTP, as their sockets are closed."""

    async def read(call: Call) -> Reply:
        return Reply(await own_request(parts.pg, call.path["show"], call.signed_in.id))

    async def ask(call: Call) -> Reply | Refusal:
        answer = await ask_back(parts, call.path["show"], call.signed_in, call.body.text)
        return answer if isinstance(answer, Refusal) else Reply(answer)

    path = "/api/shows/{show}/unban-request"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SIGNED_IN,
            action=read,
            summary="How it stands with one's ban",
            answer=Asked,
        ),
        Endpoint(
            method="PUT",
            path=path,
            right=Right.SIGNED_IN,
            action=ask,
            summary="Ask to be let back",
            body=AskBack,
            answer=Asked,
        ),
    ]
