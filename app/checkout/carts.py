"""What a person does with a cart: put in, take out, look, ask what it costs, order all of it at once.

Owns the steps. Each item goes the one road that all stock goes: a hold at the gate, and an order of those holds. A
cart is of one shop and belongs to one person; nobody can name another's.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

import msgspec

from app import clock
from app.checkout.address_rules import ShipTo
from app.checkout.agreement import Agreement, usual_method
from app.checkout.cart_store import CartRow, drop_item, note_holds, put_item, read_items
from app.checkout.coupons import Presented
from app.checkout.key_holds import take_by_key
from app.checkout.parts import Checkout
from app.checkout.pay import IN_PROGRESS, Wanted, body_hash, known_before, known_or, place_order, way_to_pay
from app.checkout.quotes import Quote, discount_on, quote
from app.checkout.total_rules import PricedLine
from app.checkout.views import OrderView
from app.flash_sales.gate import Decided
from app.flash_sales.holds import Hold, refuse, release_hold, resize_hold, take_hold
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal

EMPTY: Final = Refusal("cart_empty", "There is nothing in your cart.")
FULL: Final = Refusal("cart_full", "Your cart is full; order what is in it first.")
NOT_SOLD: Final = Refusal("not_found", "There is no such item in this shop.")

_CURRENCY: Final = "SELECT currency FROM shops WHERE id = $1"


class CartItem(msgspec.Struct, frozen=True):
    """An item as it stands: `left` of it are free, `price_minor` is a unit's; `held_ms` for how long it is held."""

    pool: str
    product: str
    variant: str
    title: str
    quantity: int
    price_minor: int
    left: int
    of_sale: bool
    hold: str | None = None
    held_ms: int = 0


class Cart(msgspec.Struct, frozen=True):
    """A cart as it stands; what is not sold any more is not in it."""

    shop: str
    currency: str
    items: list[CartItem]
    goods_minor: int


class Put(msgspec.Struct, frozen=True):
    """What is put in: `quantity` of a pool. `show` and `admission` are "" for none."""

    person: str
    shop: str
    pool: str
    quantity: int
    show: str = ""
    admission: str = ""
    address: str = ""


class CartOrder(msgspec.Struct, frozen=True):
    """What is asked when a cart is ordered. `method` is the way to pay."""

    person: str
    shop: str
    method: str
    key: str
    agreement: Agreement
    ship_to: ShipTo | None = None
    address: str = ""
    keep: bool = False

    @property
    def body_hash(self) -> bytes:
        """Of what was asked; what is in the cart the agreement's total tells."""
        sent = () if self.ship_to is None else msgspec.structs.astuple(self.ship_to)
        return body_hash("cart", self.shop, self.method, *sent, *self.agreement.words, keep=self.keep)


async def put_in_cart(checkout: Checkout, sales: FlashSales, put: Put) -> Refusal | None:
    """Puts it in, in place of what was there of it. Units of a sale are held at once, or it is refused."""
    seen = await checkout.gate.look(put.pool)
    if seen.code == "rebuilding":
        return refuse(seen)
    if seen.label is None or seen.label.shop != put.shop:
        return NOT_SOLD
    before = next((one for one in await read_items(checkout.pg, put.person, put.shop) if one.pool == put.pool), None)
    hold = None
    if seen.label.sale:
        held = await _held_of_sale(sales, put, before)
        if isinstance(held, Refusal):
            return held
        hold = held
    fits = await put_item(checkout.pg, put.person, put.shop, CartRow(put.pool, put.quantity, put.show, hold))
    if not fits and hold is not None:
        await release_hold(sales, person=put.person, hold=hold)
    return None if fits else FULL


async def _held_of_sale(sales: FlashSales, put: Put, before: CartRow | None) -> str | Refusal:
    if before is not None and before.hold is not None:
        kept = await resize_hold(sales, person=put.person, hold=before.hold, quantity=put.quantity, address=put.address)
        if kept is not None:
            return kept.id if isinstance(kept, Hold) else kept
    taken = await take_hold(
        sales,
        person=put.person,
        key=f"cart:{clock.new_id()}",
        pool=put.pool,
        quantity=put.quantity,
        show=put.show,
        address=put.address,
        admission=put.admission,
    )
    return taken if isinstance(taken, Refusal) else taken.id


async def take_out_of_cart(checkout: Checkout, sales: FlashSales, person: str, shop: str, pool: str) -> None:
    """Takes it out and gives its units back. Of what is not in it: nothing."""
    hold = await drop_item(checkout.pg, person, shop, pool)
    if hold is not None:
        await release_hold(sales, person=person, hold=hold)  # one that is being paid for stays


async def read_cart(checkout: Checkout, person: str, shop: str) -> Cart | Refusal:
    """What is in it, at the prices of this moment."""
    currency = await checkout.pg.fetchval(_CURRENCY, shop)
    if currency is None:
        return NOT_SOLD
    items = await _items(checkout, person, shop)
    if isinstance(items, Refusal):
        return items
    return Cart(shop, currency, items, sum(one.quantity * one.price_minor for one in items))


