"""What rooms asks of the features above it: small Protocols that they implement and wiring connects. Does nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from starlette.requests import HTTPConnection

from app.person import Person, Standing
from app.rooms.bus import Spoken


class Identity(Protocol):
    """Implemented by accounts: who opens a socket, and what they are in the show."""

    async def identify(self, connection: HTTPConnection) -> Person | None:
        """The person of a valid session cookie, else None."""

    async def redeem_ticket(self, ticket: str, show: str) -> Person | None:
        """The person of a socket ticket for this show, which is then spent. None when it is not (or no more) valid."""

    async def ended_sessions(self, sessions: Sequence[str]) -> Sequence[str]:
        """Those of these sign-in sessions (Person.session) that have ended or expired."""

    async def standing(self, show: str, person: Person | None) -> Standing | None:
        """What the person (None: an anonymous one) is in the show. None when there is no such show."""


class MeSource(Protocol):
    """Implemented by features with something to tell one person at every join: holds, time left of a timeout."""

    async def me_of(self, show: str, person: Person) -> Mapping[str, Any]:
        """Entries of the join reply's `me`; msgspec must know how to encode them."""


class StateSource(Protocol):
    """Implemented by features that own state keys: says them again when the room was lost."""

    async def state_of(self, show: str) -> Sequence[tuple[str, int, msgspec.Struct | None]]:
        """All of the feature's keys of the show's public room, each with its version and value."""


class Words(msgspec.Struct, frozen=True):
    """What a person said: the event, its id, and who."""

    event: bytes
    id: str
    person: str


class StorySource(Protocol):
    """Implemented by chat: the words of a lost room that survived in Postgres."""

    async def story_of(self, show: str) -> Sequence[msgspec.Struct]:
        """The show's last messages as the events they were, oldest first."""

    async def missing(self, show: str, events: Sequence[bytes], history: Sequence[bytes]) -> Sequence[Words]:
        """Those of the events (JSON) that are words of a person, stand in Postgres neither as deleted ones nor as old
        ones that `story_of` had left out, and are not in this history of a room that was opened with that.
        """

    async def said_before(self, show: str, ids: Sequence[str]) -> Spoken | None:
        """Where the words with one of these ids were said, as far as they are in Postgres."""


class SanctionSource(Protocol):
    """Implemented by chat: who may not speak."""

    async def sanctions_of(self, show: str) -> Mapping[str, int | None]:
        """Each silenced person with the Unix time in ms when it ends, None for never."""


class BanSource(Protocol):
    """Implemented by chat: who may not be in a show."""

    async def is_banned(self, show: str, person: Person) -> bool:
        """Whether the person's sockets of this show are to be closed."""


class Sources(msgspec.Struct, frozen=True):
    """All that a lost room is rebuilt from."""

    states: tuple[StateSource, ...] = ()
    stories: tuple[StorySource, ...] = ()
    sanctions: tuple[SanctionSource, ...] = ()
