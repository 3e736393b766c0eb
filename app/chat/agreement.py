"""Makes open rooms agree with Postgres on who may not write: owns the comparing, and what is done where they differ.

A moderator's act reaches Postgres first. When Valkey is away just then, or the process dies in between, the room does
not know, and nobody may repeat the act; this loop tells the room. It decides nothing: what Postgres says counts.
"""

from collections.abc import Mapping
from typing import Final

import structlog

from app import clock
from app.chat import sanctions
from app.chat.events import Ban, Timeout, TimeoutEnded, TimeoutHint, Who
from app.chat.parts import Chat
from app.rooms.bus import warned
from app.storage.loops import Loop

AGREE_PERIOD_S: Final = 1.0
NEARLY_OVER_MS: Final = 5_000
"""Nobody is let back before the time for so little, as three clocks tell the time."""

log = structlog.get_logger()


async def agree_all(chat: Chat) -> int:
    """Compares every open room with Postgres; of how many persons a room had to be told."""
    shows = await chat.copies.rooms()
    copies = await chat.rooms.silenced(shows)
    truth = await sanctions.sanctions_in(chat.pg, shows)
    told = 0
    for show, copy in zip(shows, copies, strict=True):
        if copy is not None:  # a closed room asks Postgres itself when it opens
            for person in _differing(truth.get(show, {}), copy, clock.now_ms()):
                told += await _agree(chat, show, person)
    return told


def _differing(truth: Mapping[str, int | None], copy: Mapping[str, int | None], now_ms: int) -> list[str]:
    """The persons of whom the room says something else than Postgres, as far as it matters."""
    over_ms = now_ms + NEARLY_OVER_MS
    wrong = [person for person, until_ms in truth.items() if person not in copy or copy[person] != until_ms]
    lifted = [person for person in copy if person not in truth and (copy[person] or over_ms + 1) > over_ms]
    return wrong + lifted


async def _agree(chat: Chat, show: str, person: str) -> bool:
    """Tells the room of one person; False when it knows by now."""
    # A warning stands under a name of its own, and nobody else hears of it.
    account = person.removeprefix(warned(""))
    target = Who(account, await sanctions.name_of(chat.pg, account) or "")
    async with chat.moderating, sanctions.one_at_a_time(chat.pg, account) as connection:
        # Whoever had the lock before may just have told it.
        truth = await sanctions.sanctions_of(connection, show)
        (copy,) = await chat.rooms.silenced([show])
        now_ms = clock.now_ms()
        if copy is None or person not in _differing(truth, copy, now_ms):
            return False
        log.warning("chat.sanction_told_late", show=show, person=person, silenced=person in truth)
        if person != account:
            left_ms: int | None = None
            if person in truth:
                await chat.rooms.sanction(show, person, None, None)
            else:
                await chat.rooms.absolve(show, person, None)
        elif person not in truth:
            await chat.rooms.absolve(show, person, TimeoutEnded(target, now_ms))
            left_ms = 0
        elif (until_ms := truth[person]) is None:
            await chat.rooms.sanction(show, person, None, Ban(target, now_ms))
            left_ms = None
        else:
            left_ms = max(1, until_ms - now_ms)
            await chat.rooms.sanction(show, person, until_ms, Timeout(target, -(-left_ms // 1000), now_ms))
    if left_ms is not None:
        await chat.rooms.tell(show, person, TimeoutHint(left_ms, ""))
    return True


def agreement_loop(chat: Chat) -> Loop:
    """The worker role's part."""

    async def run() -> None:
        await agree_all(chat)

    return Loop("chat sanctions", AGREE_PERIOD_S, run)
