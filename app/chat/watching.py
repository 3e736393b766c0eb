"""Keeping an eye on somebody: marking, restricting, hiding. Owns the table watched.

A change is a new version of the room's rules, so it holds from one offset on, everywhere, as a mode does.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import who
from app.chat.parts import Chat
from app.chat.rulebooks import read_watched
from app.chat.targets import Account, Reason, find_target
from app.chat.watch_rules import Level
from app.person import Person, Standing
from app.refusal import Refusal

WATCHED_MAX: Final = 500

_PUT: Final = """
INSERT INTO watched (show_id, account_id, level) VALUES ($1, $2, $3)
ON CONFLICT (show_id, account_id) DO UPDATE SET level = excluded.level
"""
_REMOVE: Final = "DELETE FROM watched WHERE show_id = $1 AND account_id = $2"


class Watch(msgspec.Struct, frozen=True):
    """person.watch"""  # noqa: D400, D415 - the command's name

    account: Account
    level: Level
    reason: Reason = ""


async def watch(
    chat: Chat, show: str, actor: Person, standing: Standing, wanted: Watch, *, undoes: int = 0
) -> Refusal | None:
    """Keeps an eye on somebody, or no more. What is already so is no change."""
    target = await find_target(chat, show, standing, wanted.account)
    if isinstance(target, Refusal):
        return target
    async with chat.moderating, chat.rulebooks.changing(show) as change:
        all_watched: Mapping[str, Level] = await read_watched(change.connection, show)
        before = all_watched.get(target.id, Level.NONE)
        if before is wanted.level:
            return None
        if before is Level.NONE and len(all_watched) >= WATCHED_MAX:
            return Refusal("too_many", f"A show keeps an eye on {WATCHED_MAX} people at most.")
        await _write(change.connection, show, target.id, wanted.level)
        detail = {"before": before, "after": wanted.level}
        deed = Deed(show, who(actor), "person.watch", target, reason=wanted.reason, detail=detail, undoes=undoes)
        await change.write()
        number = await write_act(change.connection, deed)
    await tell_act(chat, deed, number, clock.now_ms())
    return None


async def _write(connection: Any, show: str, account: str, level: Level) -> None:
    if level is Level.NONE:
        await connection.execute(_REMOVE, show, account)
    else:
        await connection.execute(_PUT, show, account, level.value)
