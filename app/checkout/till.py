"""The till: purchases from one pool that go through all steps of buying now together, wave after wave.

A wave is a quarter of those who buy: while Postgres and Valkey work for some, this process works for others. A purchase
alone waits four times on its way to an order, and each time costs more than the work between.

Owns only the way on which nothing stops a purchase: the card of the buyer's own, if they name one, found; the total
that they agreed to the shop's; the hold granted, the attempt written, the provider's yes at once,
the order committed. Whoever leaves it goes on alone, as app/checkout/pay.py does it, and holds nobody up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

import msgspec
import structlog

from app import clock
from app.checkout.agreement import Agreement, agree_at_once
from app.checkout.ask_for_money import payment_of
from app.checkout.attempts import NewAttempt, Written
from app.checkout.condition_rules import Agreed, Conditions
from app.checkout.coupons import Presented
from app.checkout.key_holds import TRIES_FOUND_MAX, key_after
from app.checkout.meters import LEFT_WAVE
from app.checkout.parts import Checkout
from app.checkout.pay import (
    COMMIT_MARGIN_S,
    HOLD_ENDED,
    PENDING,
    Extended,
    Wanted,
    answered,
    body_hash,
    known_or,
    line_of,
    not_begun,
    pay,
    pay_for,
    payable,
    payment_ms,
    place_order,
    too_little_time,
    view_made,
    view_of,
    way_named,
)
from app.checkout.provider import Answer
from app.checkout.saved_cards import is_saved, methods_of
from app.checkout.views import OrderView
from app.flash_sales.gate import BATCH_MAX, Decided, WishToPay
from app.flash_sales.holds import STANDS, note_hold, refuse_to_pay, take_to_pay
from app.flash_sales.parts import FlashSales
from app.refusal import Refusal
from app.storage.group_commit import GroupCommit

log = structlog.get_logger()

WAVES_MAX: Final = 4  # of a pool at once
_POOLS_MAX: Final = 4096  # whose waves are kept
_GOES_ON: Final = frozenset({"payment_challenge", PENDING.code})
"""Refusals after which the payment, and so the hold, may still come to an order."""


_TO_SAVED: Final = Agreement(to_saved=True)


class Purchase(msgspec.Struct, frozen=True, gc=False):
    """What is to be bought. `show` and `admission` are "" for none; `address` is the buyer's; `said` is how they named
    the method, where it is a card that they keep: until it is looked for, `method` is that.
    """

    person: str
    pool: str
    quantity: int
    show: str
    method: str
    key: str
    address: str = ""
    admission: str = ""
    agreed: Agreed | None = None
    coupon: Presented | None = None
    keep: bool = False
    said: str = ""
    tries: int = 1
    after: str = ""  # the hold of an earlier try under this key, which came to nothing; or a new word

    @property
    def agreement(self) -> Agreement:
        """What was said beside."""
        if self.agreed is None and self.coupon is None:
            return _TO_SAVED
        return Agreement(self.agreed, to_saved=True, coupon=self.coupon)

    @property
    def body_hash(self) -> bytes:
        """Of what was asked; an admission is a way in, not a wish."""
        method = self.said or self.method
        said = (self.pool, str(self.quantity), self.show, method, *self.agreement.words)
        return body_hash("now", *said, keep=self.keep)

    @property
    def gate_key(self) -> str:
        """Under which the gate knows the hold."""
        return key_after(f"now:{self.key}", self.after) if self.after else f"now:{self.key}"

    def paid_with(self, hold: str) -> Wanted:
        """The request to pay for it, once there is a hold, which ends with it."""
        return Wanted(
            self.person,
            (hold,),
            self.method,
            self.key,
            self.body_hash,
            frozenset((hold,)),
            agreement=self.agreement,
            keep=self.keep,
            kept=bool(self.said),
            address=self.address,
        )


Alone: TypeAlias = Callable[[], Awaitable[OrderView | Refusal]]
"""How a purchase goes on that left its wave."""
Told: TypeAlias = OrderView | Refusal | Alone


class _Buying(msgspec.Struct):
    """A purchase in its wave, with its hold and the attempt to be written. `told` ends it there."""

    purchase: Purchase
    taken: Decided
    new: NewAttempt
    told: Told | None = None

    @property
    def wanted(self) -> Wanted:
        """The request to pay for it, for who leaves the wave."""
        return self.purchase.paid_with(self.taken.id)


class Till:
    """All pools' waves in one process."""

    def __init__(self, checkout: Checkout, sales: FlashSales) -> None:
        self.checkout = checkout
        self.sales = sales
        self._waves: dict[str, GroupCommit[Purchase, Told]] = {}
        self._confirming: set[asyncio.Task[Decided]] = set()
        checkout.before_close.append(self._drain)

    async def buy(self, purchase: Purchase) -> OrderView | Refusal:
        """The order, or why there is none. Who takes from its pool needs no admission (takes_to_pay)."""
        told = (await self.begin(purchase))[0]
        return told if isinstance(told, OrderView | Refusal) else await told()

    def begin(self, purchase: Purchase) -> "asyncio.Future[Sequence[Told]]":
        """What its wave comes to for it, alone in a list: the order, why there is none, or how it goes on alone."""
        waves = self._waves.get(purchase.pool)
        if waves is None:
            if len(self._waves) >= _POOLS_MAX:
                self._waves = {pool: one for pool, one in self._waves.items() if not one.idle}
            waves = GroupCommit(partial(self._wave, purchase.pool), BATCH_MAX, WAVES_MAX, evenly=True)
            self._waves[purchase.pool] = waves
        return waves.enqueue((purchase,))

    async def _drain(self) -> None:
        for waves in list(self._waves.values()):
            await waves.drain()
        while self._confirming:
            await asyncio.wait(self._confirming)

    async def _wave(self, pool: str, purchases: list[Purchase]) -> list[Told]:
        ready = await self._with_methods(purchases)
        taking = [one for one in ready if isinstance(one, Purchase)]
        asked_s = clock.monotonic_s()
        taken = iter(await self._take(pool, taking, asked_s) if taking else ())
        wave = [next(taken) if isinstance(one, Purchase) else one for one in ready]
        begun = [one for one in wave if isinstance(one, _Buying)]
        try:
            if begun:
                await self._sell(pool, begun, asked_s)
        except Exception as failure:  # noqa: BLE001 it is raised again, for each whose answer it is
            for one in begun:
                one.told = one.told or partial(_fail, failure)
        ends = [_end_of(one) if isinstance(one, _Buying) else one for one in wave]
        LEFT_WAVE.inc(sum(not isinstance(one, OrderView | Refusal) for one in ends))
        return ends

    async def _with_methods(self, purchases: list[Purchase]) -> Sequence[Purchase | Told]:
        """Each by the provider's name of the card that its buyer named; or why it cannot be paid for, before anything
        is held for it.
        """
        saved = [(one.person, one.method) for one in purchases if is_saved(one.method)]
        if not saved:
            return purchases
        found = iter(await methods_of(self.checkout.pg, saved, clock.now_ms()))
        return [_named(self.checkout, one, next(found)) if is_saved(one.method) else one for one in purchases]

    async def _take(self, pool: str, purchases: list[Purchase], asked_s: float) -> list[_Buying | Told]:
        """Holds for all; an attempt for each whose hold was granted and who asks for nothing special."""
        checkout = self.checkout
        attempts = clock.new_ordered_ids(len(purchases))
        taken = await take_to_pay(
            self.sales,
            pool,
            [_wish(one, attempt) for one, attempt in zip(purchases, attempts, strict=True)],
            for_ms=payment_ms(checkout),
            total_max_ms=checkout.settings.hold_extended_max_s * 1000,
        )
        shop = next((one.label.shop for one in taken if one.label is not None), None)
        conditions = None if shop is None else await self._conditions(shop, purchases)
        wave: list[_Buying | Told] = []
        for purchase, attempt, decided in zip(purchases, attempts, taken, strict=True):
            if decided.code == "same":
                wave.append(partial(self._again, purchase, decided))
            elif decided.code != "granted":
                wave.append(partial(_refused, checkout, purchase, refuse_to_pay(decided)))
            else:
                one = _begin(purchase, attempt, decided)
                plain = None if conditions is None else self._plain(one, conditions)
                if plain is None:
                    held = [Extended(decided.id, decided, forced=False)]
                    one.told = self._noting(one, partial(pay_for, checkout, one.wanted, attempt, asked_s, held))
                else:
                    one.new = plain
                wave.append(one if one.told is None else one.told)
        return wave

    async def _conditions(self, shop: str, purchases: list[Purchase]) -> Conditions:
        """The shop's, as they are now where somebody says what they agreed to."""
        known = self.checkout.conditions
        return await (known.lately(shop) if all(one.agreed is None for one in purchases) else known.now(shop))

    def _plain(self, one: _Buying, conditions: Conditions) -> NewAttempt | None:
        """The attempt of a purchase that says nothing but what it wants, how it is paid for and what its buyer agreed
        to; None of one that says whatever else the wave does not know of, in whatever field.
        """
        said = one.purchase
        bare = Purchase(
            *(said.person, said.pool, said.quantity, said.show, said.method, said.key, said.address, said.admission),
            agreed=said.agreed,
            said=said.said,
            tries=said.tries,
            after=said.after,
        )
        new = agree_at_once(conditions, one.new, said.agreed) if said == bare else None
        if new is None or not payable(self.checkout, new) or too_little_time(self.checkout, one.taken):
            return None
        return new

    async def _sell(self, pool: str, begun: list[_Buying], asked_s: float) -> None:
        """From holds to orders."""
        checkout = self.checkout
        alive_until_s = asked_s + min(_alive_ms(one) for one in begun) / 1000
        paying = await self._write(begun)
        reserved = await self._authorise(paying, alive_until_s) if paying else []
        if not reserved:
            return
        outcomes = await checkout.commits.submit_all([one.new.id for one in reserved])
        checkout.outbox.kick(len(reserved))
        holds = []
        for one, outcome in zip(reserved, outcomes, strict=True):
            if outcome.refusal is not None:
                one.told = outcome.refusal
                continue
            holds.append(one.taken.id)
            made_at = outcome.made_at
            one.told = partial(view_of, checkout, one.new, outcome) if made_at is None else view_made(one.new, made_at)
        if holds:
            self._confirm(pool, holds)

    def _confirm(self, pool: str, holds: list[str]) -> None:
        """Tells the gate of orders, for which nobody has to wait. The outbox does it too, and does it when we die now;
        here the room sees the units sold without waiting for the outbox's turn.
        """

        def look(confirming: "asyncio.Task[Decided]") -> None:
            self._confirming.discard(confirming)
            failure = None if confirming.cancelled() else confirming.exception()
            if failure is not None:  # the log alone is left to hear of it
                log.error("checkout.confirm_failed", pool=pool, purchases=len(holds), exc_info=failure)

        confirming = asyncio.create_task(self.checkout.gate.confirm_all(pool, holds), name="confirm")
        self._confirming.add(confirming)
        confirming.add_done_callback(look)

    async def _write(self, begun: list[_Buying]) -> list[_Buying]:
        """Those whose attempt stands written."""
        written = await self.checkout.attempts.submit_all([one.new for one in begun])
        for one, fate in zip(begun, written, strict=True):
            if fate is not Written.STARTED:
                held = [Extended(one.taken.id, one.taken, forced=False)]
                one.told = partial(not_begun, self.checkout, one.wanted, held, one.new, fate)
        return [one for one in begun if one.told is None]

    async def _authorise(self, paying: list[_Buying], alive_until_s: float) -> list[_Buying]:
        """Those whose money is reserved, while their holds surely live."""
        checkout = self.checkout
        answers = await checkout.provider.authorise_all([payment_of(one.new) for one in paying])
        late = clock.monotonic_s() + COMMIT_MARGIN_S >= alive_until_s
        for one, answer in zip(paying, answers, strict=True):
            if answer is None:
                one.told = self._noting(one, partial(pay, checkout, one.new, alive_until_s))
            elif late or answer is not Answer.AUTHORISED or checkout.provider.has_card(one.new.method):
                one.told = self._noting(one, partial(answered, checkout, one.new, answer, alive_until_s))
        return [one for one in paying if one.told is None]

    async def _again(self, purchase: Purchase, decided: Decided) -> OrderView | Refusal:
        """The key was used: its answer; anew, when its hold was given back and no payment had begun. After
        TRIES_FOUND_MAX of those the next one's hold is only its own, as in take_by_key.
        """
        answer = await place_order(self.checkout, purchase.paid_with(decided.id))
        over = decided.hold is not None and decided.hold.state not in STANDS
        if answer is not HOLD_ENDED or not over or purchase.tries > TRIES_FOUND_MAX:
            return answer
        after = decided.id if purchase.tries < TRIES_FOUND_MAX else clock.new_id()
        return await self.buy(msgspec.structs.replace(purchase, after=after, tries=purchase.tries + 1))

    def _noting(self, one: _Buying, going_on: Alone) -> Alone:
        """The hold becomes one of its person's when the payment goes on without the request."""

        async def go_on() -> OrderView | Refusal:
            answer = await going_on()
            if isinstance(answer, Refusal) and answer.code in _GOES_ON and one.taken.hold is not None:
                await note_hold(self.sales, one.purchase.pool, one.taken)
            return answer

        return go_on


