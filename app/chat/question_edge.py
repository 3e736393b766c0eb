"""The commands of questions: everybody who is signed in asks and votes, the staff see to them."""

from functools import partial
from typing import Any

from app.chat import questions
from app.chat.parts import Chat
from app.chat.questions import Answer, Ask, TakeUp, Vote
from app.chat.reviewing import asks_outside
from app.chat.talk_edge import signed_in
from app.person import Right
from app.rooms.command import Command, Later, Order


def commands(parts: Chat) -> list[Command]:
    """What a room's socket can do with questions."""

    async def ask(order: Order) -> Any:
        return Later(partial(put, order)) if await asks_outside(parts, order.show, order.standing) else await put(order)

    async def put(order: Order) -> Any:
        person, standing = signed_in(order), order.standing
        asked = {"text": order.body.text, "key": order.id, "now_ms": order.now_ms, "address": order.address}
        return await questions.ask(parts, order.show, person, standing, **asked)

    async def vote(order: Order) -> Any:
        return await questions.vote(parts, order.show, signed_in(order), order.body)

    async def take(order: Order) -> Any:
        return await questions.take(parts, order.show, order.body.question)

    async def answer(order: Order) -> Any:
        return await questions.answer(parts, order.show, signed_in(order), order.body)

    async def let_through(order: Order) -> Any:
        return await questions.let_through(parts, order.show, signed_in(order), order.body.question)

    async def remove(order: Order) -> Any:
        return await questions.remove(parts, order.show, signed_in(order), order.standing, order.body.question)

    return [
        Command(op="question.ask", right=Right.SIGNED_IN, body=Ask, action=ask),
        Command(op="question.vote", right=Right.SIGNED_IN, body=Vote, action=vote),
        Command(op="question.take", right=Right.SHOW_STAFF, body=TakeUp, action=take),
        Command(op="question.answer", right=Right.SHOW_STAFF, body=Answer, action=answer),
        Command(op="question.let", right=Right.SHOW_STAFF, body=TakeUp, action=let_through),
        Command(op="question.remove", right=Right.SHOW_STAFF, body=TakeUp, action=remove),
    ]
