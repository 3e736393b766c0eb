"""Paying for a hold: attempt row, provider, commit. And how a payment that nobody waits for any more is finished.

Owns the order of the steps. At every step the process may die; the settler calls `finish` for what it left behind.
A decline gives the hold back at once: nobody's failed try keeps a unit from the others, and none counts against the
buyer, who takes again with the next method.
"""

import hashlib
from typing import Final

import msgspec

from app import clock
from app.checkout.attempts import (
    KnownAnswer,
    NewAttempt,
    OpenAttempt,
    Written,
    decline,
    give_up,
    known_answer,
    replace_hold,
)
from app.checkout.challenge import ask_buyer, open_challenge
from app.checkout.commit import CREATED_STATUS, Commitment, Outcome
from app.checkout.orders import order_of_hold, payment_open_on, read_order
from app.checkout.parts import Checkout
from app.checkout.provider import RESERVED, UNDECIDED, Answer, Payment
from app.checkout.views import OrderView
from app.flash_sales.gate import Decided
from app.flash_sales.gate_wire import hold_id, pool_of
from app.flash_sales.holds import refuse
from app.flash_sales.moment import from_ms
from app.money import AMOUNT_MINOR_MAX
from app.refusal import Refusal

AFTER_PAYMENT_MS: Final = 30_000  # beyond timeout and settler: for the commit itself
PENDING_RETRY_MS: Final = 2000
COMMIT_MARGIN_S: Final = 0.5

HOLD_ENDED: Final = Refusal("hold_ended", "This hold has ended; its units are free again.")
DECLINED: Final = Refusal(
    "payment_declined", "The payment was declined. Nothing was charged, and what you held is free again."
)
PENDING: Final = Refusal("payment_pending", "The payment is still being decided; you will be told.", PENDING_RETRY_MS)
IN_PROGRESS: Final = Refusal("in_progress", "This request is still being worked on.", PENDING_RETRY_MS)
MISMATCH: Final = Refusal("idempotency_mismatch", "This Idempotency-Key was used with another request.")
NEVER_PAID: Final = Refusal("hold_ended", "The payment never came through; the hold has ended.")
UNPAYABLE: Final = Refusal("order_invalid", "No payment can be made of exactly this amount.")
UNKNOWN_METHOD: Final = Refusal("method_unknown", "There is no such way to pay here.")


