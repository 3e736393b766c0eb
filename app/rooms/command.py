"""What a feature hands to the room's socket: commands, the order they receive and the reply they give."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from app.person import Person, Right, Standing
from app.refusal import Refusal


class Order(msgspec.Struct, frozen=True):
    """One command as it reaches its action. `id` is the client's id for it: the idempotency key."""

    show: str
    person: Person | None
    standing: Standing
    id: str
    body: Any
    address: str
    now_ms: int


class Later:
    """What an action answers with when somebody outside may be waited for: `work` begins it and ends with the answer.
    Other commands of the same socket go past it; those that are answered later, too, come after it.
    """

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.work = work


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One op on a room's socket, e.g. `chat.post`. `body` is a msgspec Struct type that validates the frame.

    The action answers with a msgspec value (merged into `{"re": id, ...}`), None for a bare acknowledgement, a Refusal,
    or Later with one of these.
    """

    op: str
    right: Right
    body: type[msgspec.Struct]
    action: Callable[[Order], Awaitable[Any | Refusal]]
