"""The doors of polls: commands of the room's socket, and over HTTP all polls of a show with their results."""

from typing import Any

import msgspec

from app.chat import polls
from app.chat.parts import Chat
from app.chat.poll_store import Poll, results
from app.chat.polls import AnswerPoll, EndPoll, StartPoll
from app.chat.talk_edge import signed_in
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.rooms.command import Command, Order


class Polls(msgspec.Struct, frozen=True):
    """The polls of a show, the last one first."""

    polls: list[Poll]


def commands(parts: Chat) -> list[Command]:
    """What a room's socket can do with polls."""

    async def poll_start(order: Order) -> Any:
        return await polls.start(parts, order.show, signed_in(order), order.body, key=order.id, now_ms=order.now_ms)

    async def poll_end(order: Order) -> Any:
        return await polls.end(parts, order.show, signed_in(order), order.body.poll)

    async def poll_answer(order: Order) -> Any:
        return await polls.answer(parts, order.show, signed_in(order), order.body)

    return [
        Command(op="poll.start", right=Right.SHOW_STAFF, body=StartPoll, action=poll_start),
        Command(op="poll.end", right=Right.SHOW_STAFF, body=EndPoll, action=poll_end),
        Command(op="poll.answer", right=Right.SIGNED_IN, body=AnswerPoll, action=poll_answer),
    ]


def endpoints(parts: Chat) -> list[Endpoint]:
    """The results, for everybody, also when the show is over."""

    async def list_polls(call: Call) -> Reply:
        return Reply(Polls(await results(parts.pg, call.path["show"])))

    return [
        Endpoint(
            method="GET",
            path="/api/shows/{show}/polls",
            right=Right.ANYONE,
            action=list_polls,
            summary="The polls of a show and their results",
            answer=Polls,
        )
    ]
