"""How many sessions each caller has and how much each may ask, so that one cannot take what is there for all the
others. Pure counting.

A caller is an address as the web role tells it; of IPv6 its /64, which is what one line is given.
"""

from collections import Counter
from ipaddress import IPv6Address, ip_address

from app.refusal import Refusal
from app.streams.relay.limits import SESSIONS_PER_CALLER_MAX, UNCONNECTED_PER_CALLER_MAX


def caller_of(address: str) -> str:
    """Whom an address stands for; empty for what is no address, which is not counted."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(known, IPv6Address):
        return known.exploded[:19] if known.ipv4_mapped is None else str(known.ipv4_mapped)
    return str(known)


class Allowance:
    """So much a second, and so much at once. `now_s` is any clock that never jumps."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = self._left = burst
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Takes one; False when there is none left just now."""
        if self._at_s is not None:
            self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Callers:
    """Sessions by caller: all, and those that have not connected yet."""

    def __init__(self) -> None:
        self._all: Counter[str] = Counter()
        self._unconnected: Counter[str] = Counter()

    def refuse(self, caller: str) -> Refusal | None:
        """Why `caller` may have no further session now, or None."""
        if not caller:
            return None
        if self._unconnected[caller] >= UNCONNECTED_PER_CALLER_MAX:
            return Refusal("too_many_tries", "Too many sessions from your network are still connecting.", 1_000)
        if self._all[caller] >= SESSIONS_PER_CALLER_MAX:
            return Refusal("too_many_tries", "Your network has as many sessions as it may have.", 10_000)
        return None

    def enter(self, caller: str) -> None:
        """A session was made."""
        self._all[caller] += 1
        self._unconnected[caller] += 1

    def connect(self, caller: str) -> None:
        """One of its sessions has connected."""
        self._drop(self._unconnected, caller)

    def leave(self, caller: str, *, connected: bool) -> None:
        """One of its sessions has ended."""
        self._drop(self._all, caller)
        if not connected:
            self._drop(self._unconnected, caller)

    @staticmethod
    def _drop(counts: Counter[str], caller: str) -> None:
        counts[caller] -= 1
        if not counts[caller]:
            del counts[caller]
