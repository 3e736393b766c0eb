"""Taking an act back: the same deed the other way round, an act of its own that names the number of the first.

Each act is taken back once. What something newer has taken the place of stays as that has it. Owns which deed is the
other way round; each is done by its own module, under its own rules.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import asyncpg
import msgspec
from msgspec import Meta

from app import clock
from app.accounts.standing import standing as standing_of
from app.chat import polls, sanctions, unanswered
from app.chat.acts import find_act
from app.chat.answer_rules import Rule
from app.chat.answers import AnswerRules, read_rules, set_rules
from app.chat.bans import EndBan, SetBan, end_ban, set_ban
from app.chat.messages import find_said
from app.chat.mode_rules import Modes
from app.chat.moderation_rules import TIMEOUT_S_MIN, UNDOABLE, may_undo
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.notices import pinned, set_notice
from app.chat.parts import Chat
from app.chat.quick_replies import QuickReplies, read_replies, set_replies
from app.chat.rulebooks import Notice, read_room, read_watched
from app.chat.ticker import SetTicker, set_ticker
from app.chat.timeouts import SetTimeout, end_timeout, set_timeout
from app.chat.warnings import withdraw_warning
from app.chat.watch_rules import Level
from app.chat.watching import Watch, watch
from app.person import Person, Standing
from app.refusal import Refusal

OVERTAKEN: Final = Refusal("overtaken", "Something newer has taken its place; nothing was changed.")
UNDONE: Final = Refusal("undone", "This was taken back already.")
_LATER: Final = """
SELECT EXISTS (
    SELECT FROM moderation_acts
    WHERE show_id = $1 AND n > $2 AND act = ANY($3) AND target_account_id IS NOT DISTINCT FROM $4
)
"""
NO_UNDOING: Final = Refusal("no_undoing", "This cannot be taken back.")


class Undo(msgspec.Struct, frozen=True):
    """undo: the number of the act in the log."""

    act: Annotated[int, Meta(ge=1, le=2**53)]


class _Taken(msgspec.Struct, frozen=True):
    """The act that is taken back, and by whom."""

    chat: Chat
    show: str
    actor: Person
    standing: Standing
    n: int
    target: str
    detail: Mapping[str, Any]


async def undo(chat: Chat, show: str, actor: Person, standing: Standing, number: int) -> Refusal | None:
    """Takes the act back, if it still stands and the actor may."""
    row = await find_act(chat.pg, show, number)
    if row is None:
        return Refusal("not_found", "There is no such act.")
    refusal = await _refuse(chat, show, actor, standing, row)
    if refusal is not None:
        return refusal
    taken = _Taken(chat, show, actor, standing, number, row["target_account_id"] or "", row["detail"])
    try:
        refusal = await _THE_OTHER_WAY[row["act"]](taken)
    except asyncpg.UniqueViolationError:
        return UNDONE
    if refusal is not None:
        return refusal
    return None if (await find_act(chat.pg, show, number))["undone"] else OVERTAKEN


async def _refuse(chat: Chat, show: str, actor: Person, standing: Standing, row: Any) -> Refusal | None:
    author = await standing_of(chat.pg, show, Person(row["actor_id"], row["actor_name"])) or Standing.VIEWER
    if not may_undo(standing, author, own=row["actor_id"] == actor.id):
        return Refusal("forbidden", f"You cannot take back what a {author.value} of this show did.")
    if row["act"] not in UNDOABLE:
        return NO_UNDOING
    return UNDONE if row["undone"] else None


async def _let_write(taken: _Taken) -> Refusal | None:
    in_force = await sanctions.sanctions_of(taken.chat.pg, taken.show)
    if in_force.get(taken.target) != taken.detail["until_ms"]:
        return OVERTAKEN
    return await end_timeout(taken.chat, taken.show, taken.actor, taken.standing, taken.target, undoes=taken.n)


async def _silence_again(taken: _Taken) -> Refusal | None:
    left_s = (taken.detail.get("until_ms", 0) - clock.now_ms()) // 1000
    in_force = await sanctions.sanctions_of(taken.chat.pg, taken.show)
    if left_s < TIMEOUT_S_MIN or taken.target in in_force:
        return OVERTAKEN
    wanted = SetTimeout(taken.target, left_s)
    done = await set_timeout(taken.chat, taken.show, taken.actor, taken.standing, wanted, undoes=taken.n)
    return done if isinstance(done, Refusal) else None


async def _is_newer(taken: _Taken, *acts: str) -> bool:
    """Whether such an act came after it, on the same person or (without one) in the show."""
    return bool(await taken.chat.pg.fetchval(_LATER, taken.show, taken.n, list(acts), taken.target or None))


async def _let_back(taken: _Taken) -> Refusal | None:
    if await _is_newer(taken, "ban.set"):
        return OVERTAKEN
    wanted = EndBan(taken.target, taken.detail["everywhere"])
    return await end_ban(taken.chat, taken.show, taken.actor, taken.standing, wanted, undoes=taken.n)


async def _ban_again(taken: _Taken) -> Refusal | None:
    if await _is_newer(taken, "ban.end"):
        return OVERTAKEN
    wanted = SetBan(taken.target, everywhere=taken.detail["everywhere"])
    return await set_ban(taken.chat, taken.show, taken.actor, taken.standing, wanted, undoes=taken.n)


async def _withdraw(taken: _Taken) -> Refusal | None:
    return await withdraw_warning(
        taken.chat,
        taken.show,
        taken.actor,
        taken.standing,
        taken.target,
        warning=taken.detail["warning"],
        undoes=taken.n,
    )


async def _set_back(taken: _Taken) -> Refusal | None:
    """The modes that the act changed, as far as they are still as it left them."""
    now = msgspec.structs.asdict((await read_room(taken.chat.pg, taken.show)).modes)
    before, after = (msgspec.structs.asdict(msgspec.convert(taken.detail[at], Modes)) for at in ("before", "after"))
    changed = {name: before[name] for name in before if before[name] != after[name] == now[name]}
    if changed:
        await set_modes(taken.chat, taken.show, taken.actor, SetModes(**changed), undoes=taken.n)
    return None


async def _terms_back(taken: _Taken) -> Refusal | None:
    """Out with what the act brought in, in with what it took out; what others did since stays."""
    terms = (await read_room(taken.chat.pg, taken.show)).terms
    if "after" not in taken.detail:
        return NO_UNDOING

    def back(name: str, now: tuple[str, ...]) -> list[str]:
        before, after = (taken.detail[when].get(name, []) for when in ("before", "after"))
        kept = [term for term in now if term in before or term not in after]
        return kept + [term for term in before if term not in after and term not in kept]

    sites = back("sites", terms.sites)
    wanted = SetTerms(back("blocked", terms.blocked), back("permitted", terms.permitted), sites)
    done = await set_terms(taken.chat, taken.show, taken.actor, wanted, undoes=taken.n)
    return done if isinstance(done, Refusal) else None


async def _notice_back(taken: _Taken) -> Refusal | None:
    """What hung there before; somebody's message only as long as it is there."""
    if await _is_newer(taken, "notice.set"):
        return OVERTAKEN
    now_ms = clock.now_ms()
    before = None if taken.detail["before"] is None else msgspec.convert(taken.detail["before"], Notice)
    if before is not None and before.message is not None:
        said = await find_said(taken.chat, taken.show, before.message)
        if said is None:
            return OVERTAKEN
        before = pinned(said, taken.actor, now_ms)
    await set_notice(taken.chat, taken.show, taken.actor, before, now_ms, undoes=taken.n)
    return None