class Wanted(msgspec.Struct, frozen=True):
    """A request to pay. `body_hash` identifies its body under the idempotency key."""

    person: str
    hold: str
    method: str
    key: str

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of what was asked."""
        return hashlib.sha256(f"order\0{self.hold}\0{self.method}".encode()).digest()


async def place_order(checkout: Checkout, wanted: Wanted) -> OrderView | Refusal:
    """Pays for the hold and answers with the order. The same key, or the same hold, gives the same order."""
    if not checkout.provider.knows(wanted.method):
        return UNKNOWN_METHOD
    attempt, asked_s = clock.new_id(), clock.monotonic_s()
    held = await _extend(checkout, wanted, attempt, force=False)
    forced = held.code == "paying" and not await payment_open_on(checkout.pg, wanted.hold, wanted.person)
    if forced:
        # Whoever said so died before writing the attempt, or is just about to write it: the row decides.
        held = await _extend(checkout, wanted, attempt, force=True)
    if held.code != "extended":
        return await _answer_before(checkout, wanted, _why_not(held))
    new = _new_attempt(wanted, attempt, held)
    amount_minor = new.quantity * new.unit_price_minor
    if amount_minor > AMOUNT_MINOR_MAX or not checkout.provider.takes(amount_minor, new.currency):
        await checkout.gate.resume(wanted.hold, attempt)
        return UNPAYABLE
    written = await checkout.attempts.submit(new)
    if written is not Written.STARTED:
        if not forced:
            await checkout.gate.resume(wanted.hold, attempt)
        if written is Written.LOST:
            await checkout.gate.sync(new.pool)
        return await _answer_before(checkout, wanted, PENDING if written is Written.PAYING else HOLD_ENDED)
    alive_until_s = asked_s + (new.hold_expires_at_ms - held.now_ms) / 1000
    return await _pay(checkout, wanted, new, alive_until_s)


async def _extend(checkout: Checkout, wanted: Wanted, attempt: str, *, force: bool) -> Decided:
    settings = checkout.settings
    return await checkout.gate.extend(
        wanted.hold,
        person=wanted.person,
        attempt=attempt,
        for_ms=(settings.payment_timeout_s + settings.settle_after_s) * 1000 + AFTER_PAYMENT_MS,
        total_max_ms=settings.hold_extended_max_s * 1000,
        force=force,
    )


def _why_not(held: Decided) -> Refusal:
    return HOLD_ENDED if held.code == "over" else refuse(held)


def _new_attempt(wanted: Wanted, attempt: str, held: Decided) -> NewAttempt:
    assert held.hold is not None
    assert held.label is not None
    assert held.result is not None
    pool = pool_of(wanted.hold)
    assert pool is not None
    return NewAttempt(
        id=attempt,
        hold=wanted.hold,
        pool=pool,
        person=wanted.person,
        show=held.label.show or held.hold.show,
        quantity=held.hold.quantity,
        unit_price_minor=held.hold.price_minor,
        currency=held.label.currency,
        method=wanted.method,
        hold_expires_at_ms=held.hold.expires_at_ms,
        epoch=held.result.epoch,
        key=wanted.key,
        body_hash=wanted.body_hash,
    )


async def _answer_before(checkout: Checkout, wanted: Wanted, otherwise: Refusal) -> OrderView | Refusal:
    """What this key, or this hold, was answered before; else `otherwise`."""
    known = await known_answer(checkout.pg, wanted.person, wanted.key, wanted.body_hash)
    if known is not None and (not known.same_body or known.status is not None):
        return _to_answer(known)
    challenge = await open_challenge(checkout, wanted.hold, wanted.person)
    if challenge is not None:
        return challenge
    if known is not None:
        return IN_PROGRESS
    order = await order_of_hold(checkout.pg, wanted.hold, wanted.person)
    if order is not None:
        found = await read_order(checkout.pg, order)
        assert found is not None
        return found.view
    return otherwise


def _to_answer(known: KnownAnswer) -> OrderView | Refusal:
    if not known.same_body:
        return MISMATCH
    assert known.status is not None
    if known.status == CREATED_STATUS:
        return msgspec.convert(known.answer, OrderView)
    return Refusal(known.answer["code"], known.answer["message"])


async def _pay(checkout: Checkout, wanted: Wanted, new: NewAttempt, alive_until_s: float) -> OrderView | Refusal:
    payment = Payment(new.id, new.method, new.quantity * new.unit_price_minor, new.currency, new.person)
    answer = await checkout.provider.authorise(payment)
    if answer is Answer.CHALLENGE:
        return await ask_buyer(checkout, new.id, new.hold, new.person)
    attempt = OpenAttempt(
        id=new.id,
        hold=new.hold,
        pool=new.pool,
        person=new.person,
        show=new.show,
        quantity=new.quantity,
        unit_price_minor=new.unit_price_minor,
    )
    outcome = await finish(checkout, attempt, answer, alive_until_s=alive_until_s)
    if isinstance(outcome, Refusal):
        return outcome
    if outcome.view is not None:
        return outcome.view
    return await _answer_before(checkout, wanted, PENDING)


async def finish(
    checkout: Checkout, attempt: OpenAttempt, answer: Answer, *, alive_until_s: float = 0.0
) -> Outcome | Refusal:
    """Makes an order, or nothing, of an attempt that the provider answered. Safe to repeat, also side by side.

    `alive_until_s`, on the monotonic clock, is until when the gate surely keeps the hold; after that it is asked.
    """
    if answer is Answer.DECLINED:
        await decline(checkout.pg, attempt.id, DECLINED)
        await checkout.gate.resume(attempt.hold, attempt.id, give_back=True)
        return DECLINED
    if answer in UNDECIDED and not attempt.hopeless:
        return PENDING  # the settler asks again
    if answer not in RESERVED:
        await give_up(checkout.pg, attempt.id, NEVER_PAID)
        checkout.outbox.kick()
        return NEVER_PAID
    hold = attempt.hold
    if clock.monotonic_s() + COMMIT_MARGIN_S >= alive_until_s:
        found = await _hold_again(checkout, attempt)
        if isinstance(found, Refusal):
            return found
        hold = found
    outcome = await checkout.commits.submit(Commitment(attempt.id, clock.new_id(), from_ms(clock.now_ms())))
    checkout.outbox.kick()
    if outcome.refusal is not None:
        return outcome.refusal
    # The outbox would do it too; here the room sees the unit sold without waiting for its turn.
    await checkout.gate.confirm(hold)
    return outcome


async def _hold_again(checkout: Checkout, attempt: OpenAttempt) -> str | Refusal:
    """The hold that the payment stands on: its own if it is alive, else a new one of the buyer at the same price."""
    own = await checkout.gate.read(attempt.hold)
    # Whatever attempt the gate has noted on it: Postgres lets only one be open on a hold, and that is this one.
    if own.hold is not None and own.hold.state == "held":
        return attempt.hold
    if own.code == "rebuilding":
        return refuse(own)
    # The key makes two settlers find the same new hold.
    taken = await checkout.gate.take(
        attempt.pool,
        hold=hold_id(attempt.pool, clock.new_id()),
        person=attempt.person,
        key=f"payment:{attempt.id}",
        body=f"{attempt.quantity}",
        quantity=attempt.quantity,
        show=attempt.show,
        ttl_ms=checkout.settings.hold_ttl_s * 1000,
    )
    if taken.code == "rebuilding":
        return refuse(taken)
    if taken.hold is not None and taken.hold.state == "held" and taken.hold.price_minor == attempt.unit_price_minor:
        assert taken.result is not None
        moved = await replace_hold(
            checkout.pg,
            attempt,
            hold=taken.id,
            expires_at_ms=taken.hold.expires_at_ms,
            epoch=taken.result.epoch,
        )
        if moved:
            return taken.id
    elif taken.hold is not None and taken.hold.state == "held":
        await checkout.gate.release(taken.id)
    await give_up(checkout.pg, attempt.id, HOLD_ENDED)
    checkout.outbox.kick()
    return HOLD_ENDED
