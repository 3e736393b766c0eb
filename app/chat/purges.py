"""Deleting all that one person said, or clearing the room: Postgres first, then the history of every worker."""

import msgspec

from app import clock
from app.chat import store
from app.chat.acts import Deed, tell_act
from app.chat.events import WORDS, ChatPurged, HeldDecided, Who, who
from app.chat.notices import unpin_gone
from app.chat.parts import Chat
from app.chat.questions import remove_of
from app.chat.targets import Account, find_target
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import staff_room


class DeleteOf(msgspec.Struct, frozen=True):
    """chat.delete_of"""  # noqa: D400, D415 - the command's name

    account: Account


class ClearRoom(msgspec.Struct, frozen=True):
    """chat.clear"""  # noqa: D400, D415 - the command's name


async def delete_of(chat: Chat, show: str, actor: Person, standing: Standing, account: str) -> Refusal | None:
    """Deletes all that a person said in the show, and what of theirs waits."""
    target = await find_target(chat, show, standing, account)
    if isinstance(target, Refusal):
        return target
    await purge(chat, show, actor, target)
    return None


async def purge(chat: Chat, show: str, actor: Person, target: Who | None) -> None:
    """Deletes all that the person, or everybody, said so far."""
    deed = Deed(show, who(actor), "chat.clear" if target is None else "message.delete_all", target)
    number, waited = await store.purge(chat.pg, show, target, deed)
    now_ms = clock.now_ms()
    account = None if target is None else target.id
    await chat.rooms.bury(show, account, WORDS, ChatPurged(target, who(actor), now_ms))
    await unpin_gone(chat, show, account=account, everything=target is None)
    await remove_of(chat, show, account)
    for listener in chat.words_listeners:
        await listener.gone(show, message=None, person=account)
    for message in waited:
        await chat.rooms.append(staff_room(show), HeldDecided(message, approved=False, by=who(actor)))
    await tell_act(chat, deed, number, now_ms)
