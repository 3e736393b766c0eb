"""What everybody can do in a room: write, answer, report, react. Commands of the room's socket."""

from functools import partial
from typing import Any

from app.chat import held_store
from app.chat.answers import answer
from app.chat.evasion import look
from app.chat.messages import Post, Posted, Unseen, find_said, post
from app.chat.parts import Chat, Heard
from app.chat.reactions import React
from app.chat.reports import MakeReport, report
from app.chat.reviewing import asks_outside
from app.chat.text_rules import clean_message
from app.chat.warnings import AcceptWarning, accept_warning
from app.person import Person, Right, Standing
from app.refusal import Refusal
from app.rooms.command import Command, Later, Order


def commands(parts: Chat) -> list[Command]:
    """The commands of those who are signed in."""

    async def chat_post(order: Order) -> Any:
        return Later(partial(say, order)) if await asks_outside(parts, order.show, order.standing) else await say(order)

    async def say(order: Order) -> Any:
        body = order.body
        posted = await post(
            parts,
            order.show,
            signed_in(order),
            order.standing,
            text=body.text,
            key=order.id,
            now_ms=order.now_ms,
            re=body.re,
            address=order.address,
        )
        if isinstance(posted, Posted) and order.standing is Standing.VIEWER:
            await look(parts, order.show, signed_in(order))
        if isinstance(posted, Posted) and _is_heard(posted) and order.standing is Standing.VIEWER:
            await _tell_listeners(parts, order, posted.message)
            if posted.o is not None and not isinstance(posted, Unseen):
                await answer(parts, order.show, posted.message, order.body.text, order.now_ms)
        return posted

    async def chat_report(order: Order) -> Any:
        message = await find_said(parts, order.show, order.body.message)
        if message is None:
            return Refusal("not_found", "There is no such message.")
        return await report(parts, order.show, signed_in(order), message, order.body.reason)

    async def warning_accept(order: Order) -> Any:
        return {"next": await accept_warning(parts, order.show, signed_in(order), order.body.warning)}

    async def reaction_add(order: Order) -> None:
        parts.reactions.add(order.show, order.body.kind)

    return [
        Command(op="chat.post", right=Right.SIGNED_IN, body=Post, action=chat_post),
        Command(op="chat.report", right=Right.SIGNED_IN, body=MakeReport, action=chat_report),
        Command(op="warning.accept", right=Right.SIGNED_IN, body=AcceptWarning, action=warning_accept),
        Command(op="reaction.add", right=Right.SIGNED_IN, body=React, action=reaction_add),
    ]


def _is_heard(posted: Posted) -> bool:
    """Whether the words count already: said, or on their way without anybody's doing."""
    return posted.o is not None or posted.delay_ms is not None


async def _tell_listeners(parts: Chat, order: Order, message: str) -> None:
    async def is_there() -> bool:
        said = await find_said(parts, order.show, message)
        return said is not None or await held_store.comes(parts.pg, order.show, message)

    text = clean_message(order.body.text)
    assert isinstance(text, str), message
    heard = Heard(order.show, signed_in(order).id, message, text, order.address, is_there)
    for listener in parts.words_listeners:
        await listener.said(heard)


def signed_in(order: Order) -> Person:
    """The person of a command whose right is SIGNED_IN or more."""
    assert order.person is not None, order.id
    return order.person
