"""Messages that wait for a moderator: keeping, letting through, turning down.

What waits is in Postgres and in the staff room. Let through, it is spoken like any other message: it gets its offset
in the public room then, and a sanction that came meanwhile still counts.
"""

from typing import Final

import msgspec

from app import clock
from app.chat import held_store
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import Chat, Held, HeldDecided, who
from app.chat.held_store import Deciding
from app.chat.mode_rules import Hold
from app.chat.parts import Chat as ChatParts
from app.chat.targets import MessageId
from app.person import Person
from app.refusal import Refusal
from app.rooms.bus import Judged, Muted, Pace, Spoken, Warned, staff_room

RELEASE_PACE: Final = Pace(1, 1000, ":held")
"""The author kept the pace when they wrote it."""
RELEASED: Final = Judged(then="release")


class Decide(msgspec.Struct, frozen=True):
    """held.approve and held.deny"""  # noqa: D400, D415 - the commands' names

    message: MessageId


async def keep(chat: ChatParts, show: str, event: Chat, hold: Hold) -> None:
    """Has a message wait, and tells the staff; once, however often it is tried."""
    if await held_store.insert_held(chat.pg, show, event, hold):
        author = who(Person(event.by.id, event.by.name))
        held = Held(event.id, author, event.text, hold.why, hold.found, event.at)
        await chat.rooms.append(staff_room(show), held)


async def decide(chat: ChatParts, show: str, actor: Person, message: str, *, approved: bool) -> Refusal | None:
    """Lets a message through or turns it down. The same decision again changes nothing."""
    async with chat.moderating, held_store.deciding(chat.pg, show, message) as found:
        if found is None:
            return Refusal("not_found", "There is no such message.")
        if found.state != "waiting":
            same = found.state == ("approved" if approved else "denied")
            return None if same else Refusal("decided", f"This message was {found.state} already.")
        refusal = await release(chat, show, found) if approved else None
        if refusal is not None:
            return refusal
        act = "held.approve" if approved else "held.deny"
        deed = Deed(show, who(actor), act, found.held.by, message)
        await held_store.set_decided(found, actor.id, approved=approved)
        number = await write_act(found.connection, deed)
    await chat.rooms.append(staff_room(show), HeldDecided(message, approved, who(actor)))
    if found.held.why != "hidden" or (found.instead == "delay" and not approved):
        # Whose messages are hidden learns nothing of it, but of one that was not yet shown them.
        await chat.rooms.tell(show, found.held.by.id, HeldDecided(message, approved))
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def release(chat: ChatParts, show: str, found: Deciding) -> Refusal | None:
    """Says the message in the public room; once, as its id is the key."""
    author, message = found.held.by.id, found.held.id
    answer = await chat.rooms.speak(
        show, author, found.message, event_id=message, former_id=message, pace=RELEASE_PACE, judged=RELEASED
    )
    match answer:
        case Spoken():
            return None
        case Muted() | Warned():
            return Refusal("author_silenced", "Its author may not write just now.")
    return Refusal("overloaded", "The room takes no more messages just now.", 2000)
