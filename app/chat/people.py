"""What the staff see of one person: since when they are here, what they said in the show, what was done about them."""

from typing import Any, Final

import msgspec

from app.accounts.standing import standing as standing_of
from app.chat.acts import acts_of
from app.chat.events import Who
from app.chat.parts import Chat
from app.chat.rulebooks import read_watched
from app.chat.sanctions import sanctions_of
from app.chat.store import unix_ms
from app.chat.views import ActView, act_view
from app.chat.watch_rules import Level
from app.person import Person, Standing
from app.refusal import Refusal

MESSAGES_SHOWN: Final = 30
ACTS_SHOWN: Final = 50

_PERSON: Final = """
SELECT a.id, a.name, a.created_at,
       (SELECT min(m.sent_at) FROM messages m JOIN shows s ON s.id = m.show_id
        WHERE m.account_id = a.id AND s.shop_id = (SELECT shop_id FROM shows WHERE id = $2)) AS first_seen,
       (SELECT count(*) FROM messages m WHERE m.account_id = a.id AND m.show_id = $2) AS messages,
       EXISTS (SELECT 1 FROM sanctions x WHERE x.account_id = a.id AND x.kind = 'ban' AND x.lifted_at IS NULL
               AND x.shop_id = (SELECT shop_id FROM shows WHERE id = $2)) AS banned_everywhere
FROM accounts a WHERE a.id = $1
"""
_LAST: Final = """
SELECT id, body, sent_at, deleted_at IS NOT NULL AS deleted FROM messages
WHERE account_id = $1 AND show_id = $2 ORDER BY sent_at DESC LIMIT $3
"""


class Line(msgspec.Struct, frozen=True):
    """Something that the person said; `text` None: it was deleted."""

    id: str
    text: str | None
    at_ms: int


class PersonCard(msgspec.Struct, frozen=True):
    """`first_seen_ms`: their first message in any show of the shop, None when there is none yet. `silenced_until_ms`:
    None when they may write, 0 when there is no end to it.
    """

    person: Who
    standing: Standing
    account_made_ms: int
    first_seen_ms: int | None
    messages: int
    banned_everywhere: bool
    silenced_until_ms: int | None
    watched: Level
    last: list[Line]
    acts: list[ActView]


async def person_card(chat: Chat, show: str, account: str) -> PersonCard | Refusal:
    """All about one person in one show. A person who never came near the show is not found."""
    row = await chat.pg.fetchrow(_PERSON, account, show)
    if row is None:
        return Refusal("not_found", "There is no such person.")
    acts = await acts_of(chat.pg, show, ACTS_SHOWN, account)
    in_force = await sanctions_of(chat.pg, show)
    standing = await standing_of(chat.pg, show, Person(account, row["name"]))
    return PersonCard(
        person=Who(row["id"], row["name"]),
        standing=standing or Standing.VIEWER,
        account_made_ms=unix_ms(row["created_at"]),
        first_seen_ms=None if row["first_seen"] is None else unix_ms(row["first_seen"]),
        messages=row["messages"],
        banned_everywhere=row["banned_everywhere"],
        silenced_until_ms=(in_force[account] or 0) if account in in_force else None,
        watched=(await read_watched(chat.pg, show)).get(account, Level.NONE),
        last=[_line(said) for said in await chat.pg.fetch(_LAST, account, show, MESSAGES_SHOWN)],
        acts=[act_view(act) for act in acts],
    )


def _line(row: Any) -> Line:
    return Line(row["id"], None if row["deleted"] else row["body"], unix_ms(row["sent_at"]))
