"""The doors of comment to buy: its switch and its keywords. Decodes and views; decides nothing."""

from typing import Annotated

import msgspec

from app.flash_sales import comment_store
from app.flash_sales.comment_rules import KEYWORD_LENGTH_MAX, KEYWORDS_MAX
from app.flash_sales.comment_store import Buying
from app.flash_sales.comments import set_buying
from app.flash_sales.holds import Name
from app.flash_sales.parts import FlashSales
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

Keyword = Annotated[str, msgspec.Meta(min_length=1, max_length=4 * KEYWORD_LENGTH_MAX)]


class SetBuying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT …/comment-buying: `keywords` from a word to a variant."""

    on: bool
    keywords: Annotated[dict[Keyword, Name], msgspec.Meta(max_length=KEYWORDS_MAX)] = {}


def endpoints(parts: FlashSales) -> list[Endpoint]:
    """The routes of comment to buy."""

    async def read(call: Call) -> Reply | Refusal:
        _, buying = await comment_store.read_buying(parts.pg, call.path["show"])
        return Reply(buying)

    async def write(call: Call) -> Reply | Refusal:
        wanted: SetBuying = call.body
        answer = await set_buying(parts, call.path["show"], Buying(wanted.on, wanted.keywords))
        return answer if isinstance(answer, Refusal) else Reply(answer)

    path = "/api/shows/{show}/comment-buying"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SHOW_HOST,
            action=read,
            summary="Whether comments buy in the show, and the keywords",
            answer=Buying,
        ),
        Endpoint(
            method="PUT",
            path=path,
            right=Right.SHOW_HOST,
            action=write,
            summary="Let comments buy, or not, and set the keywords",
            body=SetBuying,
            answer=Buying,
        ),
    ]