async def quote_cart(
    checkout: Checkout, person: str, shop: str, country: str, method: str, *, coupon: Presented | None = None
) -> Quote | Refusal:
    """What all of it costs when it goes to `country`, with the coupon that is presented."""
    cart = await read_cart(checkout, person, shop)
    if isinstance(cart, Refusal):
        return cart
    if not cart.items:
        return EMPTY
    conditions = await checkout.conditions.now(shop)
    chosen = method or await usual_method(checkout.pg, conditions, person, shop, country)
    lines = [PricedLine(one.quantity, one.price_minor) for one in cart.items]
    show = await _show(checkout, person, shop)
    discount = await discount_on(checkout, coupon, lines, person=person, shop=shop, show=show)
    if isinstance(discount, Refusal):
        return discount
    return quote(conditions, lines, cart.currency, country, chosen, discount_minor=discount)


async def _show(checkout: Checkout, person: str, shop: str) -> str:
    """The show that an order of the cart would be of: its first item's that is of any."""
    return next((row.show for row in await read_items(checkout.pg, person, shop) if row.show), "")


async def _items(checkout: Checkout, person: str, shop: str) -> list[CartItem] | Refusal:
    rows = await read_items(checkout.pg, person, shop)
    asked = [_look_at(checkout, person, row) for row in rows]
    items = []
    for row, (seen, held) in zip(rows, await asyncio.gather(*asked), strict=True):
        if seen.code == "rebuilding":
            return refuse(seen)
        if seen.label is None or seen.result is None:
            continue
        record = held.hold if held is not None and _alive(held) else None
        items.append(
            CartItem(
                pool=row.pool,
                product=seen.label.product,
                variant=seen.label.variant,
                title=seen.label.title,
                quantity=row.quantity,
                price_minor=seen.label.price_minor if record is None else record.price_minor,
                left=seen.result.left,
                of_sale=bool(seen.label.sale),
                hold=row.hold if record is not None else None,
                held_ms=0 if record is None else max(0, record.expires_at_ms - seen.now_ms),
            )
        )
    return items


async def _look_at(checkout: Checkout, person: str, row: CartRow) -> tuple[Decided, Decided | None]:
    seen = await checkout.gate.look(row.pool)
    held = None if row.hold is None else await checkout.gate.read(row.hold, person)
    fits = held is not None and held.hold is not None and held.hold.quantity == row.quantity
    return seen, held if fits else None


def _alive(held: Decided | None) -> bool:
    return held is not None and held.hold is not None and held.hold.state == "held"


async def order_cart(checkout: Checkout, sales: FlashSales, wanted: CartOrder) -> OrderView | Refusal:
    """One order of all that is in the cart, or why there is none. The same key gives the same order."""
    known = await known_before(checkout, wanted.person, wanted.key, wanted.body_hash)
    if known is not None:
        return known
    way = await way_to_pay(checkout, wanted.person, wanted.method)
    if isinstance(way, Refusal):  # before anything is held for it
        return await known_or(checkout, wanted.person, wanted.key, wanted.body_hash, way)
    rows = await read_items(checkout.pg, wanted.person, wanted.shop)
    if not rows:  # perhaps bought by this very request, in a try whose answer was lost
        return await known_before(checkout, wanted.person, wanted.key, wanted.body_hash) or EMPTY
    taken = await asyncio.gather(*(_hold_for(checkout, sales, wanted, row) for row in rows))
    fresh = frozenset(one.id for one in taken if isinstance(one, Hold))
    for row, one in zip(rows, taken, strict=True):
        if isinstance(one, Refusal):
            await _give_back(sales, wanted.person, fresh)
            return msgspec.structs.replace(one, details={"pool": row.pool})
    holds = tuple(one.id if isinstance(one, Hold) else str(one) for one in taken)
    if not await note_holds(checkout.pg, wanted.person, wanted.shop, rows, holds):
        # The same request, come twice, has the same holds: those are its own that came first.
        noted = {row.hold for row in await read_items(checkout.pg, wanted.person, wanted.shop)}
        await _give_back(sales, wanted.person, fresh - noted)
        return await known_before(checkout, wanted.person, wanted.key, wanted.body_hash) or IN_PROGRESS
    asked = Wanted(
        wanted.person,
        holds,
        wanted.method,
        wanted.key,
        wanted.body_hash,
        passing=fresh,
        ship_to=wanted.ship_to,
        agreement=wanted.agreement,
        keep=wanted.keep,
        address=wanted.address,
    )
    return await place_order(checkout, asked)


async def _give_back(sales: FlashSales, person: str, holds: Iterable[str]) -> None:
    await asyncio.gather(*(release_hold(sales, person=person, hold=hold) for hold in holds))


async def _hold_for(checkout: Checkout, sales: FlashSales, wanted: CartOrder, row: CartRow) -> Hold | str | Refusal:
    """The id of the item's hold while it lives, else a hold that is taken for this order alone."""
    if row.hold is not None:
        held = await checkout.gate.read(row.hold, wanted.person)
        if held.code == "rebuilding":
            return refuse(held)
        if _alive(held) and held.hold is not None and held.hold.quantity == row.quantity:
            return row.hold
    take = partial(
        take_hold,
        sales,
        person=wanted.person,
        pool=row.pool,
        quantity=row.quantity,
        show=row.show if row.show and await sales.sells(row.show, row.pool) else "",
        address=wanted.address,
    )
    return await take_by_key(f"cart:{wanted.key}:{row.pool}", take)
