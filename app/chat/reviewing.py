"""Asking somebody outside about what is about to be said, and choosing whom. Owns the writing of the table reviewers.

One signed POST a message, whose status is the answer. Nobody is asked about words that the room would not have: the
author is banned, writes too fast, or has said them before. It goes out by the way that webhooks take, which leads to no
private address; where no answer comes in time the shop's own choice for that counts. The staff are not reviewed, nor is
what waits for a moderator anyway. About one author one question at a time is asked, as people may have many tabs open.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Chat as Message
from app.chat.events import who
from app.chat.mode_rules import Hold
from app.chat.parts import Chat
from app.chat.review_rules import REFUSED, LimitMs, Outcome, is_asked, reviewed
from app.chat.reviewers import read_reviewer
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right, Standing
from app.refusal import Refusal
from app.rooms.bus import Answer, Kept, Pace, Welcome

URL_LENGTH_MAX: Final = 2048

_SHOP: Final = "SELECT shop_id FROM shows WHERE id = $1"
_WRITE: Final = """
INSERT INTO reviewers (shop_id, url, secret, limit_ms, otherwise) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (shop_id) DO UPDATE SET url = excluded.url, limit_ms = excluded.limit_ms, otherwise = excluded.otherwise,
    secret = CASE WHEN reviewers.url = excluded.url THEN reviewers.secret ELSE excluded.secret END
RETURNING secret
"""
_REMOVE: Final = "DELETE FROM reviewers WHERE shop_id = $1"


class SetReviewer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to ask from now on; without a `url` nobody."""

    url: Annotated[str, Meta(max_length=URL_LENGTH_MAX)] = ""
    limit_ms: LimitMs = 1000
    otherwise: Outcome = Outcome.HOLD


class ReviewerView(SetReviewer, frozen=True, forbid_unknown_fields=True):
    """As the host sees it: with the `secret` under which the questions are signed, when it is a new one. That once."""

    secret: str = ""


class Gate:
    """The room's own word on what is to be said there, which comes before anybody's outside. `speak` asks for it;
    `pace` is how fast the author may write; `against` is what it has against the words, once that was asked.
    """

    def __init__(self, speak: Callable[[], Awaitable[Answer]], pace: Pace) -> None:
        self._speak = speak
        self.pace = pace
        self.against: Answer | None = None

    async def is_shut(self) -> bool:
        """Whether the room would not have the words just now, or has said them already. Where it kept them for an
        earlier try, nothing may be written of them yet: it is open.
        """
        answer = await self._speak()
        self.against = None if isinstance(answer, Welcome | Kept) else answer
        return self.against is not None


async def review(
    chat: Chat, show: str, message: Message, verdict: Hold | Refusal | None, gate: Gate
) -> Hold | Refusal | None:
    """What becomes of a message after the shop's reviewer has seen it, if it has one and the message is to be said.
    Where the gate is shut it is not, and what counts is what the gate has against it.
    """
    if message.by.standing is not Standing.VIEWER or isinstance(verdict, Refusal) or not is_asked(verdict):
        return verdict
    reviewer = await chat.reviewers.of(show)
    if reviewer is None:
        return verdict
    if await gate.is_shut():
        return REFUSED
    status = await chat.reviewers.ask(show, message, reviewer)
    decided = reviewed(verdict, status, reviewer.otherwise)
    if isinstance(decided, Refusal):
        # Who is turned down has had their turn: about nobody it is asked more often than they may write.
        await chat.rooms.pace(show, message.by.id, gate.pace)
    return decided


async def asks_outside(chat: Chat, show: str, standing: Standing) -> bool:
    """Whether somebody outside may be waited for before these people's words are said."""
    return standing is Standing.VIEWER and await chat.reviewers.of(show) is not None


async def view(chat: Chat, show: str) -> ReviewerView:
    """Whom the show's shop asks."""
    found = await read_reviewer(chat.pg, show)
    return ReviewerView() if found is None else ReviewerView(found.url, found.limit_ms, found.otherwise)


async def set_reviewer(chat: Chat, show: str, actor: Person, wanted: SetReviewer) -> ReviewerView | Refusal:
    """Asks somebody else from now on, or nobody. The secret stays as long as the same address is asked: who is at
    another may be somebody else.
    """
    refusal = chat.reviewers.way_out.refuse(wanted.url) if wanted.url else None
    if refusal is not None:
        return refusal
    detail = {"host": urlsplit(wanted.url).hostname, "limit_ms": wanted.limit_ms, "otherwise": wanted.otherwise}
    deed = Deed(show, who(actor), "review.set", detail=detail if wanted.url else {})
    secret, kept = chat.reviewers.way_out.new_secret(), ""
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        shop = await connection.fetchval(_SHOP, show)
        if wanted.url:
            said = (wanted.url, secret, wanted.limit_ms, wanted.otherwise.value)
            kept = await connection.fetchval(_WRITE, shop, *said)
        else:
            await connection.execute(_REMOVE, shop)
        number = await write_act(connection, deed)
    chat.reviewers.forget()
    await tell_act(chat, deed, number, clock.now_ms())
    return msgspec.structs.replace(await view(chat, show), secret=secret if kept == secret else "")


def endpoints(parts: Chat) -> list[Endpoint]:
    """Reading and choosing, for the host."""

    async def read(call: Call) -> Reply:
        return Reply(await view(parts, call.path["show"]))

    async def write(call: Call) -> Reply | Refusal:
        answer = await set_reviewer(parts, call.path["show"], call.signed_in, call.body)
        return answer if isinstance(answer, Refusal) else Reply(answer)

    path = "/api/shows/{show}/reviewer"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SHOW_HOST,
            action=read,
            summary="Who is asked outside about messages",
            answer=ReviewerView,
        ),
        Endpoint(
            method="PUT",
            path=path,
            right=Right.SHOW_HOST,
            action=write,
            summary="Choose who is asked outside about messages",
            body=SetReviewer,
            answer=ReviewerView,
        ),
    ]