async def _poll_away(taken: _Taken) -> Refusal | None:
    poll = taken.detail["poll"]
    gone = await polls.withdraw(taken.chat, taken.show, taken.actor, poll, undoes=taken.n)
    return None if gone else OVERTAKEN


async def _poll_again(taken: _Taken) -> Refusal | None:
    poll = taken.detail["poll"]
    goes_on = await polls.reopen(taken.chat, taken.show, taken.actor, poll, undoes=taken.n)
    return None if goes_on else OVERTAKEN


async def _ticker_back(taken: _Taken) -> Refusal | None:
    if list((await read_room(taken.chat.pg, taken.show)).ticker) != taken.detail["after"]:
        return OVERTAKEN
    return await set_ticker(taken.chat, taken.show, taken.actor, SetTicker(taken.detail["before"]), undoes=taken.n)


async def _replies_back(taken: _Taken) -> Refusal | None:
    if await read_replies(taken.chat.pg, taken.show) != taken.detail["after"]:
        return OVERTAKEN
    before = QuickReplies(taken.detail["before"])
    done = await set_replies(taken.chat, taken.show, taken.actor, before, undoes=taken.n)
    return done if isinstance(done, Refusal) else None


async def _answers_back(taken: _Taken) -> Refusal | None:
    if msgspec.to_builtins(await read_rules(taken.chat.pg, taken.show)) != taken.detail["after"]:
        return OVERTAKEN
    before = AnswerRules(msgspec.convert(taken.detail["before"], list[Rule]))
    done = await set_rules(taken.chat, taken.show, taken.actor, before, undoes=taken.n)
    return done if isinstance(done, Refusal) else None


async def _question_again(taken: _Taken) -> Refusal | None:
    question, was = taken.detail["question"], taken.detail["was"]
    waits = await unanswered.reopen(taken.chat, taken.show, taken.actor, question, was=was, undoes=taken.n)
    return None if waits else OVERTAKEN


async def _watch_back(taken: _Taken) -> Refusal | None:
    watched = await read_watched(taken.chat.pg, taken.show)
    if watched.get(taken.target, Level.NONE) != taken.detail["after"]:
        return OVERTAKEN
    wanted = Watch(taken.target, Level(taken.detail["before"]))
    return await watch(taken.chat, taken.show, taken.actor, taken.standing, wanted, undoes=taken.n)


_Other: TypeAlias = Callable[[_Taken], Awaitable[Refusal | None]]
_THE_OTHER_WAY: Final[Mapping[str, _Other]] = {
    "timeout.set": _let_write,
    "timeout.end": _silence_again,
    "ban.set": _let_back,
    "ban.end": _ban_again,
    "warning.give": _withdraw,
    "modes.set": _set_back,
    "shield.up": _set_back,
    "shield.down": _set_back,
    "terms.set": _terms_back,
    "notice.set": _notice_back,
    "notice.clear": _notice_back,
    "ticker.set": _ticker_back,
    "replies.set": _replies_back,
    "answers.set": _answers_back,
    "person.watch": _watch_back,
    "question.close": _question_again,
    "poll.start": _poll_away,
    "poll.end": _poll_again,
}
