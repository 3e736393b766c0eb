"""What chat's actions need, put together once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import asyncpg

from app.chat.ballots import Ballot, write_answers
from app.chat.known_answers import KnownAnswers
from app.chat.reactions import Reactions
from app.chat.reviewers import NoWayOut, Reviewers, WayOut
from app.chat.rulebooks import Rulebooks
from app.chat.suspicions import Suspicions
from app.http.origin_rules import address_group
from app.person import Standing
from app.rooms.bus import Pace, Rooms, Shared
from app.rooms.copies import Copies
from app.settings import Settings
from app.storage.group_commit import GroupCommit

MODERATING_MAX: Final = 4
"""Sanctions at work at once: each holds a connection while the room, to be opened, may need another."""

PEOPLE_OF_A_PLACE: Final = 10
"""As much as so many people may write, all from one address may together."""
BY_ROOM: Final = Pace(1, 1000)
"""What all viewers of a room may write together: a thousand messages a second."""


class BanListener(Protocol):
    """Implemented by features that end what a banned person has of theirs. Harmless when told twice."""

    async def person_banned(self, person: str, shows: Sequence[str], shop: str | None) -> None:
        """The person was banned from these shows, all of the shop when that is named. Raises what is an outage, and is
        told again.
        """


@dataclass(frozen=True)
class Heard:
    """A message that was said in the public room by somebody who is not staff. `address` is where from; `is_there`
    answers whether it was deleted by now.
    """

    show: str
    person: str
    message: str
    text: str
    address: str
    is_there: Callable[[], Awaitable[bool]]


class WordsListener(Protocol):
    """Implemented by features for which words are more than words."""

    async def said(self, heard: Heard) -> None:
        """A message was said; told again when its author sends it again under the same key."""

    async def gone(self, show: str, *, message: str | None, person: str | None) -> None:
        """A message was deleted, or all of a person, or (both None) everybody's."""


async def nobody(show: str, person: str) -> bool:  # noqa: ARG001  a question that nobody answers with yes
    """Where nothing can be bought."""
    return False


@dataclass(frozen=True)
class Chat:
    """The parts of chat."""

    pg: asyncpg.Pool
    rooms: Rooms
    copies: Copies
    pace: Pace
    by_place: Pace
    by_room: Pace
    rulebooks: Rulebooks
    reviewers: Reviewers
    ballots: GroupCommit[Ballot, int | None]
    reactions: Reactions = field(default_factory=Reactions)
    answers: KnownAnswers = field(default_factory=KnownAnswers)
    suspicions: Suspicions = field(default_factory=Suspicions)
    ban_listeners: tuple[BanListener, ...] = ()
    words_listeners: tuple[WordsListener, ...] = ()
    has_bought: Callable[[str, str], Awaitable[bool]] = nobody
    moderating: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MODERATING_MAX))

    def shared(self, address: str, standing: Standing) -> Shared | None:
        """What somebody who writes from this address shares with others; the staff nothing."""
        return None if standing is not Standing.VIEWER else Shared(address_group(address), self.by_place, self.by_room)


def build_chat(
    pg: asyncpg.Pool,
    rooms: Rooms,
    copies: Copies,
    settings: Settings,
    *ban_listeners: BanListener,
    words_listeners: tuple[WordsListener, ...] = (),
    has_bought: Callable[[str, str], Awaitable[bool]] = nobody,
    way_out: WayOut | None = None,
) -> Chat:
    """Chat over the given stores. `has_bought(show, person)`: whether the person is a buyer there. `way_out`: how
    somebody outside is asked about messages; None: not at all.
    """
    per_10_s = settings.chat_per_10_s
    return Chat(
        pg=pg,
        rooms=rooms,
        copies=copies,
        pace=Pace(10_000 // per_10_s, per_10_s),
        by_place=Pace(max(1, 10_000 // (per_10_s * PEOPLE_OF_A_PLACE)), per_10_s * PEOPLE_OF_A_PLACE),
        by_room=BY_ROOM,
        rulebooks=Rulebooks(pg, rooms),
        reviewers=Reviewers(pg, way_out or NoWayOut()),
        ballots=GroupCommit(partial(write_answers, pg)),
        ban_listeners=ban_listeners,
        words_listeners=words_listeners,
        has_bought=has_bought,
    )
