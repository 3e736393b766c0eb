"""Carries what was said from the rooms to Postgres, in groups. Owns the carrying, at least once; rows come once.

A message that was deleted before it was carried has a row without text already, and keeps that. One that Postgres
cannot take for what is in it is set aside, so that it holds up nobody: neither its neighbours nor the role.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import msgspec
import structlog

from app.chat import store
from app.chat.events import Chat as ChatEvent
from app.chat.parts import Chat
from app.outage import is_outage
from app.storage.loops import Loop

COPY_PERIOD_S: Final = 0.25
GROUP_MAX: Final = 500
UNFIT: Final = (
    asyncpg.DataError,  # a value that no column takes, says the server, or the driver before it
    asyncpg.IntegrityConstraintViolationError,
    ValueError,  # no such moment, no such number
    OverflowError,
    msgspec.DecodeError,  # no message
)
"""What a message can be guilty of. Anything else is ours, and rises."""

log = structlog.get_logger()


async def copy_all(chat: Chat) -> int:
    """Carries everything that waits now; how many messages that were."""
    count = 0
    for room in await chat.copies.rooms():
        while waiting := await chat.copies.waiting(room):
            unfit = await _carry(chat, room, list(waiting.items()))
            for field, error in unfit.items():
                await chat.copies.set_aside(room, field, waiting[field])
                log.error("chat.copy_set_aside", room=room, field=field, error=type(error).__name__)
            await chat.copies.carried(room, list(waiting))
            count += len(waiting) - len(unfit)
            if len(waiting) < GROUP_MAX:
                break
    await chat.copies.forget_closed()
    return count


async def _carry(chat: Chat, room: str, waiting: Sequence[tuple[str, bytes]]) -> Mapping[str, Exception]:
    """Writes the messages; those that cannot be written by what is wrong with them. Halves until each is alone."""
    try:
        await store.insert_messages(chat.pg, [_copy(room, field, event) for field, event in waiting])
    except UNFIT as error:
        if is_outage(error):
            raise
        if len(waiting) == 1:
            return {waiting[0][0]: error}
        half = len(waiting) // 2
        return {**await _carry(chat, room, waiting[:half]), **await _carry(chat, room, waiting[half:])}
    return {}


def _copy(room: str, field: str, event: bytes) -> store.Copy:
    epoch, _, offset = field.partition(":")
    return store.Copy(room, epoch, int(offset), msgspec.json.decode(event, type=ChatEvent))


def copy_loop(chat: Chat) -> Loop:
    """The worker role's part."""

    async def run() -> None:
        await copy_all(chat)

    return Loop("chat copy", COPY_PERIOD_S, run)
