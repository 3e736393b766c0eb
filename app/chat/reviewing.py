"""Asking somebody outside about what is about to be said, and choosing whom. Owns the writing of the table reviewers.

One signed POST a message, whose status is the answer. It goes out by the way that webhooks take, which leads to no
private address; where no answer comes in time the shop's own choice for that counts. The staff are not reviewed, nor is
what waits for a moderator anyway.
"""

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
from app.chat.review_rules import LimitMs, Outcome, is_asked, reviewed
from app.chat.reviewers import read_reviewer
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right, Standing
from app.refusal import Refusal

URL_LENGTH_MAX: Final = 2048

_SHOP: Final = "SELECT shop_id FROM shows WHERE id = $1"
_WRITE: Final = """
INSERT INTO reviewers (shop_id, url, secret, limit_ms, otherwise) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (shop_id) DO UPDATE SET url = excluded.url, limit_ms = excluded.limit_ms, otherwise = excluded.otherwise
"""
_REMOVE: Final = "DELETE FROM reviewers WHERE shop_id = $1"


class SetReviewer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to ask from now on; without a `url` nobody."""

    url: Annotated[str, Meta(max_length=URL_LENGTH_MAX)] = ""
    limit_ms: LimitMs = 1000
    otherwise: Outcome = Outcome.HOLD


class ReviewerView(SetReviewer, frozen=True, forbid_unknown_fields=True):
    """As the host sees it: with the `secret` under which the questions are signed."""

    secret: str = ""


async def review(chat: Chat, show: str, message: Message, verdict: Hold | Refusal | None) -> Hold | Refusal | None:
    """What becomes of a message after the shop's reviewer has seen it, if it has one and the message is to be said."""
    if message.by.standing is not Standing.VIEWER or isinstance(verdict, Refusal) or not is_asked(verdict):
        return verdict
    reviewer = await chat.reviewers.of(show)
    if reviewer is None:
        return verdict
    status = await chat.reviewers.ask(show, message, reviewer)
    return reviewed(verdict, status, reviewer.otherwise)


async def view(chat: Chat, show: str) -> ReviewerView:
    """Whom the show's shop asks."""
    found = await read_reviewer(chat.pg, show)
    return ReviewerView() if found is None else ReviewerView(found.url, found.limit_ms, found.otherwise, found.secret)


async def set_reviewer(chat: Chat, show: str, actor: Person, wanted: SetReviewer) -> ReviewerView | Refusal:
    """Asks somebody else from now on, or nobody. The secret stays as long as somebody is asked."""
    refusal = chat.reviewers.way_out.refuse(wanted.url) if wanted.url else None
    if refusal is not None:
        return refusal
    detail = {"host": urlsplit(wanted.url).hostname, "limit_ms": wanted.limit_ms, "otherwise": wanted.otherwise}
    deed = Deed(show, who(actor), "review.set", detail=detail if wanted.url else {})
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        shop = await connection.fetchval(_SHOP, show)
        if wanted.url:
            secret = chat.reviewers.way_out.new_secret()
            await connection.execute(_WRITE, shop, wanted.url, secret, wanted.limit_ms, wanted.otherwise.value)
        else:
            await connection.execute(_REMOVE, shop)
        number = await write_act(connection, deed)
    chat.reviewers.forget()
    await tell_act(chat, deed, number, clock.now_ms())
    return await view(chat, show)


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
