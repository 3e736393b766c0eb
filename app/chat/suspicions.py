"""Whom a process has compared lately with those who are banned: every message would ask. Knows no SQL and no hint."""

from typing import Final

from app import clock

LOOKED_S: Final = 300.0
"""So long after somebody was compared they are compared again."""
LOOKED_MAX: Final = 20_000


class Suspicions:
    """Whom this process has compared lately."""

    def __init__(self) -> None:
        self._looked: dict[tuple[str, str], float] = {}

    def is_due(self, show: str, person: str) -> bool:
        """Whether to compare the person now; counts as done."""
        now_s = clock.monotonic_s()
        if now_s - self._looked.get((show, person), now_s - LOOKED_S) < LOOKED_S:
            return False
        self._looked.pop((show, person), None)
        while len(self._looked) >= LOOKED_MAX:
            del self._looked[next(iter(self._looked))]
        self._looked[show, person] = now_s
        return True
