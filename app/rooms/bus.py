"""What features call to speak in a room: the Protocol and its values. Decides no policy and does no I/O.

A room is a show's public room (`room = show id`) or its staff room (`room = staff_room(show)`).
app/rooms/valkey_bus.py implements it.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

STAFF_SUFFIX: Final = ":staff"
ONCE_TTL_MS: Final = 15 * 60 * 1000
"""How long it is known under which id words were said, so that they are not said twice."""
RULES: Final = "chat"
"""The state key whose version words are judged by."""
HISTORY_MAX: Final = 1000
"""How many events a room remembers: in Valkey, and in each worker's ring."""


def staff_room(show: str) -> str:
    """The name of the room that only the show's staff may join."""
    return show + STAFF_SUFFIX


def show_of(room: str) -> str:
    """The show that a room belongs to."""
    return room.removesuffix(STAFF_SUFFIX)


def is_staff(room: str) -> bool:
    """Whether this is a staff room."""
    return room.endswith(STAFF_SUFFIX)


class Spoken(msgspec.Struct, frozen=True):
    """Where an event landed: offset `o` under epoch `e`. `id` is the words' id: of the first try when retried."""

    e: str
    o: int
    id: str = ""


class Muted(msgspec.Struct, frozen=True):
    """The room refused the words: the person is timed out for `remaining_ms` more, or banned (None)."""

    remaining_ms: int | None


class TooFast(msgspec.Struct, frozen=True):
    """The room refused the words: this person's next ones are welcome in `retry_after_ms`."""

    retry_after_ms: int


class Crowded(msgspec.Struct, frozen=True):
    """The room refused the words: too many write from this address, or in this room; again in `retry_after_ms`."""

    retry_after_ms: int


class Warned(msgspec.Struct, frozen=True):
    """The room refused the words: the person has not yet acknowledged a warning."""


class Repeated(msgspec.Struct, frozen=True):
    """The room refused the words: the person said the same too often; again in `retry_after_ms`."""

    retry_after_ms: int


class Taken(msgspec.Struct, frozen=True):
    """The room refused the words: somebody has just said the same; again in `retry_after_ms`."""

    retry_after_ms: int


class Stale(msgspec.Struct, frozen=True):
    """The room refused the words: they were judged by other rules than those of version `room`, which it has."""

    room: int


class Kept(msgspec.Struct, frozen=True):
    """The words passed, and are to wait under `id` (of the first try when retried) instead of being said. `top`: the
    room's last offset then.
    """

    id: str
    top: int = 0


class Welcome(msgspec.Struct, frozen=True):
    """The room would have the words just now. It was only asked: nothing was said and nothing counted."""


class Backlogged(msgspec.Struct, frozen=True):
    """The room refused the words: too many before them are not yet copied to Postgres."""


class Pace(msgspec.Struct, frozen=True):
    """How fast one person may speak: `burst` at once, then one in `every_ms`. Allowances of another name are counted
    apart.
    """

    every_ms: int
    burst: int
    name: str = ""


class Shared(msgspec.Struct, frozen=True):
    """Allowances that somebody has together with others: all from the same `place` (an address; None: not counted),
    and all who write in the room.
    """

    place: str | None
    by_place: Pace
    by_room: Pace


class Judged(msgspec.Struct, frozen=True):
    """What was decided on words before they are spoken. `rules`: the version of the state key RULES that they were
    judged by, None when by none. `likeness`: the same for words that say the same, "" when that is not counted.
    `then`: "ask" when it is only asked whether the room would have them, "wait" when they are not to be said now,
    "release" when they have waited, else "". `unique_ms`: for so long nobody else may say the same, 0: no such rule.
    """

    rules: int | None = None
    likeness: str = ""
    then: str = ""
    unique_ms: int = 0


def warned(person: str) -> str:
    """The name under which a warning of the person stands among the sanctions."""
    return "w:" + person


class Said(msgspec.Struct, frozen=True):
    """An event as the history has it: `event` is its JSON."""

    o: int
    event: bytes


class Story(msgspec.Struct, frozen=True):
    """A room's history, oldest first, consecutive up to `top`."""

    e: str
    top: int
    said: list[Said]


