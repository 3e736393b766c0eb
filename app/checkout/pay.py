"""Paying for holds: attempt, provider, commit. And how a payment that nobody waits for any more is finished.

Owns the order of the steps. At every step the process may die; the settler calls `finish` for what it left behind.
A decline gives the holds back at once: nobody's failed try keeps a unit from the others, and none counts against the
buyer, who takes again with the next method.
"""

import asyncio
import hashlib
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from app import clock
from app.checkout.address_rules import ShipTo
from app.checkout.agreement import Agreement, agree
from app.checkout.ask_for_money import ask_for_money, weigh_try
from app.checkout.attempts import (
    Line,
    NewAttempt,
    OpenAttempt,
    OpenLine,
    Written,
    decline,
    is_of_sale,
    note_card,
)
from app.checkout.challenge import ask_buyer, open_challenge
from app.checkout.commit import Outcome
from app.checkout.hold_again import abandon, hold_all_again
from app.checkout.key_answers import KnownAnswer, known_answer
from app.checkout.order_rules import NO_ORDER, OrderState
from app.checkout.orders import order_of_hold, payment_open_on, read_order
from app.checkout.parts import Checkout
from app.checkout.provider import RESERVED, UNDECIDED, Answer
from app.checkout.saved_cards import is_saved, method_of, note_keep, note_look
from app.checkout.views import OrderLine, OrderView, charges_of, share_discount
from app.flash_sales.gate import Decided
from app.flash_sales.gate_wire import pool_of
from app.flash_sales.holds import BANNED, refuse
from app.money import AMOUNT_MINOR_MAX
from app.refusal import Refusal

AFTER_PAYMENT_MS: Final = 30_000  # beyond timeout and settler: for the commit itself
PENDING_RETRY_MS: Final = 2000
COMMIT_MARGIN_S: Final = 0.5

EXTENDED: Final = frozenset({"extended", "granted"})
"""What the gate says of a hold that lives for its payment; granted: it was taken for it just now."""