def _named(checkout: Checkout, purchase: Purchase, found: str | Refusal) -> Purchase | Told:
    way = way_named(checkout, found)
    if isinstance(way, Refusal):
        return partial(known_or, checkout, purchase.person, purchase.key, purchase.body_hash, way)
    return msgspec.structs.replace(purchase, method=way, said=purchase.method)


def _wish(asked: Purchase, attempt: str) -> WishToPay:
    body = f"{asked.quantity}:{asked.show}"
    return WishToPay(attempt, asked.person, asked.gate_key, body, asked.quantity, asked.show, asked.address)


def _begin(purchase: Purchase, attempt: str, decided: Decided) -> _Buying:
    assert decided.label is not None
    new = NewAttempt(
        id=attempt,
        person=purchase.person,
        shop=decided.label.shop,
        show=decided.label.show or purchase.show,
        currency=decided.label.currency,
        method=purchase.method,
        key=purchase.key,
        body_hash=purchase.body_hash,
        lines=(line_of(decided.id, decided),),
        kept=bool(purchase.said),
        address=purchase.address,
    )
    return _Buying(purchase, decided, new)


def _alive_ms(one: _Buying) -> int:
    assert one.taken.hold is not None
    return one.taken.hold.expires_at_ms - one.taken.now_ms


def _end_of(one: _Buying) -> Told:
    assert one.told is not None
    return one.told


async def _refused(checkout: Checkout, purchase: Purchase, refusal: Refusal) -> OrderView | Refusal:
    """The gate remembers a key for some hours, or until it is lost; the order's own memory is longer."""
    return await known_or(checkout, purchase.person, purchase.key, purchase.body_hash, refusal)


async def _fail(failure: Exception) -> OrderView | Refusal:
    raise failure
