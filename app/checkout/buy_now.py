"""Buy now: a hold and its order in one request, for a signed-in buyer whose method is known.

Takes the hold as app/flash_sales does and pays for it as app/checkout/pay.py does: the same gate, doors, limits and
steps. The hold is of this request alone, and ends with it when no order comes of it. Owns nothing else.

Where nobody needs an admission to take, the purchase goes through the till; where there is a waiting room, through its
door. That one key is for one pool is known from the attempt, which has the key.
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
from app.flash_sales.holds import known_to_take_to_pay, take_hold, takes_to_pay
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal


async def buy_now(till: Till, wanted: Purchase) -> OrderView | Refusal:
    """The order, or why there is none. The same key gives the same order."""
    wanted = _without_keep(wanted)
    way = await way_to_pay(till.checkout, wanted.person, wanted.method)
    if isinstance(way, Refusal):  # before anything is held for it
        return await _known_or(till.checkout, wanted, way)
    if way != wanted.method:
        wanted = msgspec.structs.replace(wanted, method=way, said=wanted.method)
    by_till = await takes_to_pay(till.sales, pool=wanted.pool, show=wanted.show)
    if isinstance(by_till, Refusal):
        return await _known_or(till.checkout, wanted, by_till)
    if by_till:
        return await till.buy(wanted)
    return await _by_the_door(till.checkout, till.sales, wanted)


def begin_to_buy(till: Till, wanted: Purchase) -> asyncio.Future[Sequence[Told]] | None:
    """As Till.begin, where buy_now would go to the till and has nobody to ask before but for whose card it is, which
    the till asks for all of a wave; else None.
    """
    checkout, wanted = till.checkout, _without_keep(wanted)
    if not is_saved(wanted.method) and not checkout.provider.knows(wanted.method):
        return None
    if checkout.declines.refuse(wanted.person) is not None:
        return None
    by_till = known_to_take_to_pay(till.sales, pool=wanted.pool, show=wanted.show)
    return till.begin(wanted) if by_till else None


def _without_keep(wanted: Purchase) -> Purchase:
    """Of a card that is kept it is the same request with `keep`, also when the card was removed meanwhile."""
    return msgspec.structs.replace(wanted, keep=False) if wanted.keep and is_saved(wanted.method) else wanted


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
