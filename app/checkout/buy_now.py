"""Buy now: a hold and its order in one request, for a signed-in buyer whose method is known.

Takes the hold as app/flash_sales does and pays for it as app/checkout/pay.py does: the same gate, doors, limits and
steps. The hold is of this request alone, and ends with it when no order comes of it. Owns nothing else.

Where the gate alone decides who may take, it takes and extends in one; where there is a waiting room or a limit per
network, the door is asked first. That one key is for one pool is known from the attempt, which has the key.
"""

from typing import Final

import msgspec

from app import clock
from app.checkout.agreement import Agreement
from app.checkout.condition_rules import Agreed
from app.checkout.parts import Checkout
from app.checkout.pay import (
    PENDING,
    Extended,
    Wanted,
    body_hash,
    cannot_pay,
    known_before,
    pay_for,
    payment_ms,
    place_order,
)
from app.checkout.views import OrderView
from app.flash_sales.holds import note_hold, take_hold, take_to_pay
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal

_GOES_ON: Final = frozenset({"payment_challenge", PENDING.code})
"""Refusals after which the payment, and so the hold, may still come to an order."""


class Purchase(msgspec.Struct, frozen=True):
    """What is to be bought. `show` and `admission` are "" for none; `address` is the buyer's."""

    person: str
    pool: str
    quantity: int
    show: str
    method: str
    key: str
    address: str = ""
    admission: str = ""
    agreed: Agreed | None = None

    @property
    def body_hash(self) -> bytes:
        """Of what was asked; an admission is a way in, not a wish."""
        said = Agreement(self.agreed).words
        return body_hash("now", self.pool, str(self.quantity), self.show, self.method, *said)


async def buy_now(checkout: Checkout, sales: FlashSales, wanted: Purchase) -> OrderView | Refusal:
    """The order, or why there is none. The same key gives the same order."""
    refused = cannot_pay(checkout, wanted.method)
    if refused is not None:  # before anything is held for it
        return await known_before(checkout, wanted.person, wanted.key, wanted.body_hash) or refused
    attempt, asked_s = clock.new_ordered_id(), clock.monotonic_s()
    taken = await take_to_pay(
        sales,
        attempt=attempt,
        person=wanted.person,
        key=f"now:{wanted.key}",
        pool=wanted.pool,
        quantity=wanted.quantity,
        show=wanted.show,
        address=wanted.address,
        for_ms=payment_ms(checkout),
        total_max_ms=checkout.settings.hold_extended_max_s * 1000,
    )
    if taken is None:
        return await _take_then_pay(checkout, sales, wanted)
    if isinstance(taken, Refusal):
        # The gate remembers a key for some hours, the order's own memory is longer.
        return await known_before(checkout, wanted.person, wanted.key, wanted.body_hash) or taken
    asked = _asked(wanted, taken.id)
    if taken.code == "same":
        return await place_order(checkout, asked)
    answer = await pay_for(checkout, asked, attempt, asked_s, [Extended(taken.id, taken, forced=False)])
    if isinstance(answer, Refusal) and answer.code in _GOES_ON:
        await note_hold(sales, wanted.pool, taken)
    return answer


async def _take_then_pay(checkout: Checkout, sales: FlashSales, wanted: Purchase) -> OrderView | Refusal:
    hold = await take_hold(
        sales,
        person=wanted.person,
        key=f"now:{wanted.key}",
        pool=wanted.pool,
        quantity=wanted.quantity,
        show=wanted.show,
        address=wanted.address,
        admission=wanted.admission,
    )
    if isinstance(hold, Refusal):
        return await known_before(checkout, wanted.person, wanted.key, wanted.body_hash) or hold
    return await place_order(checkout, _asked(wanted, hold.id))


def _asked(wanted: Purchase, hold: str) -> Wanted:
    agreement = Agreement(wanted.agreed, to_saved=True)
    return Wanted(
        wanted.person, (hold,), wanted.method, wanted.key, wanted.body_hash, passing=True, agreement=agreement
    )