HOLD_ENDED: Final = Refusal("hold_ended", "This hold has ended; its units are free again.")
PENDING: Final = Refusal("payment_pending", "The payment is still being decided; you will be told.", PENDING_RETRY_MS)
IN_PROGRESS: Final = Refusal("in_progress", "This request is still being worked on.", PENDING_RETRY_MS)
MISMATCH: Final = Refusal("idempotency_mismatch", "This Idempotency-Key was used with another request.")
UNPAYABLE: Final = Refusal("order_invalid", "No payment can be made of exactly this amount.")
NO_PAYMENTS: Final = Refusal("payments_off", "Nobody can pay here yet: the shop has no payment provider.")
UNKNOWN_METHOD: Final = Refusal("method_unknown", "There is no such way to pay here.")
MIXED: Final = Refusal("order_invalid", "One order is of one shop and one currency.")


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A request to pay for holds, each once. `body_hash` is of the request under `key`; `passing`: those of
    the holds that were taken for it alone, and end with it. `keep`: the card, for next time; `kept`: it was.
    `address` is the buyer's on the network.
    """

    person: str
    holds: tuple[str, ...]
    method: str
    key: str
    body_hash: bytes
    passing: frozenset[str] = frozenset()
    ship_to: ShipTo | None = None
    agreement: Agreement = Agreement()
    keep: bool = False
    kept: bool = False
    address: str = ""


@lru_cache(1024)  # a crowd asks for the same
def body_hash(*words: str, keep: bool = False) -> bytes:
    """What a request asked, as it is kept under its idempotency key. No word has a NUL in it."""
    said = "\0".join(words) + ("\0\0keep" if keep else "")
    return hashlib.blake2b(said.encode(), digest_size=16).digest()


class Extended(msgspec.Struct, frozen=True):
    """What the gate said to a hold that is to be paid for. `forced`: against what it had noted."""

    hold: str
    decided: Decided
    forced: bool


async def place_order(checkout: Checkout, wanted: Wanted) -> OrderView | Refusal:
    """Pays for the holds and answers with the order. The same key, or the same hold, gives the same order."""
    way = await way_to_pay(checkout, wanted.person, wanted.method)
    if isinstance(way, Refusal):
        return await _answer_before(checkout, wanted, way)
    if way != wanted.method:
        wanted = msgspec.structs.replace(wanted, method=way, keep=False, kept=True)
    attempt, asked_s = clock.new_ordered_id(), clock.monotonic_s()
    held = await asyncio.gather(*(_extend(checkout, wanted, hold, attempt) for hold in wanted.holds))
    return await pay_for(checkout, wanted, attempt, asked_s, held)


async def pay_for(
    checkout: Checkout, wanted: Wanted, attempt: str, asked_s: float, held: list[Extended]
) -> OrderView | Refusal:
    """Pays for holds that the gate has extended, or not, for `attempt`. It was asked at `asked_s` or later."""
    not_held = next((one.decided for one in held if one.decided.code not in EXTENDED), None)
    if not_held is not None:
        await _let_go(checkout, wanted, held, attempt)
        return await _answer_before(checkout, wanted, _why_not(not_held))
    if any(too_little_time(checkout, one.decided) for one in held):
        await _let_go(checkout, wanted, held, attempt)
        return await _answer_before(checkout, wanted, HOLD_ENDED)
    new = await _new_attempt(checkout, wanted, attempt, [one.decided for one in held])
    if isinstance(new, Refusal):
        await _let_go(checkout, wanted, held, attempt)
        return new
    written = await checkout.attempts.submit(new)
    if written is not Written.STARTED:
        return await not_begun(checkout, wanted, [one for one in held if not one.forced], new, written)
    alive_ms = min(one.hold_expires_at_ms for one in new.lines) - held[0].decided.now_ms
    return await pay(checkout, new, asked_s + alive_ms / 1000)


async def not_begun(
    checkout: Checkout, wanted: Wanted, held: list[Extended], new: NewAttempt, written: Written
) -> OrderView | Refusal:
    """What to answer when the attempt was not written."""
    await _let_go(checkout, wanted, held, new.id)
    return await _answer_before(checkout, wanted, await _not_written(checkout, new, written))


async def way_to_pay(checkout: Checkout, person: str, method: str) -> str | Refusal:
    """The provider's name of a method that this person names: of a card that they have saved, its own. None for who
    has to wait after too many declined payments of theirs.
    """
    waits = checkout.declines.refuse(person)
    if waits is not None:
        return waits
    named = await method_of(checkout.pg, person, method, clock.now_ms()) if is_saved(method) else method
    return way_named(checkout, named)


def way_named(checkout: Checkout, named: str | Refusal) -> str | Refusal:
    """A provider's name, if it is one that can be paid with here."""
    if isinstance(named, Refusal) or checkout.provider.knows(named):
        return named
    return NO_PAYMENTS if checkout.offer.provider == "none" else UNKNOWN_METHOD


async def _extend(checkout: Checkout, wanted: Wanted, hold: str, attempt: str) -> Extended:
    async def ask(*, force: bool) -> Decided:
        return await checkout.gate.extend(
            hold,
            person=wanted.person,
            attempt=attempt,
            for_ms=payment_ms(checkout),
            total_max_ms=checkout.settings.hold_extended_max_s * 1000,
            force=force,
        )

    decided = await ask(force=False)
    # Whoever said that it is being paid for died before writing the attempt, or is just about to: the row decides.
    forced = decided.code == "paying" and not await payment_open_on(checkout.pg, hold, wanted.person)
    return Extended(hold, await ask(force=True) if forced else decided, forced)


def payment_ms(checkout: Checkout) -> int:
    """How long a hold must live for its payment to be finished, if need be by the settler."""
    settings = checkout.settings
    return (settings.payment_timeout_s + settings.settle_after_s) * 1000 + AFTER_PAYMENT_MS


def too_little_time(checkout: Checkout, decided: Decided) -> bool:
    """True of a hold that even extended may be over before its payment is decided: it was extended to its utmost."""
    assert decided.hold is not None
    return decided.hold.expires_at_ms - decided.now_ms < checkout.settings.payment_timeout_s * 1000


async def _let_go(checkout: Checkout, wanted: Wanted, held: list[Extended], attempt: str) -> None:
    for one in held:
        if one.decided.code in EXTENDED:
            await checkout.gate.resume(one.hold, attempt, give_back=one.hold in wanted.passing)


def _why_not(decided: Decided) -> Refusal:
    """Why a hold cannot be paid for."""
    return HOLD_ENDED if decided.code == "over" else refuse(decided)


