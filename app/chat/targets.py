"""Finding the person whom an act of moderation is about, if this actor may act on them. Owns the refusals of that."""

from typing import Annotated

from msgspec import Meta

from app.accounts.standing import standing as standing_of
from app.chat.events import Who
from app.chat.moderation_rules import REASON_LENGTH_MAX, may_silence
from app.chat.parts import Chat
from app.chat.sanctions import name_of
from app.person import Person, Standing
from app.refusal import Refusal

Account = Annotated[str, Meta(min_length=1, max_length=64)]
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
Reason = Annotated[str, Meta(max_length=REASON_LENGTH_MAX)]


async def find_target(chat: Chat, show: str, actor: Standing, account: str) -> Who | Refusal:
    """The person to act on. Only who stands higher acts on them."""
    name = await name_of(chat.pg, account)
    theirs = await standing_of(chat.pg, show, Person(account, name or ""))
    if name is None or theirs is None:
        return Refusal("not_found", "There is no such person.")
    if not may_silence(actor, theirs):
        return Refusal("forbidden", f"You cannot do that to a {theirs.value} of this show.")
    return Who(account, name)
