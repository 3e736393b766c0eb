"""How many connections a process holds, and how many of them have not said yet what they want.

Owns these counts and who has to go when there are too many. It never looks at what is said: a request's head is
app/http/request_protocol.py's, sockets that were let in are app/rooms/crowd.py's.
"""

import resource
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from app.http.origin_rules import Network, address_group, is_trusted

HEADLESS_MAX: Final = 4096
"""More than the kernel's backlog, which may come in at once when everybody reconnects."""
HEADLESS_PER_ADDRESS: Final = 100
DESCRIPTORS_SPARE: Final = 500
"""For Postgres, Valkey, the loop itself, and files being sent."""


class Line(Protocol):
    """A connection's transport."""

    def abort(self) -> None:
        """Drops the connection."""


class Arrivals:
    """The connections of one process. `trusted` proxies, loopback and unix sockets are not capped by address."""

    def __init__(
        self,
        trusted: Sequence[Network] = (),
        *,
        headless_max: int = HEADLESS_MAX,
        headless_per_address: int = HEADLESS_PER_ADDRESS,
        connections_max: int | None = None,
    ) -> None:
        self._trusted = trusted
        self._headless_max = headless_max
        self._headless_per_address = headless_per_address
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.connections_max = max(1, descriptors - DESCRIPTORS_SPARE) if connections_max is None else connections_max
        self._headless: dict[Line, str | None] = {}  # who waits the longest is first
        self._by_group: Counter[str | None] = Counter()

    @property
    def headless(self) -> int:
        """How many connections owe us a request's head."""
        return len(self._headless)

    def owes_head(self, line: Line, peer: str) -> bool:
        """Counts in a connection that owes us a head. False: its address has too many, and it must be dropped.

        Where there are too many in all, whoever has owed one the longest is dropped for it: a flood of silent
        connections from everywhere then shuts nobody out who speaks at once.
        """
        group = None if is_trusted(peer, self._trusted) else address_group(peer)
        if group is not None and self._by_group[group] >= self._headless_per_address:
            return False
        if len(self._headless) >= self._headless_max:
            oldest = next(iter(self._headless))
            self.owes_nothing(oldest)
            oldest.abort()
        self._headless[line] = group
        self._by_group[group] += 1
        return True

    def owes_nothing(self, line: Line) -> None:
        """The head is there, or the connection is gone. May be said more than once."""
        if line not in self._headless:
            return
        group = self._headless.pop(line)
        self._by_group[group] -= 1
        if not self._by_group[group]:
            del self._by_group[group]
