"""The states of an order and of a payment attempt, and the decision on a batch of orders. Values in, values out."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec


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


ORDER_TRANSITIONS: Final[dict[tuple[OrderState, OrderEvent], OrderState]] = {
    (OrderState.AUTHORISED, OrderEvent.CAPTURE): OrderState.PAID,
    (OrderState.AUTHORISED, OrderEvent.CANCEL): OrderState.CANCELLED,
    (OrderState.PAID, OrderEvent.REFUND): OrderState.REFUNDED,
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


def states_before(event: AttemptEvent) -> list[str]:
    """The states in which `event` is possible, for a statement's WHERE."""
    return [state.value for (state, possible) in ATTEMPT_TRANSITIONS if possible is event]


class Wish(msgspec.Struct, frozen=True):
    """One order that wants to be committed: a locked payment attempt."""

    attempt: str
    state: AttemptState
    pool: str
    buyer: str
    quantity: int


class PoolRow(msgspec.Struct, frozen=True):
    """A locked pool. `per_buyer_limit` None for no limit; `cancelled` when its sale was called off."""

    left: int
    per_buyer_limit: int | None
    cancelled: bool


class Verdict(StrEnum):
    """commit: it becomes an order. Everything else does not, and says why."""

    COMMIT = "commit"
    SOLD_OUT = "sold_out"
    OVER_LIMIT = "over_limit"
    CANCELLED = "cancelled"
    OVER = "over"  # the attempt is no longer open: it has its order, or was given up


def decide(
    wishes: Iterable[Wish], pools: Mapping[str, PoolRow], bought: Mapping[tuple[str, str], int]
) -> list[Verdict]:
    """Each wish in its turn, against what the earlier ones left. One that does not fit takes no room from the next.

    `bought` counts the units of orders that stand by (pool, buyer). All values must have been read after the pools
    were locked: a snapshot older than the lock sells the same unit twice.
    """
    left = {pool: row.left for pool, row in pools.items()}
    counts = dict(bought)
    verdicts = []
    for wish in wishes:
        row, buyer = pools[wish.pool], (wish.pool, wish.buyer)
        count = counts.get(buyer, 0) + wish.quantity
        if (wish.state, AttemptEvent.COMMIT) not in ATTEMPT_TRANSITIONS:
            verdict = Verdict.OVER
        elif row.cancelled:
            verdict = Verdict.CANCELLED
        elif wish.quantity > left[wish.pool]:
            verdict = Verdict.SOLD_OUT
        elif row.per_buyer_limit is not None and count > row.per_buyer_limit:
            verdict = Verdict.OVER_LIMIT
        else:
            verdict = Verdict.COMMIT
            left[wish.pool] -= wish.quantity
            counts[buyer] = count
        verdicts.append(verdict)
    assert all(units >= 0 for units in left.values())
    return verdicts
