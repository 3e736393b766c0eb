"""The doors of carts. Decodes and views; decides nothing."""

from functools import partial
from typing import Annotated

import msgspec

from app.checkout.address_rules import ShipTo, clean_address
from app.checkout.agreement import Agreement
from app.checkout.carts import (
    Cart,
    CartOrder,
    Put,
    order_cart,
    put_in_cart,
    quote_cart,
    read_cart,
    take_out_of_cart,
)
from app.checkout.condition_rules import Agreed, MethodId
from app.checkout.coupon_edge import presented
from app.checkout.coupon_rules import Code
from app.checkout.parts import Checkout
from app.checkout.quotes import Quote
from app.checkout.views import OrderView
from app.flash_sales.holds import Name, Quantity
from app.flash_sales.parts import FlashSales
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal

MethodName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[A-Za-z0-9_]+$")]


class PutItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT …/cart/{pool}: how many. There is no price in it."""

    quantity: Quantity
    show: Name | None = None
    admission: Name | None = None


class AskCart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the cart would go and how; "" for unknown and for the usual way."""

    country: Annotated[str, msgspec.Meta(pattern="^([A-Z]{2})?$")] = ""
    shipping: MethodId = ""
    coupon: Code | None = None


class OrderCart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST …/cart/order: the way to pay, and what the buyer saw and agreed to."""

    method: MethodName
    agreed: Agreed
    ship_to: ShipTo | None = None
    coupon: Code | None = None
    keep: bool = False  # the card, for next time


def cart_endpoints(parts: Checkout, sales: FlashSales) -> list[Endpoint]:
    """The routes. The cart is always the caller's own."""
    path = "/api/shops/{shop}/cart"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SIGNED_IN,
            action=partial(_read, parts),
            summary="One's own cart at a shop",
            answer=Cart,
        ),
        Endpoint(
            method="PUT",
            path=path + "/{pool}",
            right=Right.SIGNED_IN,
            action=partial(_put, parts, sales),
            summary="Put units into the cart, or change how many",
            body=PutItem,
            answer=Cart,
        ),
        Endpoint(
            method="DELETE",
            path=path + "/{pool}",
            right=Right.SIGNED_IN,
            action=partial(_drop, parts, sales),
            summary="Take an item out of the cart",
            answer=Cart,
        ),
        Endpoint(
            method="POST",
            path=path + "/quotes",
            right=Right.SIGNED_IN,
            action=partial(_quote, parts),
            summary="What the cart costs when it goes to a country",
            body=AskCart,
            answer=Quote,
        ),
        Endpoint(
            method="POST",
            path=path + "/order",
            right=Right.SIGNED_IN,
            action=partial(_order, parts, sales),
            summary="Order and pay all that is in the cart",
            body=OrderCart,
            answer=OrderView,
            idempotent=True,
        ),
    ]


async def _read(parts: Checkout, call: Call) -> Reply | Refusal:
    cart = await read_cart(parts, call.signed_in.id, call.path["shop"])
    return cart if isinstance(cart, Refusal) else Reply(cart)


async def _put(parts: Checkout, sales: FlashSales, call: Call) -> Reply | Refusal:
    body: PutItem = call.body
    put = Put(
        call.signed_in.id,
        call.path["shop"],
        call.path["pool"],
        body.quantity,
        body.show or "",
        body.admission or "",
        call.address,
    )
    return await put_in_cart(parts, sales, put) or await _read(parts, call)


async def _drop(parts: Checkout, sales: FlashSales, call: Call) -> Reply | Refusal:
    await take_out_of_cart(parts, sales, call.signed_in.id, call.path["shop"], call.path["pool"])
    return await _read(parts, call)


async def _quote(parts: Checkout, call: Call) -> Reply | Refusal:
    body, shop, coupon = call.body, call.path["shop"], presented(call.body.coupon, call)
    quote = await quote_cart(parts, call.signed_in.id, shop, body.country, body.shipping, coupon=coupon)
    return quote if isinstance(quote, Refusal) else Reply(quote)


async def _order(parts: Checkout, sales: FlashSales, call: Call) -> Reply | Refusal:
    assert call.idempotency_key is not None
    body: OrderCart = call.body
    ship_to = None if body.ship_to is None else clean_address(body.ship_to)
    if isinstance(ship_to, Refusal):
        return ship_to
    wanted = CartOrder(
        call.signed_in.id,
        call.path["shop"],
        body.method,
        call.idempotency_key,
        Agreement(body.agreed, coupon=presented(body.coupon, call)),
        ship_to,
        call.address,
        body.keep,
    )
    answer = await order_cart(parts, sales, wanted)
    return answer if isinstance(answer, Refusal) else Reply(answer, status=201)
