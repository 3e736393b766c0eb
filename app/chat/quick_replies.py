"""What a shop's staff say again and again, kept for all its shows. Owns the table quick_replies.

The host writes them, the staff of every show read them; sending one is an ordinary message.
"""

from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import who
from app.chat.list_rules import REPLIES, clean_list
from app.chat.parts import Chat
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right
from app.refusal import Refusal

_READ: Final = """
SELECT q.replies FROM quick_replies q JOIN shows s ON s.shop_id = q.shop_id WHERE s.id = $1
"""
# The row is locked from here on.
_MAKE: Final = """
INSERT INTO quick_replies (shop_id, replies) SELECT shop_id, '{}' FROM shows WHERE id = $1
ON CONFLICT (shop_id) DO UPDATE SET replies = quick_replies.replies RETURNING replies
"""
_WRITE: Final = "UPDATE quick_replies SET replies = $2 WHERE shop_id = (SELECT shop_id FROM shows WHERE id = $1)"

_Text = Annotated[str, Meta(max_length=4000)]


class QuickReplies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a shop's, in the host's order."""

    replies: Annotated[list[_Text], Meta(max_length=REPLIES.texts * 2)]


async def read_replies(pg: asyncpg.Pool, show: str) -> list[str]:
    """Those of the show's shop."""
    return await pg.fetchval(_READ, show) or []


async def set_replies(
    chat: Chat, show: str, actor: Person, wanted: QuickReplies, *, undoes: int = 0
) -> QuickReplies | Refusal:
    """Replaces them; what is already so is no change."""
    replies = clean_list(wanted.replies, REPLIES)
    if isinstance(replies, Refusal):
        return replies
    async with chat.moderating, chat.pg.acquire() as connection, connection.transaction():
        before = await connection.fetchval(_MAKE, show)
        deed = Deed(show, who(actor), "replies.set", detail={"before": before, "after": list(replies)}, undoes=undoes)
        number = await _write(connection, deed, replies) if before != list(replies) else 0
    if number:
        await tell_act(chat, deed, number, clock.now_ms())
    return QuickReplies(list(replies))


async def _write(connection: Any, deed: Deed, replies: tuple[str, ...]) -> int:
    await connection.execute(_WRITE, deed.show, list(replies))
    return await write_act(connection, deed)


def endpoints(parts: Chat) -> list[Endpoint]:
    """Reading for the staff, writing for the host."""

    async def read(call: Call) -> Reply:
        return Reply(QuickReplies(await read_replies(parts.pg, call.path["show"])))

    async def write(call: Call) -> Reply | Refusal:
        answer = await set_replies(parts, call.path["show"], call.signed_in, call.body)
        return answer if isinstance(answer, Refusal) else Reply(answer)

    path = "/api/shows/{show}/quick-replies"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SHOW_STAFF,
            action=read,
            summary="What the staff say again and again",
            answer=QuickReplies,
        ),
        Endpoint(
            method="PUT",
            path=path,
            right=Right.SHOW_HOST,
            action=write,
            summary="Write what the staff say again and again",
            body=QuickReplies,
            answer=QuickReplies,
        ),
    ]
