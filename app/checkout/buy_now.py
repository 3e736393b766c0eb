"""Buy now: a hold and its order in one request, for a signed-in buyer whose method is known.

Takes the hold as app/flash_sales does and pays for it as app/checkout/pay.py does: the same gate, doors, limits and
steps. The hold is of this request alone, and ends with it when no order comes of it. Owns nothing else.

Where the gate alone decides who may take, the purchase goes through the till; where there is a waiting room or a limit
per network, the door is asked first. That one key is for one pool is known from the attempt, which has the key.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec

from app.checkout.key_holds import take_by_key
from app.checkout.parts import Checkout
from app.checkout.pay import known_or, place_order, way_to_pay
from app.checkout.saved_cards import is_saved
from app.checkout.till import Purchase, Till, Told
from app.checkout.views import OrderView
from app.flash_sales.holds import asks_gate_alone, known_to_ask_gate_alone, take_hold
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal


async def buy_now(till: Till, wanted: Purchase) -> OrderView | Refusal:
    """The order, or why there is none. The same key gives the same order."""
    if is_saved(wanted.method):  # and so kept: the same request, also when its card was removed meanwhile
        wanted = msgspec.structs.replace(wanted, keep=False)
    way = await way_to_pay(till.checkout, wanted.person, wanted.method, wanted.address)
    if isinstance(way, Refusal):  # before anything is held for it
        return await _known_or(till.checkout, wanted, way)
    if way != wanted.method:
        wanted = msgspec.structs.replace(wanted, method=way, said=wanted.method)
    alone = await asks_gate_alone(till.sales, pool=wanted.pool, show=wanted.show, address=wanted.address)
    if isinstance(alone, Refusal):
        return await _known_or(till.checkout, wanted, alone)
    if alone:
        return await till.buy(wanted)
    return await _by_the_door(till.checkout, till.sales, wanted)


def begin_to_buy(till: Till, wanted: Purchase) -> asyncio.Future[Sequence[Told]] | None:
    """As Till.begin, where buy_now would go to the till and has nobody to ask before; else None."""
    checkout = till.checkout
    if is_saved(wanted.method) or not checkout.provider.knows(wanted.method):
        return None
    if not checkout.declines.lets_on(wanted.person, wanted.address):
        return None
    alone = known_to_ask_gate_alone(till.sales, pool=wanted.pool, show=wanted.show, address=wanted.address)
    return till.begin(wanted) if alone else None


async def _by_the_door(checkout: Checkout, sales: FlashSales, wanted: Purchase) -> OrderView | Refusal:
    take = partial(
        take_hold,
        sales,
        person=wanted.person,
        pool=wanted.pool,
        quantity=wanted.quantity,
        show=wanted.show,
        address=wanted.address,
        admission=wanted.admission,
    )
    hold = await take_by_key(wanted.gate_key, take)
    if isinstance(hold, Refusal):
        return await _known_or(checkout, wanted, hold)
    return await place_order(checkout, wanted.paid_with(hold.id))


async def _known_or(checkout: Checkout, wanted: Purchase, refused: Refusal) -> OrderView | Refusal:
    """The gate remembers a key for some hours, the order's own memory is longer. A card that was removed while it paid
    is no reason to say no to its payment.
    """
    return await known_or(checkout, wanted.person, wanted.key, wanted.body_hash, refused)
