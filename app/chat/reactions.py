"""Reactions: a person presses, everybody sees how many pressed. Owns the sums of this process until they are said.

Nobody keeps a reaction, and one that is lost is no loss: what ten thousand people press is one small message from each
worker every quarter of a second.
"""

from collections import Counter
from typing import Final, Literal

import msgspec

from app.rooms.bus import Rooms
from app.storage.loops import Loop

SAY_PERIOD_S: Final = 0.25
SHOWS_MAX: Final = 1000

Kind = Literal["heart", "clap", "laugh", "wow", "fire"]


class React(msgspec.Struct, frozen=True):
    """reaction.add"""  # noqa: D400, D415 - the command's name

    kind: Kind


class Reactions:
    """The sums by show."""

    def __init__(self) -> None:
        self._sums: dict[str, Counter[str]] = {}

    def add(self, show: str, kind: Kind) -> None:
        """Counts one."""
        if show in self._sums or len(self._sums) < SHOWS_MAX:
            self._sums.setdefault(show, Counter())[kind] += 1

    def take(self) -> dict[str, Counter[str]]:
        """The sums since the last time, which are then forgotten."""
        taken, self._sums = self._sums, {}
        return taken


async def say(rooms: Rooms, reactions: Reactions) -> None:
    """Tells each show's room what was pressed. What cannot be said now is not said later."""
    for show, sums in reactions.take().items():
        await rooms.react(show, sums)


def reactions_loop(rooms: Rooms, reactions: Reactions) -> Loop:
    """The web role's part."""
    return Loop("reactions", SAY_PERIOD_S, lambda: say(rooms, reactions), where="web")
