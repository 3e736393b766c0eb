"""The doors of checkout: its routes and loops. Decodes and views; decides nothing."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Annotated, Final

import msgspec

from app.checkout.address_rules import ShipTo, clean_address
from app.checkout.agreement import Agreement
from app.checkout.buy_now import begin_to_buy, buy_now
from app.checkout.card_edge import card_endpoints
from app.checkout.cart_edge import cart_endpoints
from app.checkout.cart_store import forget_carts
from app.checkout.condition_rules import Agreed
from app.checkout.conditions_edge import condition_endpoints
from app.checkout.coupon_edge import coupon_endpoints, presented
from app.checkout.coupon_rules import Code
from app.checkout.coupons import Presented
from app.checkout.list_edge import list_endpoints
from app.checkout.meters import ASKED_FOR, BEGUN_AT_ONCE, read_meters
from app.checkout.orders import orders_in
from app.checkout.parts import Checkout
from app.checkout.pay import Wanted, body_hash, place_order
from app.checkout.settle import NO_PAYMENT, forget, look_for_buyer, settle
from app.checkout.shop_edge import undo_endpoints
from app.checkout.till import Alone, Purchase, Till, Told
from app.checkout.views import HostOrderView, OrderView, PaymentOffer
from app.checkout.webhooks import EVENT_BYTES_MAX, forget_events, hear_stripe
from app.flash_sales.holds import Name, Quantity
from app.flash_sales.parts import FlashSales
from app.http.endpoint import Begun, Call, Endpoint, Reply
from app.http.headers import Guests
from app.person import Person, Right
from app.refusal import Refusal
from app.settings import Settings
from app.storage.loops import Loop

SETTLE_PERIOD_S: Final = 1.0
OUTBOX_PERIOD_S: Final = 0.25
MAIL_PERIOD_S: Final = 1.0
FORGET_PERIOD_S: Final = 60.0
METERS_PERIOD_S: Final = 5.0
WAITS_PERIOD_S: Final = 1.0
LINES_MAX: Final = 20

_STRIPE: Final = Guests(
    prefix="/watch/",
    scripts="https://js.stripe.com https://*.js.stripe.com",
    frames="https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com",
    connections="https://api.stripe.com",
)


MethodName = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[A-Za-z0-9_]+$")]
HoldId = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /api/orders. There is no price in it: the hold has one."""

    hold: HoldId
    method: MethodName
    ship_to: ShipTo | None = None
    agreed: Agreed | None = None  # needed where the shop has conditions
    coupon: Code | None = None
    more: Annotated[list[HoldId], msgspec.Meta(max_length=LINES_MAX - 1)] = []  # holds that go into the same order
    keep: bool = False  # the card, for next time


class BuyNow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The body of POST /api/buy-now: what a hold takes and what an order takes."""

    pool: Name
    quantity: Quantity
    method: MethodName
    show: Name | None = None
    admission: Name | None = None
    agreed: Agreed | None = None  # needed where the shop has conditions; it goes to the saved address
    coupon: Code | None = None
    keep: bool = False


class BankAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a buyer tells the simulated bank."""

    approve: bool


class HostOrders(msgspec.Struct, frozen=True):
    """A show's orders."""

    orders: list[HostOrderView]


def endpoints(parts: Checkout, sales: FlashSales) -> list[Endpoint]:
    """The routes of checkout."""
    till = Till(parts, sales)
    return [
        Endpoint(
            method="POST",
            path="/api/buy-now",
            right=Right.SIGNED_IN,
            action=partial(_buy_now, till),
            at_once=partial(_begin_to_buy, till),
            summary="Take a hold and pay for it in one step",
            body=BuyNow,
            answer=OrderView,
            idempotent=True,
            direct=True,
        ),
        Endpoint(
            method="POST",
            path="/api/orders",
            right=Right.SIGNED_IN,
            action=partial(_place, parts),
            summary="Pay for holds",
            body=PlaceOrder,
            answer=OrderView,
            idempotent=True,
            direct=True,
        ),
        Endpoint(
            method="GET",
            path="/api/shows/{show}/orders",
            right=Right.SHOW_HOST,
            action=partial(_list_of_show, parts),
            summary="The orders of a show",
            answer=HostOrders,
        ),
        *_payment_endpoints(parts),
        *undo_endpoints(parts),
        *list_endpoints(parts),
        *condition_endpoints(parts),
        *coupon_endpoints(parts),
        *cart_endpoints(parts, sales),
        *card_endpoints(parts),
    ]


def _payment_endpoints(parts: Checkout) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/api/payment-offer",
            right=Right.ANYONE,
            action=partial(_offer, parts),
            summary="How one pays here",
            answer=PaymentOffer,
        ),
        Endpoint(
            method="POST",
            path="/api/payments/{payment}/look",
            right=Right.SIGNED_IN,
            action=partial(_look, parts),
            summary="Ask the provider what became of one's payment, after the bank's question",
        ),
        Endpoint(
            method="POST",
            path="/api/payments/{payment}/bank",
            right=Right.SIGNED_IN,
            action=partial(_answer_bank, parts),
            summary="Answer the simulated bank's question",
            body=BankAnswer,
        ),
        Endpoint(
            method="POST",
            path="/webhooks/stripe",
            right=Right.ANYONE,
            action=partial(_hear_stripe, parts),
            summary="What Stripe tells by itself, signed",
            body=bytes,
            body_bytes_max=EVENT_BYTES_MAX,
        ),
    ]