class WordsForm(msgspec.Struct, frozen=True):
    """How words are known among the events of a history: `pattern`, of Lua, catches their id and then their speaker;
    `tombstone` becomes their place's, with the id for its %s.
    """

    pattern: str
    tombstone: str


Answer: TypeAlias = Spoken | Kept | Welcome | Muted | Warned | TooFast | Crowded | Repeated | Taken | Stale | Backlogged
UNJUDGED: Final = Judged()


class Rooms(Protocol):
    """The sending half of a room, as features see it.

    A room that Valkey does not know (new, or lost) opens by itself under a new epoch, rebuilt from the sources that
    wiring gave; until that has worked every call raises what the source raised, so nothing passes a lost sanction.
    """

    async def append(self, room: str, event: msgspec.Struct) -> Spoken:
        """Appends a sequenced event (the `m` of the wire) to the history and publishes it."""

    async def speak(
        self,
        room: str,
        person: str,
        event: msgspec.Struct,
        *,
        event_id: str,
        former_id: str,
        pace: Pace,
        judged: Judged = UNJUDGED,
        shared: Shared | None = None,
    ) -> Answer:
        """Like append, but only when `person` has no sanction and keeps the pace, with the others (`shared`) too, and
        nothing that the words were judged by has changed; one script decides and appends.

        The event's `event_id` is made from the command's: a retry has it again, or had it as `former_id`, and is
        answered with the first try's Spoken, also when the room was lost in between. The event is also kept to be
        copied to Postgres.
        """

    async def pace(self, room: str, person: str, pace: Pace) -> TooFast | None:
        """Counts one more thing that `person` does under an allowance of its own name, or says how long they wait."""

    async def look(self, room: str, ids: Sequence[str]) -> Spoken | Kept | Stale:
        """What `speak` would know before it judged words with one of these ids: the first try's answer, or the version
        that the room has of RULES, 0 when none. Says nothing.
        """

    async def sanction(self, room: str, person: str, until_ms: int | None, event: msgspec.Struct | None) -> Spoken:
        """Silences `person` until `until_ms` (Unix time; None: for good) and appends `event` (None: says nothing), in
        one script: no later offset carries that person's words. `warned(person)` stands for their warning.
        """

    async def absolve(self, room: str, person: str, event: msgspec.Struct | None) -> Spoken:
        """Lifts the sanction and appends `event` (None: says nothing), in one script."""

    async def sanction_of(self, room: str, person: str) -> Muted | None:
        """What the room knows against the person's speaking, None when nothing."""

    async def silenced(self, rooms: Sequence[str]) -> list[dict[str, int | None] | None]:
        """For each room who may not speak there and until when (Unix ms; None: for good), those whose time is over
        maybe among them; None for a room that is closed.
        """

    async def replace(self, room: str, at: Spoken, tombstone: msgspec.Struct, event: msgspec.Struct) -> Spoken:
        """Puts a tombstone in the history at `at`, or where the words with its `id` are now (if anywhere), and appends
        `event`, in one script. Whoever remembers these words cannot give them back any more.
        """

    async def bury(self, room: str, person: str | None, form: WordsForm, event: msgspec.Struct) -> Spoken:
        """Puts a tombstone over all words of the history that are `person`'s (None: everybody's), takes them out of
        the copies, and appends `event`, in one script.
        """

    async def story(self, room: str) -> Story:
        """The room's history as Valkey has it now."""

    async def set_state(self, room: str, key: str, version: int, value: msgspec.Struct | None) -> bool:
        """Sets state `key` (the `k` of the wire; no spaces) when `version` is newer than what is there, and publishes
        it. False when it was not newer.
        """

    async def react(self, room: str, sums: Mapping[str, int]) -> None:
        """Publishes how many reactions of each kind there were (the `r` of the wire). Nobody keeps them."""

    async def tell(self, show: str, person: str, hint: msgspec.Struct) -> None:
        """Sends a hint to one person's sockets of the show (the `u` of the wire). Lost when there is none."""

    async def standing_changed(self, show: str, person: str) -> None:
        """Says that what `person` may do in `show` changed: open sockets ask again, and leave the staff room if so."""

    async def signed_out(self, person: str, session: str) -> None:
        """Says that the sign-in session ended (Person.session): its sockets of every show are closed with 4001."""
