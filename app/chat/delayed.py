"""Messages that the staff see at once and viewers a few seconds later: letting out those whose time has come, and
taking away one before anybody else has seen it.

They wait beside those that a filter held, and are spoken under the same locks: a message is let out or taken away.
"""

from typing import Final

from app import clock
from app.chat import held_store
from app.chat.acts import Deed, tell_act, write_act
from app.chat.answers import answer
from app.chat.events import HeldDecided, who
from app.chat.held import release
from app.chat.held_store import Deciding
from app.chat.parts import Chat
from app.person import Person
from app.refusal import Refusal
from app.rooms.bus import staff_room, warned
from app.storage.loops import Loop

RELEASE_PERIOD_S: Final = 0.25
DELAY: Final = "delay"
HIDDEN: Final = "hidden"
SPOILT: Final = Refusal("author_silenced", "Its author was silenced, or it was deleted, before it was said.")


async def release_due(chat: Chat) -> int:
    """Says those whose time has come, each room's in their order; how many. What was written by somebody who was
    silenced, or deleted, since then is never said. What a room takes no more of now waits on, and the others go on.
    """
    full: set[str] = set()
    count = 0
    while True:
        decided, found = await _release_some(chat, full)
        count += decided
        if found < held_store.DUE_MAX:
            return count


async def _release_some(chat: Chat, full: set[str]) -> tuple[int, int]:
    """How many were decided on, and how many there were. Adds to `full` the rooms that take no more."""
    done: list[tuple[str, Deciding, bool]] = []
    async with chat.moderating, held_store.due(chat.pg, full) as due:
        for show, one in due:
            if show in full:
                continue
            refusal = SPOILT if one.spoilt else await _say(chat, show, one)
            if refusal is not None and refusal.code != "author_silenced":
                full.add(show)
                continue
            if refusal is None and one.instead == DELAY:
                await held_store.set_shown(one)
            else:
                await held_store.set_decided(one, None, approved=refusal is None)
            done.append((show, one, refusal is None))
    for show, one, said in done:
        await _tell(chat, show, one, said=said)
    return len(done), len(due)


async def _say(chat: Chat, show: str, one: Deciding) -> Refusal | None:
    """Says it in the room; when it is hidden, only looks whether it would be said."""
    if one.held.why != HIDDEN:
        return await release(chat, show, one)
    author = one.held.by.id
    silenced = [await chat.rooms.sanction_of(show, name) for name in (author, warned(author))]
    return None if silenced == [None, None] else SPOILT


async def _tell(chat: Chat, show: str, one: Deciding, *, said: bool) -> None:
    if said and one.held.why == HIDDEN:
        return await chat.rooms.tell(show, one.held.by.id, one.message)
    await chat.rooms.append(staff_room(show), HeldDecided(one.held.id, said))
    if said:
        return await answer(chat, show, one.held.id, one.held.text, clock.now_ms())
    return await chat.rooms.tell(show, one.held.by.id, HeldDecided(one.held.id, approved=False))


async def take_away(chat: Chat, show: str, actor: Person, message: str) -> bool:
    """Takes a message away that viewers have not seen; False when it is none of those."""
    async with chat.moderating, held_store.deciding(chat.pg, show, message) as found:
        if found is None or found.held.why not in {DELAY, HIDDEN} or found.state != "waiting":
            return found is not None and found.held.why in {DELAY, HIDDEN} and found.state == "denied"
        deed = Deed(show, who(actor), "message.delete", found.held.by, message)
        await held_store.set_decided(found, actor.id, approved=False)
        number = await write_act(found.connection, deed)
    await chat.rooms.append(staff_room(show), HeldDecided(message, approved=False, by=who(actor)))
    if DELAY in {found.held.why, found.instead}:  # whose messages are hidden learns nothing of it, once it was shown
        await chat.rooms.tell(show, found.held.by.id, HeldDecided(message, approved=False))
    for listener in chat.words_listeners:
        await listener.gone(show, message=message, person=None)
    await tell_act(chat, deed, number, clock.now_ms())
    return True


def delayed_loop(chat: Chat) -> Loop:
    """The worker role's part."""

    async def run() -> None:
        await release_due(chat)

    return Loop("chat delay", RELEASE_PERIOD_S, run)
