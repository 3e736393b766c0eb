"""Messages that the staff see at once and viewers a few seconds later: letting out those whose time has come, and
taking away one before anybody else has seen it.

They wait beside those that a filter held, and are spoken under the same locks: a message is let out or taken away.
"""

from typing import Final

from app import clock
from app.chat import held_store
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Held, HeldDecided, who
from app.chat.held import release
from app.chat.parts import Chat
from app.person import Person
from app.refusal import Refusal
from app.rooms.bus import staff_room
from app.storage.loops import Loop

RELEASE_PERIOD_S: Final = 0.25
DELAY: Final = "delay"
HIDDEN: Final = "hidden"
SPOILT: Final = Refusal("author_silenced", "Its author was silenced, or it was deleted, before it was said.")


async def release_due(chat: Chat) -> int:
    """Says those whose time has come, in their order; how many. What was written by somebody who was silenced, or
    deleted, since then is never said.
    """
    async with chat.moderating, held_store.due(chat.pg) as due:
        let_out: list[tuple[str, Held, bool]] = []
        for show, one in due:
            refusal = SPOILT if one.spoilt else await release(chat, show, one)
            if refusal is not None and refusal.code != "author_silenced":
                break  # the room takes no more now
            await held_store.set_decided(one, None, approved=refusal is None)
            let_out.append((show, one.held, refusal is None))
    for show, held, said in let_out:
        await chat.rooms.append(staff_room(show), HeldDecided(held.id, said))
        if not said:
            await chat.rooms.tell(show, held.by.id, HeldDecided(held.id, approved=False))
    return len(let_out)


async def take_away(chat: Chat, show: str, actor: Person, message: str) -> bool:
    """Takes a message away that viewers have not seen; False when it is none of those."""
    async with chat.moderating, held_store.deciding(chat.pg, show, message) as found:
        if found is None or found.held.why not in {DELAY, HIDDEN} or found.state != "waiting":
            return found is not None and found.held.why in {DELAY, HIDDEN} and found.state == "denied"
        deed = Deed(show, who(actor), "message.delete", found.held.by, message)
        await held_store.set_decided(found, actor.id, approved=False)
        number = await write_act(found.connection, deed)
    await chat.rooms.append(staff_room(show), HeldDecided(message, approved=False, by=who(actor)))
    if found.held.why == DELAY:  # whose messages are hidden learns nothing of it
        await chat.rooms.tell(show, found.held.by.id, HeldDecided(message, approved=False))
    for listener in chat.words_listeners:
        await listener.gone(show, message=message, person=None)
    await tell_act(chat, deed, number, clock.now_ms())
    return True


def delayed_loop(chat: Chat) -> Loop:
    """The worker role's part."""

    async def run() -> None:
        while await release_due(chat) == held_store.DUE_MAX:
            pass

    return Loop("chat delay", RELEASE_PERIOD_S, run)
