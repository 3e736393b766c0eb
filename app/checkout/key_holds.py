"""Holds that are taken for one request alone, under its idempotency key: found again when the request is repeated.

A try that came to no order has given its hold back. Nothing is left of it, so the key is as good as new: what is asked
again is judged anew, by a hold of its own. That one is found from the one before, so that of two tries at once, or
after a crash, there is still one hold.
"""

from collections.abc import Awaitable
from typing import Final, Protocol

from app import clock
from app.flash_sales.gate_wire import place_of
from app.flash_sales.holds import STANDS, Hold
from app.refusal import Refusal

TRIES_FOUND_MAX: Final = 8
"""So many tries under one key are followed; the next one's hold is only its own."""


def key_after(key: str, over: str) -> str:
    """Under which key the gate knows the next try, when the one before had the hold `over`."""
    return f"{key}:{place_of(over)}"


class Take(Protocol):
    """take_hold with all but its key."""

    def __call__(self, *, key: str) -> Awaitable[Hold | Refusal]:
        """Takes, or says why not."""
        ...


async def take_by_key(key: str, take: Take) -> Hold | Refusal:
    """`take(key=key)`; a hold that an earlier try under this key took and gave back is not what is answered."""
    tried = key
    for _ in range(TRIES_FOUND_MAX):
        taken = await take(key=tried)
        if isinstance(taken, Refusal) or taken.state in STANDS:
            return taken
        tried = key_after(key, taken.id)
    return await take(key=f"{key}:{clock.new_id()}")
