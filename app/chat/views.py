"""What the staff of a show's chat are answered over HTTP."""

from typing import Any

import msgspec

from app.chat.events import EvasionSuspected, Held, QuestionHeld, Report, UnbanAsked, Who
from app.chat.mode_rules import Modes
from app.chat.moderation_rules import UNDOABLE
from app.chat.rulebooks import Notice
from app.chat.store import unix_ms
from app.chat.term_rules import Terms
from app.chat.watch_rules import Level


class ActView(msgspec.Struct, frozen=True):
    """One act of moderation, newest first in lists. `undoable`: it can be taken back, and was not."""

    n: int
    act: str
    actor: Who
    target: Who | None
    message: str | None
    detail: dict[str, Any]
    at_ms: int
    undoable: bool


class Acts(msgspec.Struct, frozen=True):
    """A show's last acts."""

    acts: list[ActView]


class Desk(msgspec.Struct, frozen=True):
    """All that the moderation page begins with."""

    modes: Modes
    terms: Terms
    notice: Notice | None
    held: list[Held]
    reports: list[Report]
    questions: list[QuestionHeld]
    unbans: list[UnbanAsked]
    watched: dict[str, Level]
    evasions: list[EvasionSuspected]


def act_view(row: Any) -> ActView:
    """A row of the log."""
    target = None if row["target_account_id"] is None else Who(row["target_account_id"], row["target_name"])
    return ActView(
        n=row["n"],
        act=row["act"],
        actor=Who(row["actor_id"], row["actor_name"]),
        target=target,
        message=row["target_message_id"],
        detail=row["detail"],
        at_ms=unix_ms(row["at"]),
        undoable=row["act"] in UNDOABLE and not row["undone"],
    )