def line_of(hold: str, decided: Decided) -> Line:
    """The line that a hold makes, as the gate has just said."""
    pool = pool_of(hold)
    assert pool is not None
    assert decided.hold is not None
    assert decided.label is not None
    assert decided.result is not None
    return Line(
        hold=hold,
        pool=pool,
        variant=decided.label.variant,
        title=decided.label.title,
        quantity=decided.hold.quantity,
        unit_price_minor=decided.hold.price_minor,
        hold_expires_at_ms=decided.hold.expires_at_ms,
        epoch=decided.result.epoch,
    )


async def _new_attempt(checkout: Checkout, wanted: Wanted, attempt: str, held: list[Decided]) -> NewAttempt | Refusal:
    labels = [one.label for one in held if one.label is not None]
    if len({(one.shop, one.currency) for one in labels}) > 1:
        return MIXED
    shows = (label.show or one.hold.show for one, label in zip(held, labels, strict=True) if one.hold is not None)
    new = NewAttempt(
        id=attempt,
        person=wanted.person,
        shop=labels[0].shop,
        show=next((show for show in shows if show), ""),
        currency=labels[0].currency,
        method=wanted.method,
        key=wanted.key,
        body_hash=wanted.body_hash,
        lines=tuple(line_of(hold, one) for hold, one in zip(wanted.holds, held, strict=True)),
        ship_to=wanted.ship_to,
        keep=wanted.keep,
        kept=wanted.kept,
        address=wanted.address,
    )
    agreed = await agree(checkout.pg, checkout.conditions, checkout.coupons, new, wanted.agreement)
    if isinstance(agreed, Refusal):
        return agreed
    return agreed if payable(checkout, agreed) else UNPAYABLE


def payable(checkout: Checkout, new: NewAttempt) -> bool:
    """Whether the amount is one that an order may have, and the provider can be asked for."""
    return new.amount_minor <= AMOUNT_MINOR_MAX and checkout.provider.takes(new.amount_minor, new.currency)


async def _not_written(checkout: Checkout, new: NewAttempt, written: Written) -> Refusal:
    """What to say of an attempt that was not begun, unless its key or its hold has an answer already."""
    if written is Written.LOST:
        for line in new.lines:
            await checkout.gate.sync(line.pool)
    if written is Written.BANNED:
        return BANNED
    if written is Written.UNFIT:
        return NO_ORDER["order_invalid"]
    if written is Written.FREED:
        return IN_PROGRESS
    return PENDING if written is Written.PAYING else HOLD_ENDED


async def _answer_before(checkout: Checkout, wanted: Wanted, otherwise: Refusal) -> OrderView | Refusal:
    """What this key, or one of these holds, was answered before; else `otherwise`."""
    known = await known_answer(checkout.pg, wanted.person, wanted.key, wanted.body_hash)
    if known is not None and not known.in_progress:
        return await to_answer(checkout, known)
    for hold in wanted.holds:
        challenge = await open_challenge(checkout, hold, wanted.person)
        if challenge is not None:
            return challenge
    if known is not None:
        return IN_PROGRESS
    for hold in wanted.holds:
        order = await order_of_hold(checkout.pg, hold, wanted.person)
        if order is not None:
            return await _view(checkout, order)
    return otherwise


async def known_before(checkout: Checkout, person: str, key: str, hashed: bytes) -> OrderView | Refusal | None:
    """What this key was answered before; None when it is new, or still being worked on."""
    known = await known_answer(checkout.pg, person, key, hashed)
    if known is None or known.in_progress:
        return None
    return await to_answer(checkout, known)


async def known_or(checkout: Checkout, person: str, key: str, hashed: bytes, refused: Refusal) -> OrderView | Refusal:
    """What this key was answered before, or that its first request is still being worked on; `refused` of a new one."""
    known = await known_answer(checkout.pg, person, key, hashed)
    if known is None:
        return refused
    return IN_PROGRESS if known.in_progress else await to_answer(checkout, known)


async def to_answer(checkout: Checkout, known: KnownAnswer) -> OrderView | Refusal:
    """The answer that a key has had."""
    if not known.same_body:
        return MISMATCH
    if known.order is not None:
        # As it was answered, whatever became of the order since.
        return msgspec.structs.replace(await _view(checkout, known.order), state=OrderState.AUTHORISED)
    assert known.refusal is not None
    return known.refusal


