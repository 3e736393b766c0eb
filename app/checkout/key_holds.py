"""Holds that are taken for one request alone, under its idempotency key: found again when the request is repeated.

A try that came to no order has given its hold back. Nothing is left of it, so the key is as good as new: what is asked
again is judged anew, by a hold of its own. That one is found from the one before, so that of two tries at once, or
after a crash, there is still one hold.
"""

from typing import Final

from app import clock
from app.flash_sales.gate_wire import place_of
from app.flash_sales.holds import Hold, take_hold
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal

STANDS: Final = frozenset({"held", "confirmed"})
TRIES_FOUND_MAX: Final = 8
"""So many tries under one key are followed; the next one's hold is only its own."""


def key_after(key: str, over: str) -> str:
    """Under which key the gate knows the next try, when the one before had the hold `over`."""
    return f"{key}:{place_of(over)}"


async def take_by_key(
    sales: FlashSales,
    *,
    person: str,
    key: str,
    pool: str,
    quantity: int,
    show: str,
    address: str = "",
    admission: str = "",
) -> Hold | Refusal:
    """As take_hold; a hold that an earlier try under this key took and gave back is not what is answered."""
    tried = key
    for _ in range(TRIES_FOUND_MAX):
        taken = await take_hold(
            sales,
            person=person,
            key=tried,
            pool=pool,
            quantity=quantity,
            show=show,
            address=address,
            admission=admission,
        )
        if isinstance(taken, Refusal) or taken.state in STANDS:
            return taken
        tried = key_after(key, taken.id)
    return await take_hold(
        sales,
        person=person,
        key=f"{key}:{clock.new_id()}",
        pool=pool,
        quantity=quantity,
        show=show,
        address=address,
        admission=admission,
    )
