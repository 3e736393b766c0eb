"""A room's modes, and what becomes of a message under them. Pure: a message and a rulebook in, a decision out.

The shield is one switch over all other modes: while it is up the strictest of each holds, and taking it down leaves
the others as they were.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from app.chat.emoji_rules import is_emoji
from app.chat.flood_rules import is_flood
from app.chat.level_rules import STRICTEST, Languages, Levels
from app.chat.link_rules import has_foreign_link
from app.chat.term_rules import Matcher
from app.refusal import Refusal
from app.rooms.bus import Pace

SLOW_S_MAX: Final = 120
SHIELD_SLOW_S: Final = 30
DELAY_S_MAX: Final = 60
FOLLOWING_MIN_MAX: Final = 90 * 24 * 60
UNIQUE_MS: Final = 10 * 60 * 1000
"""Where nothing is said twice: for so long."""
SLOW: Final = ":slow"
"""The name of slow mode's allowance: it is none of the usual pace's."""

Slow = Annotated[int, Meta(ge=0, le=SLOW_S_MAX)]
Delay = Annotated[int, Meta(ge=0, le=DELAY_S_MAX)]
Following = Annotated[int, Meta(ge=0, le=FOLLOWING_MIN_MAX)]


class Modes(msgspec.Struct, frozen=True):
    """The state key `chat` of a room. `slow_s` 0: no slow mode. `newcomers`: their messages wait for a moderator.
    `emoji`: nothing but emoji; `buyers`: only who has bought; `unique`: nothing that anybody has just said; `delay_s`:
    so long after the staff do viewers see what viewers say. `followers_min`: only who has followed the shop for so many
    minutes; None: no such rule. `levels`: how strictly kinds of words are looked for, in these `languages`.
    """

    slow_s: Slow = 0
    links: bool = True
    open: bool = True
    newcomers: bool = False
    shield: bool = False
    emoji: bool = False
    buyers: bool = False
    unique: bool = False
    delay_s: Delay = 0
    followers_min: Following | None = None
    levels: Levels = Levels()
    languages: Languages = ("en",)


class Rulebook(msgspec.Struct, frozen=True):
    """The modes, the matcher, the people who are watched and the sites that may be named of one show, under the version
    that the room knows them by.
    """

    version: int
    modes: Modes
    matcher: Matcher
    watched: Mapping[str, str] = {}
    sites: Sequence[str] = ()


class Hold(msgspec.Struct, frozen=True):
    """The message waits: for a moderator (`why`: `term` with what was found, `newcomer`, `restricted`, `review`),
    for a while (`delay`), or for good (`hidden`; `instead`: what it would have waited for had it been
    anybody else's, "" when it would have been said).
    """

    why: str
    found: str = ""
    instead: str = ""


def in_force(modes: Modes) -> Modes:
    """What holds now: under the shield the strictest of every mode that still lets people talk."""
    if not modes.shield:
        return modes
    slow_s = max(modes.slow_s, SHIELD_SLOW_S)
    return msgspec.structs.replace(modes, slow_s=slow_s, links=False, newcomers=True, unique=True, levels=STRICTEST)


def decide(text: str, folded: str, rules: Rulebook, *, staff: bool, newcomer: bool) -> Hold | Refusal | None:
    """What becomes of a clean text: said (None), held, or refused. Staff are bound by none of it."""
    if staff:
        return None
    modes = in_force(rules.modes)
    refusal = _refuse(text, folded, modes, () if modes.shield else rules.sites)
    if refusal is not None:
        return refusal
    found = rules.matcher.find(folded)
    if found is not None:
        return Refusal("not_now", "That message cannot be sent just now.") if modes.shield else Hold("term", found)
    return Hold("newcomer") if modes.newcomers and newcomer else None


def decide_in_chat(
    text: str, modes: Modes, *, staff: bool, buyer: bool, follows_s: float | None = None
) -> Hold | Refusal | None:
    """What becomes of a clean text by the modes that are for the chat alone: questions know none of them. `follows_s`:
    for how long its author has followed, None: not at all.
    """
    if staff:
        return None
    if modes.emoji and not is_emoji(text):
        return Refusal("emoji_only", "Only emoji here just now.")
    if modes.buyers and not buyer:
        return Refusal("buyers_only", "Only who has bought here may write just now.")
    if modes.followers_min is not None:
        refusal = _refuse_stranger(modes.followers_min * 60, follows_s)
        if refusal is not None:
            return refusal
    return Hold("delay") if modes.delay_s else None


def _refuse_stranger(least_s: int, follows_s: float | None) -> Refusal | None:
    if follows_s is None:
        return Refusal("followers_only", "Only who follows this shop may write just now.")
    left_s = least_s - follows_s
    if left_s <= 0:
        return None
    return Refusal("followers_only", "You have not followed this shop for long enough.", math.ceil(left_s * 1000))


def stricter(one: Hold | None, other: Hold | Refusal | None) -> Hold | Refusal | None:
    """Of two decisions on one text: a refusal, else the hold that a moderator has to end, which is the first."""
    return other if isinstance(other, Refusal) else one or other


def unique_ms(modes: Modes, verdict: Hold | None = None) -> int:
    """For how long nobody may say the same again; 0: no such rule. What others may never read takes no words from
    them.
    """
    is_read = verdict is None or verdict.why == "delay"
    return UNIQUE_MS if is_read and in_force(modes).unique else 0


def _refuse(text: str, folded: str, modes: Modes, sites: Sequence[str]) -> Refusal | None:
    if not modes.open:
        return Refusal("chat_off", "The chat is closed for now.")
    if is_flood(text):
        return Refusal("flood", "That is too much of the same for one message.")
    if not modes.links and has_foreign_link(text, folded, sites):
        return Refusal("links_off", "Links are not allowed here just now.")
    return None


def pace_of(modes: Modes, usual: Pace, *, staff: bool) -> Pace:
    """How fast somebody may write: in slow mode one message at a time. Staff are never slowed."""
    slow_s = in_force(modes).slow_s
    return usual if staff or not slow_s else Pace(slow_s * 1000, 1, SLOW)
