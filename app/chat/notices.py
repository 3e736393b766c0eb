"""What is pinned to the chat: a notice in the staff's own words, or somebody's message. Never outlives its message."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Chat, Who, who
from app.chat.parts import Chat as ChatParts
from app.chat.rulebooks import Notice, read_room
from app.chat.targets import MessageId
from app.chat.text_rules import clean_message
from app.person import Person
from app.refusal import Refusal


class SetNotice(msgspec.Struct, frozen=True):
    """notice.set: own words, or a message's id."""

    text: Annotated[str, Meta(max_length=2000)] | None = None
    message: MessageId | None = None


class ClearNotice(msgspec.Struct, frozen=True):
    """notice.clear"""  # noqa: D400, D415 - the command's name


def written(text: str, actor: Person, now_ms: int) -> Notice | Refusal:
    """A notice in the staff's words."""
    clean = clean_message(text)
    return clean if isinstance(clean, Refusal) else Notice(clean, actor.name, now_ms)


def pinned(message: Chat, actor: Person, now_ms: int) -> Notice:
    """A notice that is somebody's message."""
    return Notice(message.text, actor.name, now_ms, message.id, message.by.name, message.by.id)


async def set_notice(
    chat: ChatParts, show: str, actor: Person, notice: Notice | None, now_ms: int, *, undoes: int = 0
) -> None:
    """Pins the notice in the place of any other; None takes away what is there."""
    target = None if notice is None or notice.author_id is None else Who(notice.author_id, notice.author or "")
    act = "notice.clear" if notice is None else "notice.set"
    async with chat.moderating, chat.rulebooks.changing(show) as change:
        if change.before.notice is None and notice is None:
            return
        before = None if change.before.notice is None else msgspec.to_builtins(change.before.notice)
        message = None if notice is None else notice.message
        deed = Deed(show, who(actor), act, target, message, detail={"before": _safe(before)}, undoes=undoes)
        await change.write(notice=notice)
        number = await write_act(change.connection, deed)
    await tell_act(chat, deed, number, now_ms)


def _safe(before: dict[str, object] | None) -> dict[str, object] | None:
    """What the log keeps of a notice: of somebody's message not the text, which may have to go one day."""
    return before if before is None or before["message"] is None else {**before, "text": ""}


async def unpin_gone(
    chat: ChatParts, show: str, *, message: str | None = None, account: str | None = None, everything: bool = False
) -> None:
    """Takes the pinned message away when it is the one that was deleted, or of the person whose messages were."""
    notice = (await read_room(chat.pg, show)).notice
    if notice is None or notice.message is None:
        return
    if everything or notice.message == message or (account is not None and notice.author_id == account):
        async with chat.rulebooks.changing(show) as change:
            await change.write(notice=None)
