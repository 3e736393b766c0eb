"""Carries what was said from the rooms to Postgres, in groups. Owns the carrying, at least once; rows come once.

A message that was deleted before it was carried has a row without text already, and keeps that.
"""

from typing import Final

import msgspec

from app.chat import store
from app.chat.events import Chat as ChatEvent
from app.chat.parts import Chat
from app.storage.loops import Loop

COPY_PERIOD_S: Final = 0.25
GROUP_MAX: Final = 500


async def copy_all(chat: Chat) -> int:
    """Carries everything that waits now; how many messages that were."""
    count = 0
    for room in await chat.copies.rooms():
        while waiting := await chat.copies.waiting(room):
            await store.insert_messages(chat.pg, [_copy(room, field, event) for field, event in waiting.items()])
            await chat.copies.carried(room, list(waiting))
            count += len(waiting)
            if len(waiting) < GROUP_MAX:
                break
    await chat.copies.forget_closed()
    return count


def _copy(room: str, field: str, event: bytes) -> store.Copy:
    epoch, _, offset = field.partition(":")
    return store.Copy(room, epoch, int(offset), msgspec.json.decode(event, type=ChatEvent))


def copy_loop(chat: Chat) -> Loop:
    """The worker role's part."""

    async def run() -> None:
        await copy_all(chat)

    return Loop("chat copy", COPY_PERIOD_S, run)
