"""Announcements that run under a show's picture, one after the other: the state key `ticker`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import who
from app.chat.list_rules import TICKER, clean_list
from app.chat.parts import Chat
from app.person import Person
from app.refusal import Refusal

_Line = Annotated[str, Meta(max_length=2000)]


class SetTicker(msgspec.Struct, frozen=True):
    """ticker.set: all announcements, as they are to be; none: nothing is announced."""

    lines: Annotated[list[_Line], Meta(max_length=TICKER.texts * 4)]


async def set_ticker(chat: Chat, show: str, actor: Person, wanted: SetTicker, *, undoes: int = 0) -> Refusal | None:
    """Announces these; what is already so is no change."""
    lines = clean_list(wanted.lines, TICKER)
    if isinstance(lines, Refusal):
        return lines
    async with chat.moderating, chat.rulebooks.changing(show) as change:
        if change.before.ticker == lines:
            return None
        detail = {"before": list(change.before.ticker), "after": list(lines)}
        deed = Deed(show, who(actor), "ticker.set", detail=detail, undoes=undoes)
        await change.write(ticker=lines)
        number = await write_act(change.connection, deed)
    await tell_act(chat, deed, number, clock.now_ms())
    return None