async def _view(checkout: Checkout, order: str) -> OrderView:
    found = await read_order(checkout.pg, order)
    assert found is not None
    return found.view


async def pay(checkout: Checkout, new: NewAttempt, alive_until_s: float) -> OrderView | Refusal:
    """From a written attempt to its order. The holds live until `alive_until_s` of the monotonic clock."""
    answer = await ask_for_money(checkout, new)
    return answer if isinstance(answer, Refusal) else await answered(checkout, new, answer, alive_until_s)


async def answered(checkout: Checkout, new: NewAttempt, answer: Answer, alive_until_s: float) -> OrderView | Refusal:
    """From the provider's answer to the order."""
    if answer is Answer.CHALLENGE:
        return await ask_buyer(checkout, new.id, [line.hold for line in new.lines], new.person)
    lines = tuple(OpenLine(one.hold, one.pool, one.quantity, one.unit_price_minor) for one in new.lines)
    attempt = OpenAttempt(new.id, new.person, new.show, new.method, lines, coupon=new.coupon is not None, keep=new.keep)
    if answer is Answer.DECLINED and new.kept:
        await note_look(checkout.pg, new.method)  # perhaps the provider keeps it no more
    outcome = await finish(checkout, attempt, answer, alive_until_s=alive_until_s)
    return outcome if isinstance(outcome, Refusal) else await view_of(checkout, new, outcome)


async def view_of(checkout: Checkout, new: NewAttempt, outcome: Outcome) -> OrderView:
    """The order that an attempt became."""
    if outcome.made_at is None:  # the settler was faster
        assert outcome.order is not None
        return await _view(checkout, outcome.order)
    return view_made(new, outcome.made_at)


def view_made(new: NewAttempt, made_at: datetime) -> OrderView:
    """The order that an attempt became just now."""
    charges = None if new.charged is None else charges_of(new.charged)
    lines = [OrderLine(one.title, one.quantity, one.unit_price_minor) for one in new.lines]
    return OrderView(
        id=new.id,
        state=OrderState.AUTHORISED,
        show=new.show or None,
        shop=new.shop,
        total_minor=new.amount_minor,
        currency=new.currency,
        created_at=made_at,
        lines=share_discount(lines, charges, new.currency),
        charges=charges,
    )


async def finish(
    checkout: Checkout, attempt: OpenAttempt, answer: Answer, *, alive_until_s: float = 0.0
) -> Outcome | Refusal:
    """Makes an order, or nothing, of an attempt that the provider answered. Safe to repeat, also side by side.

    `alive_until_s`, on the monotonic clock, is until when the gate surely keeps the holds; after that it is wanted.
    """
    if answer in UNDECIDED and not attempt.hopeless:
        return PENDING  # the settler asks again
    await weigh_try(checkout, attempt, answer)
    if answer is Answer.DECLINED:
        await decline(checkout.pg, attempt.id)
        for line in attempt.lines:
            await checkout.gate.resume(line.hold, attempt.id, give_back=True)
        return NO_ORDER["payment_declined"]
    if answer not in RESERVED:
        return await abandon(checkout, attempt)
    holds = await _prepare(checkout, attempt, alive_until_s)
    if isinstance(holds, Refusal):
        return holds
    if attempt.keep:
        await note_keep(checkout.pg, attempt.id)
    outcome = await (checkout.coupon_commits if attempt.coupon else checkout.commits).submit(attempt.id)
    checkout.outbox.kick()
    if outcome.refusal is not None:
        return outcome.refusal
    # The outbox would do it too; here the room sees the unit sold without waiting for its turn.
    for hold in holds:
        await checkout.gate.confirm(hold)
    return outcome


async def _prepare(checkout: Checkout, attempt: OpenAttempt, alive_until_s: float) -> list[str] | Refusal:
    """The holds that the order stands on, alive, once it is known which card pays in a sale."""
    provider = checkout.provider.of(attempt.method)
    if provider.has_card(attempt.method) and await is_of_sale(checkout.pg, attempt):
        card = await provider.card(attempt.id)
        if card is None:
            return PENDING
        await note_card(checkout.pg, attempt.id, card)
    if clock.monotonic_s() + COMMIT_MARGIN_S >= alive_until_s:
        return await hold_all_again(checkout, attempt)
    return [line.hold for line in attempt.lines]
