"""The doors of chat: commands of the room's socket, their HTTP twins for staff, and the loop of the worker role."""

from typing import Any

import msgspec

from app.accounts.standing import standing as standing_of
from app.chat import store
from app.chat.agreement import agreement_loop
from app.chat.copy import copy_loop
from app.chat.events import Who
from app.chat.messages import Delete, Post, delete, post
from app.chat.parts import Chat
from app.chat.reactions import React, reactions_loop
from app.chat.timeouts import EndTimeout, SetTimeout, TimedOut, end_timeout, set_timeout
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Person, Right, Standing
from app.refusal import Refusal
from app.rooms.command import Command, Order
from app.storage.loops import Loop

ACTS_MAX = 200


class ActView(msgspec.Struct, frozen=True):
    """One act of moderation, newest first in lists."""

    n: int
    act: str
    actor: Who
    target: Who | None
    message: str | None
    detail: dict[str, Any]
    at_ms: int


class Acts(msgspec.Struct, frozen=True):
    """A show's last acts."""

    acts: list[ActView]


def commands(parts: Chat) -> list[Command]:
    """What a room's socket can do with chat."""

    async def chat_post(order: Order) -> Any:
        person = _signed_in(order)
        return await post(
            parts, order.show, person, order.standing, text=order.body.text, key=order.id, now_ms=order.now_ms
        )

    async def chat_delete(order: Order) -> Any:
        return await delete(parts, order.show, _signed_in(order), order.standing, order.body.message)

    async def timeout_set(order: Order) -> Any:
        return await set_timeout(parts, order.show, _signed_in(order), order.standing, order.body)

    async def timeout_end(order: Order) -> Any:
        return await end_timeout(parts, order.show, _signed_in(order), order.standing, order.body.account)

    async def reaction_add(order: Order) -> None:
        parts.reactions.add(order.show, order.body.kind)

    return [
        Command(op="chat.post", right=Right.SIGNED_IN, body=Post, action=chat_post),
        Command(op="chat.delete", right=Right.SHOW_STAFF, body=Delete, action=chat_delete),
        Command(op="timeout.set", right=Right.SHOW_STAFF, body=SetTimeout, action=timeout_set),
        Command(op="timeout.end", right=Right.SHOW_STAFF, body=EndTimeout, action=timeout_end),
        Command(op="reaction.add", right=Right.SIGNED_IN, body=React, action=reaction_add),
    ]


def _signed_in(order: Order) -> Person:
    assert order.person is not None, order.id
    return order.person


def endpoints(parts: Chat) -> list[Endpoint]:
    """The moderation routes."""

    async def staff_standing(call: Call) -> Standing:
        return await standing_of(parts.pg, call.path["show"], call.signed_in) or Standing.VIEWER

    async def delete_message(call: Call) -> Reply | Refusal:
        show, message = call.path["show"], call.path["message"]
        refusal = await delete(parts, show, call.signed_in, await staff_standing(call), message)
        return refusal or Reply(status=204)

    async def add_timeout(call: Call) -> Reply | Refusal:
        answer = await set_timeout(parts, call.path["show"], call.signed_in, await staff_standing(call), call.body)
        return answer if isinstance(answer, Refusal) else Reply(answer, status=201)

    async def delete_timeout(call: Call) -> Reply | Refusal:
        show, account = call.path["show"], call.path["account"]
        refusal = await end_timeout(parts, show, call.signed_in, await staff_standing(call), account)
        return refusal or Reply(status=204)

    async def list_acts(call: Call) -> Reply | Refusal:
        rows = await store.acts_of(parts.pg, call.path["show"], ACTS_MAX)
        return Reply(Acts([_act_view(row) for row in rows]))

    base = "/api/shows/{show}/moderation"
    return [
        Endpoint(
            method="DELETE",
            path=base + "/messages/{message}",
            right=Right.SHOW_STAFF,
            action=delete_message,
            summary="Delete a message",
        ),
        Endpoint(
            method="POST",
            path=base + "/timeouts",
            right=Right.SHOW_STAFF,
            action=add_timeout,
            summary="Time a person out",
            body=SetTimeout,
            answer=TimedOut,
        ),
        Endpoint(
            method="DELETE",
            path=base + "/timeouts/{account}",
            right=Right.SHOW_STAFF,
            action=delete_timeout,
            summary="Let a person write again",
        ),
        Endpoint(
            method="GET",
            path=base + "/acts",
            right=Right.SHOW_STAFF,
            action=list_acts,
            summary="Who did what to whom",
            answer=Acts,
        ),
    ]


def _act_view(row: Any) -> ActView:
    target = None if row["target_account_id"] is None else Who(row["target_account_id"], row["target_name"])
    return ActView(
        n=row["n"],
        act=row["act"],
        actor=Who(row["actor_id"], row["actor_name"]),
        target=target,
        message=row["target_message_id"],
        detail=row["detail"],
        at_ms=store.unix_ms(row["at"]),
    )


def loops(parts: Chat) -> list[Loop]:
    """The copying of messages to Postgres, the telling of sanctions that rooms missed, and the saying of reactions."""
    return [copy_loop(parts), agreement_loop(parts), reactions_loop(parts.rooms, parts.reactions)]
