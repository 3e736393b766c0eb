"""Buy now: a hold and its order in one request, for a signed-in buyer whose method is known.

Takes the hold as app/flash_sales does and pays for it as app/checkout/pay.py does: the same gate, doors, limits and
steps. The hold is of this request alone, and ends with it when no order comes of it. Owns nothing else.
"""

import msgspec

from app.checkout.agreement import Agreement
from app.checkout.condition_rules import Agreed
from app.checkout.parts import Checkout
from app.checkout.pay import Wanted, body_hash, cannot_pay, known_before, place_order
from app.checkout.views import OrderView
from app.flash_sales.holds import take_hold
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal


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
        # The gate remembers a key for some hours, the order's own memory is longer.
        return await known_before(checkout, wanted.person, wanted.key, wanted.body_hash) or hold
    agreement = Agreement(wanted.agreed, to_saved=True)
    asked = Wanted(
        wanted.person, (hold.id,), wanted.method, wanted.key, wanted.body_hash, passing=True, agreement=agreement
    )
    return await place_order(checkout, asked)
