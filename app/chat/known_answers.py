"""What a process remembers of a show's answers by rule: every message asks for them. Knows no SQL and no keyword."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app import clock
from app.chat.answer_rules import Rule

KNOWN_S: Final = 1.0
SHOWS_MAX: Final = 1000


class KnownAnswers:
    """What was read lately. A change made elsewhere is known a second later."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Sequence[Rule]]] = {}

    async def of(self, show: str, read: Callable[[], Awaitable[Sequence[Rule]]]) -> Sequence[Rule]:
        """The show's rules, by `read` when it has been a while."""
        known = self._known.get(show)
        if known is not None and clock.monotonic_s() - known[0] < KNOWN_S:
            return known[1]
        rules = await read()
        if len(self._known) >= SHOWS_MAX:
            self._known.clear()
        self._known[show] = (clock.monotonic_s(), rules)
        return rules

    def forget(self, show: str) -> None:
        """They have just changed."""
        self._known.pop(show, None)
