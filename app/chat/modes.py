"""Changing the modes and the terms of a show's chat. Every change is written with what was before it."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app import clock
from app.chat.acts import Deed, tell_act, write_act
from app.chat.events import who
from app.chat.level_rules import Languages, Levels
from app.chat.link_rules import SITE_LENGTH_MAX, SITES_MAX, clean_site
from app.chat.mode_rules import Delay, Following, Modes, Slow
from app.chat.parts import Chat
from app.chat.term_rules import TERM_LENGTH_MAX, TERMS_MAX, Terms, clean_term
from app.person import Person
from app.refusal import Refusal

Term = Annotated[str, Meta(max_length=TERM_LENGTH_MAX * 2)]
TermList = Annotated[list[Term], Meta(max_length=TERMS_MAX)]

SiteList = Annotated[list[Annotated[str, Meta(max_length=SITE_LENGTH_MAX * 2)]], Meta(max_length=SITES_MAX)]


class SetModes(msgspec.Struct, frozen=True):
    """modes.set: those that are to change."""

    slow_s: Slow | UnsetType = UNSET
    links: bool | UnsetType = UNSET
    open: bool | UnsetType = UNSET
    newcomers: bool | UnsetType = UNSET
    shield: bool | UnsetType = UNSET
    emoji: bool | UnsetType = UNSET
    buyers: bool | UnsetType = UNSET
    unique: bool | UnsetType = UNSET
    delay_s: Delay | UnsetType = UNSET
    followers_min: Following | UnsetType | None = UNSET
    levels: Levels | UnsetType = UNSET
    languages: Languages | UnsetType = UNSET


class SetTerms(msgspec.Struct, frozen=True):
    """terms.set: both lists, as they are to be; the sites that may be named stay when they are not given."""

    blocked: TermList
    permitted: TermList = []
    sites: SiteList | UnsetType = UNSET


async def set_modes(chat: Chat, show: str, actor: Person, wanted: SetModes, *, undoes: int = 0) -> Modes:
    """Changes the modes; what is already so is no change."""
    changes = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not UNSET}
    async with chat.moderating, chat.rulebooks.changing(show) as change:
        before = change.before.modes
        after = msgspec.structs.replace(before, **changes)
        if after == before:
            return after
        detail = {"before": msgspec.to_builtins(before), "after": msgspec.to_builtins(after)}
        deed = Deed(show, who(actor), _act(before, after), detail=detail, undoes=undoes)
        await change.write(modes=after)
        number = await write_act(change.connection, deed)
    await tell_act(chat, deed, number, clock.now_ms())
    return after


def _act(before: Modes, after: Modes) -> str:
    """The shield is an act of its own."""
    if before.shield == after.shield:
        return "modes.set"
    return "shield.up" if after.shield else "shield.down"


async def set_terms(chat: Chat, show: str, actor: Person, wanted: SetTerms, *, undoes: int = 0) -> Terms | Refusal:
    """Replaces the lists of terms. A term that names nothing is refused, so that nobody believes it works."""
    lists = [[clean_term(term) for term in terms] for terms in (wanted.blocked, wanted.permitted)]
    if any(None in terms for terms in lists):
        return Refusal("term_invalid", f"A term has 2 to {TERM_LENGTH_MAX} letters beside its stars.")
    sites = None if wanted.sites is UNSET else [clean_site(site) for site in wanted.sites]
    if sites is not None and None in sites:
        return Refusal("term_invalid", "A site is a name such as example.org, without a page of it.")
    blocked, permitted = (tuple(dict.fromkeys(term for term in terms if term)) for terms in lists)
    async with chat.moderating, chat.rulebooks.changing(show) as change:
        before = change.before.terms
        allowed = before.sites if sites is None else tuple(dict.fromkeys(site for site in sites if site))
        after = Terms(blocked, permitted, allowed)
        if after == before:
            return after
        detail = {"before": msgspec.to_builtins(before), "after": msgspec.to_builtins(after)}
        deed = Deed(show, who(actor), "terms.set", detail=detail, undoes=undoes)
        await change.write(terms=after)
        number = await write_act(change.connection, deed)
    await tell_act(chat, deed, number, clock.now_ms())
    return after
