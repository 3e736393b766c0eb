"""What it means that the staff keep an eye on somebody. Pure: a level and a decision in, a decision out."""

from enum import StrEnum

from app.chat.mode_rules import Hold
from app.refusal import Refusal


class Level(StrEnum):
    """How closely: not at all; their messages are marked for the staff; they wait for a moderator; only the staff and
    their author see them, who is not told.
    """

    NONE = "none"
    MONITORED = "monitored"
    RESTRICTED = "restricted"
    HIDDEN = "hidden"


def watched_words(verdict: Hold | Refusal | None, level: Level) -> Hold | Refusal | None:
    """What becomes of somebody's words, here and among the questions. What is refused anyway is refused."""
    waits = level in {Level.RESTRICTED, Level.HIDDEN}
    return Hold("restricted") if verdict is None and waits else verdict


def watched_message(verdict: Hold | Refusal | None, level: Level) -> Hold | Refusal | None:
    """What becomes of somebody's message in the chat. Restricted, a moderator ends its waiting, though it was only
    delayed; hidden, its author is told what anybody would be.
    """
    if isinstance(verdict, Refusal) or level not in {Level.RESTRICTED, Level.HIDDEN}:
        return verdict
    if level is Level.RESTRICTED:
        return Hold("restricted") if verdict is None or verdict.why == "delay" else verdict
    return Hold("hidden", instead="" if verdict is None else verdict.why)
