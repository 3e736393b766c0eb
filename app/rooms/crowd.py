"""How many sockets this worker has, in all and by address and show, and whether there is room for one more.

Owns the counts; what is done about too many is the door's business, and that of whoever gives tickets to it.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.rooms.limits import Caps

DELAY_MS: Final = (1000, 5000)


def delay_ms() -> int:
    """When to come back, different for each, so that they do not come back all at once."""
    return random.randint(*DELAY_MS)


class Crowd:
    """The worker's sockets, joined or not."""

    def __init__(self, caps: Caps | None = None) -> None:
        self.caps = caps or Caps()
        self._all = 0
        self._addresses: Counter[str] = Counter()
        self._shows: Counter[str] = Counter()

    def is_full(self, show: str) -> bool:
        """Whether the next socket of this show would be one too many."""
        return self._all >= self.caps.per_worker or self._shows[show] >= self.caps.per_show

    @contextmanager
    def one_more(self, address: str, show: str) -> Iterator[bool]:
        """Counts a socket in as long as it lasts. False when it is too many."""
        loopback = address in {"", "::1"} or address.startswith("127.")
        fits = not self.is_full(show) and (loopback or self._addresses[address] < self.caps.per_address)
        self._all += 1
        self._addresses[address] += 1
        self._shows[show] += 1
        try:
            yield fits
        finally:
            self._all -= 1
            _one_less(self._addresses, address)
            _one_less(self._shows, show)


def _one_less(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