def page_guests(settings: Settings) -> Guests | None:
    """Who else the watch page may load from: Stripe's script, its frames and its API, where Stripe is configured."""
    return None if settings.stripe is None else _STRIPE


def loops(parts: Checkout) -> list[Loop]:
    """The worker's loops."""
    return [
        Loop("checkout.settle", SETTLE_PERIOD_S, partial(settle, parts)),
        *(
            Loop(
                f"checkout.outbox.{lane.name}",
                OUTBOX_PERIOD_S if lane.kicked else MAIL_PERIOD_S,
                partial(parts.outbox.run_lane, lane),
            )
            for lane in parts.outbox.lanes
        ),
        Loop("checkout.meters", METERS_PERIOD_S, partial(read_meters, parts.pg, parts.outbox), where="web"),
        Loop("checkout.waits", WAITS_PERIOD_S, parts.declines.refresh, where="web"),
        Loop("checkout.forget", FORGET_PERIOD_S, partial(_forget, parts)),
    ]


async def _place(parts: Checkout, call: Call) -> Reply | Refusal:
    assert call.idempotency_key is not None
    holds = tuple(dict.fromkeys([call.body.hold, *call.body.more]))
    ship_to = None if call.body.ship_to is None else clean_address(call.body.ship_to)
    if isinstance(ship_to, Refusal):
        return ship_to
    sent = () if ship_to is None else msgspec.structs.astuple(ship_to)
    agreement = Agreement(call.body.agreed, coupon=presented(call.body.coupon, call))
    said = (call.body.method, *sorted(holds), *sent, *agreement.words)
    hashed = body_hash("order", *said, keep=call.body.keep)
    wanted = Wanted(call.signed_in.id, holds, call.body.method, call.idempotency_key, hashed, ship_to=ship_to)
    wanted = msgspec.structs.replace(wanted, agreement=agreement, keep=call.body.keep, address=call.address)
    answer = await place_order(parts, wanted)
    return answer if isinstance(answer, Refusal) else Reply(answer, status=201)


async def _buy_now(till: Till, call: Call) -> Reply | Refusal:
    assert call.idempotency_key is not None
    ASKED_FOR.inc()
    coupon = presented(call.body.coupon, call)
    purchase = _purchase(call.signed_in, call.body, call.idempotency_key, call.address, coupon)
    return _made(await buy_now(till, purchase))


def _begin_to_buy(till: Till, person: Person, body: BuyNow, key: str, address: str) -> Begun | None:
    if body.coupon is not None:
        return None
    waits = begin_to_buy(till, _purchase(person, body, key, address, None))
    if waits is None:
        return None
    BEGUN_AT_ONCE.inc()
    return Begun(waits, _told)


def _told(alone: Sequence[Told]) -> Reply | Refusal | Awaitable[Reply | Refusal]:
    told = alone[0]
    return _made(told) if isinstance(told, OrderView | Refusal) else _go_on(told)


async def _go_on(alone: Alone) -> Reply | Refusal:
    return _made(await alone())


def _made(answer: OrderView | Refusal) -> Reply | Refusal:
    return answer if isinstance(answer, Refusal) else Reply(answer, status=201)


def _purchase(person: Person, body: BuyNow, key: str, address: str, coupon: Presented | None) -> Purchase:
    return Purchase(
        person.id,
        body.pool,
        body.quantity,
        body.show or "",
        body.method,
        key,
        address,
        body.admission or "",
        body.agreed,
        coupon,
        keep=body.keep,
    )


async def _offer(parts: Checkout, call: Call) -> Reply:
    del call
    return Reply(parts.offer)


async def _look(parts: Checkout, call: Call) -> Reply | Refusal:
    return await look_for_buyer(parts, call.path["payment"], call.signed_in.id, call.address) or Reply()


async def _answer_bank(parts: Checkout, call: Call) -> Reply | Refusal:
    """Only where the bank is simulated: a real one asks in its own window, and tells nobody but the provider."""
    if parts.simulated is None:
        return NO_PAYMENT
    refused = await look_for_buyer(parts, call.path["payment"], call.signed_in.id, call.address)
    if refused is not None:
        return refused
    await parts.simulated.answer(call.path["payment"], approve=call.body.approve)
    return Reply()


async def _hear_stripe(parts: Checkout, call: Call) -> Reply | Refusal:
    signature = call.request.headers.get("stripe-signature", "")
    return await hear_stripe(parts, call.body, signature, call.now_ms) or Reply()


async def _forget(parts: Checkout) -> None:
    await forget(parts)
    await forget_events(parts)
    await forget_carts(parts.pg)


async def _list_of_show(parts: Checkout, call: Call) -> Reply:
    return Reply(HostOrders(await orders_in(parts.pg, call.path["show"])))
