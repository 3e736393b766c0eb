"""The doors of a shop's coupons, for its host. Decodes and views; decides nothing. Buyers present codes with orders."""

from functools import partial

from app.checkout.coupons import CouponList, CouponView, NewCoupon, Presented, coupons_of, end_coupon, make_coupon
from app.checkout.parts import Checkout
from app.flash_sales.address_rules import network_of
from app.http.endpoint import Call, Endpoint, Reply
from app.person import Right
from app.refusal import Refusal


def coupon_endpoints(parts: Checkout) -> list[Endpoint]:
    """The routes."""
    path = "/api/shops/{shop}/coupons"
    return [
        Endpoint(
            method="GET",
            path=path,
            right=Right.SHOP_HOST,
            action=partial(_list, parts),
            summary="A shop's coupons, with how often each was used",
            answer=CouponList,
        ),
        Endpoint(
            method="POST",
            path=path,
            right=Right.SHOP_HOST,
            action=partial(_make, parts),
            summary="Make a coupon",
            body=NewCoupon,
            answer=CouponView,
        ),
        Endpoint(
            method="POST",
            path=f"{path}/{{coupon}}/end",
            right=Right.SHOP_HOST,
            action=partial(_end, parts),
            summary="End a coupon now",
            answer=CouponView,
        ),
    ]


def presented(code: str | None, call: Call) -> Presented | None:
    """The code that a request carries, with where it comes from."""
    return None if code is None else Presented(code, network_of(call.address))


async def _list(parts: Checkout, call: Call) -> Reply:
    return Reply(await coupons_of(parts.pg, call.path["shop"]))


async def _make(parts: Checkout, call: Call) -> Reply | Refusal:
    made = await make_coupon(parts.pg, call.path["shop"], call.signed_in.id, call.body)
    return made if isinstance(made, Refusal) else Reply(made, status=201)


async def _end(parts: Checkout, call: Call) -> Reply | Refusal:
    ended = await end_coupon(parts.pg, call.path["shop"], call.path["coupon"])
    return ended if isinstance(ended, Refusal) else Reply(ended)
