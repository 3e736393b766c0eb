"""How many sockets this worker has, in all and by address, person and show, and whether there is space for one more.

Owns the counts; what is done about too many is the door's business, and that of whoever gives tickets to it.
"""

import random
from collections import Counter
from enum import Enum
from typing import Final

from app.http.origin_rules import address_group
from app.rooms.limits import Caps

DELAY_MS: Final = (1000, 5000)
PERSON_HARD_FACTOR: Final = 2
"""A person's sockets above the cap are told to come back later; above so many times the cap there is no upgrade."""


def delay_ms() -> int:
    """When to come back, different for each, so that they do not come back all at once."""
    return random.randint(*DELAY_MS)


class Space(Enum):
    """Whether there is space for a socket: as a guest; only to be told to come back later; not even for that."""

    INSIDE = "inside"
    DOORSTEP = "doorstep"
    NONE = "none"


class Place:
    """One socket in the counts, from before its upgrade to its end. Say `leave` once."""

    __slots__ = ("_crowd", "_doorstep", "_group", "_person", "_show", "address")

    def __init__(self, crowd: "Crowd", address: str, group: str | None, show: str, *, doorstep: bool) -> None:
        self.address = address
        self._crowd = crowd
        self._group = group
        self._show = show
        self._doorstep = doorstep
        self._person: str | None = None

    def belongs_to(self, person: str) -> Space:
        """Counts the socket to a person, too."""
        self._person = person
        return self._crowd.count_person(person)

    def leave(self) -> None:
        """The socket is gone."""
        self._crowd.forget(self._group, self._show, self._person, doorstep=self._doorstep)


class Crowd:
    """The worker's sockets, joined or not."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.caps = caps or Caps()
        self.offered = 0  # sockets that asked, in all
        self.shed = 0  # those of them for which there was no space
        self._inside = 0
        self._inside_by_group: Counter[str] = Counter()
        self._shows: Counter[str] = Counter()
        self._persons: Counter[str] = Counter()
        self._doorstep = 0
        self._doorstep_by_group: Counter[str] = Counter()

    def is_full(self, show: str) -> bool:
        """Whether the next socket of this show would be one too many."""
        return self._inside >= self.caps.per_worker or self._shows[show] >= self.caps.per_show

    @property
    def inside(self) -> int:
        """How many sockets were let in and are still there."""
        return self._inside

    def is_empty(self) -> bool:
        """Whether nobody is counted, anywhere."""
        groups = (self._inside_by_group, self._doorstep_by_group, self._shows, self._persons)
        return not (self._inside or self._doorstep or any(group.total() for group in groups))

    def take(self, address: str, show: str) -> tuple[Space, Place | None]:
        """Counts a socket in. No place for it: it must be refused before its upgrade."""
        group, caps = address_group(address), self.caps
        self.offered += 1
        if not self.is_full(show) and (group is None or self._inside_by_group[group] < caps.per_address):
            self._inside += 1
            self._shows[show] += 1
            if group is not None:
                self._inside_by_group[group] += 1
            return Space.INSIDE, Place(self, address, group, show, doorstep=False)
        self.shed += 1
        if self._doorstep < caps.doorstep and (
            group is None or self._doorstep_by_group[group] < caps.doorstep_per_address
        ):
            self._doorstep += 1
            if group is not None:
                self._doorstep_by_group[group] += 1
            return Space.DOORSTEP, Place(self, address, group, show, doorstep=True)
        return Space.NONE, None

    def count_person(self, person: str) -> Space:
        """Counts a socket of this person in, and says what space there was for it."""
        self._persons[person] += 1
        count = self._persons[person]
        if count <= self.caps.per_person:
            return Space.INSIDE
        self.shed += 1
        return Space.DOORSTEP if count <= self.caps.per_person * PERSON_HARD_FACTOR else Space.NONE

    def forget(self, group: str | None, show: str, person: str | None, *, doorstep: bool) -> None:
        """Counts a socket out again."""
        if person is not None:
            _one_less(self._persons, person)
        if doorstep:
            self._doorstep -= 1
            if group is not None:
                _one_less(self._doorstep_by_group, group)
            return
        self._inside -= 1
        _one_less(self._shows, show)
        if group is not None:
            _one_less(self._inside_by_group, group)


def _one_less(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
