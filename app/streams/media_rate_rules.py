"""How often a caller may ask for sessions, change or end them. Pure: a bucket of requests for each address.

Owns the buckets of one web process. They are few: the fullest, which limit nobody, are forgotten first.
"""

from typing import Final

from app.refusal import Refusal

BURST: Final = 400  # a hall full of people behind one address, who all open the page when the show begins
PER_S: Final = 40
CALLERS_MAX: Final = 10_000


class MediaRate:
    """Requests left to each caller, as (how many, when that was)."""

    def __init__(self, burst: int = BURST, per_s: int = PER_S) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left: dict[str, tuple[float, int]] = {}

    def refuse(self, caller: str, now_ms: int) -> Refusal | None:
        """Takes one request off the caller's bucket; when it is empty, says how long to wait and takes none."""
        left, at_ms = self._left.pop(caller, (float(self._burst), now_ms))
        left = min(self._burst, left + max(0, now_ms - at_ms) * self._per_s / 1000)
        refused = left < 1
        self._left[caller] = (left if refused else left - 1), now_ms
        if len(self._left) > CALLERS_MAX:
            del self._left[next(iter(self._left))]  # who has asked for nothing the longest
        if not refused:
            return None
        return Refusal(
            "too_many_tries", "Too many requests for video; wait a little.", round(1000 * (1 - left) / self._per_s) + 1
        )
