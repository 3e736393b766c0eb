"""The states of an order and of a payment attempt, and why a payment may come to nothing. Values in, values out."""

from enum import StrEnum
from typing import Final

from app.refusal import Refusal


class OrderState(StrEnum):
    """authorised: it stands, the money is reserved. paid: the money is captured."""

    AUTHORISED = "authorised"
    PAID = "paid"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class OrderEvent(StrEnum):
    """What can happen to an order."""

    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    REFUSE_REFUND = "refuse_refund"


ORDER_TRANSITIONS: Final[dict[tuple[OrderState, OrderEvent], OrderState]] = {
    (OrderState.AUTHORISED, OrderEvent.CAPTURE): OrderState.PAID,
    (OrderState.AUTHORISED, OrderEvent.CANCEL): OrderState.CANCELLED,
    # All of the money is on its way back; the provider may still refuse.
    (OrderState.PAID, OrderEvent.REFUND): OrderState.REFUNDED,
    (OrderState.REFUNDED, OrderEvent.REFUSE_REFUND): OrderState.PAID,
}


class AttemptState(StrEnum):
    """started: written, the provider may or may not know. voiding and on: no order will come of it."""

    STARTED = "started"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    COMMITTED = "committed"
    CAPTURED = "captured"
    VOIDING = "voiding"
    VOIDED = "voided"
    CAPTURE_REFUSED = "capture_refused"


class AttemptEvent(StrEnum):
    """What can happen to a payment attempt."""

    AUTHORISE = "authorise"
    DECLINE = "decline"
    COMMIT = "commit"
    CAPTURE = "capture"
    REFUSE_CAPTURE = "refuse_capture"
    CANCEL = "cancel"
    GIVE_UP = "give_up"
    VOID = "void"


ATTEMPT_TRANSITIONS: Final[dict[tuple[AttemptState, AttemptEvent], AttemptState]] = {
    (AttemptState.STARTED, AttemptEvent.AUTHORISE): AttemptState.AUTHORISED,
    (AttemptState.STARTED, AttemptEvent.DECLINE): AttemptState.DECLINED,
    # The commit's own transaction may be the first to write that the provider said yes.
    (AttemptState.STARTED, AttemptEvent.COMMIT): AttemptState.COMMITTED,
    (AttemptState.STARTED, AttemptEvent.GIVE_UP): AttemptState.VOIDING,
    (AttemptState.AUTHORISED, AttemptEvent.COMMIT): AttemptState.COMMITTED,
    (AttemptState.AUTHORISED, AttemptEvent.GIVE_UP): AttemptState.VOIDING,
    (AttemptState.COMMITTED, AttemptEvent.CAPTURE): AttemptState.CAPTURED,
    (AttemptState.COMMITTED, AttemptEvent.REFUSE_CAPTURE): AttemptState.CAPTURE_REFUSED,
    (AttemptState.COMMITTED, AttemptEvent.CANCEL): AttemptState.VOIDING,
    (AttemptState.VOIDING, AttemptEvent.VOID): AttemptState.VOIDED,
}


class IllegalChange(Exception):  # noqa: N818  it names the change, not an accident
    """The table has no such transition."""


def change_order(state: OrderState, event: OrderEvent) -> OrderState:
    """The order's state after `event`. Raises IllegalChange where the table has none."""
    if (state, event) not in ORDER_TRANSITIONS:
        raise IllegalChange(f"order: {event} is not possible in state {state}")
    return ORDER_TRANSITIONS[state, event]


def change_attempt(state: AttemptState, event: AttemptEvent) -> AttemptState:
    """The attempt's state after `event`. Raises IllegalChange where the table has none."""
    if (state, event) not in ATTEMPT_TRANSITIONS:
        raise IllegalChange(f"payment attempt: {event} is not possible in state {state}")
    return ATTEMPT_TRANSITIONS[state, event]


ORDERED: Final = (AttemptState.COMMITTED, AttemptState.CAPTURED, AttemptState.CAPTURE_REFUSED)
"""The states of an attempt that became an order, whatever became of that."""


def states_before(event: AttemptEvent) -> list[str]:
    """The states in which `event` is possible, for a statement's WHERE."""
    return [state.value for (state, possible) in ATTEMPT_TRANSITIONS if possible is event]


NO_ORDER: Final = {
    refusal.code: refusal
    for refusal in (
        Refusal("payment_declined", "The payment was declined. Nothing was charged, and what you held is free again."),
        Refusal("sold_out", "All units were sold before the payment came through; it is given back."),
        Refusal("over_limit", "This would be more than one person may buy; the payment is given back."),
        Refusal("over_card_limit", "This would be more than one card may buy in this sale; the payment is given back."),
        Refusal("over_address_limit", "This would be more than one address may get of this sale; it is given back."),
        Refusal("coupon_used_up", "The code had its last use before the payment came through; it is given back."),
        Refusal("coupon_used", "You have used this code already; the payment is given back."),
        Refusal("ended", "The sale was called off; the payment is given back."),
        Refusal("hold_ended", "The hold ended before the payment came through; it is given back."),
        Refusal("too_many_declines", "Too many payments were declined before this one. Nothing was charged."),
        Refusal("order_invalid", "This order cannot be written down; the payment is given back."),
    )
}
"""Why no order came of a payment, by the code that is kept with it."""
