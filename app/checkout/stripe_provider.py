"""Stripe as the payment provider: PaymentIntents with manual capture, by Stripe's own library, without blocking.

A PaymentIntent is made without asking for money, noted in Postgres, and only then confirmed. So whatever is cut off in
between, money is reserved only for an intent that we can look up, and voiding an attempt that Stripe has not heard of
is a note here, which a late authorisation finds.
"""

import re
from typing import Any, Final

import asyncpg
import stripe
import structlog

from app.checkout.provider import Answer, Dispute, GivenBack, KeptCard, MayTry, Payment, Refund, any_card
from app.checkout.stripe_calls import ask, once
from app.checkout.stripe_cards import StripeCards, is_gone, kept_of
from app.checkout.stripe_rules import answer_of, dispute_state_of, from_units, refund_answer_of, to_units

HTTP_TIMEOUT_S: Final = 60.0  # the last resort: Patience ends every call earlier
REFUNDS_MAX: Final = 100
DISPUTES_MAX: Final = 100
_METHOD: Final = re.compile(r"pm_[A-Za-z0-9_]{1,250}")

log = structlog.get_logger()

_READ: Final = "SELECT intent, voided_at IS NOT NULL AS voided FROM stripe_payments WHERE attempt_id = $1"

_NOTE: Final = """
    INSERT INTO stripe_payments (attempt_id, intent) VALUES ($1, $2) ON CONFLICT (attempt_id) DO NOTHING
    RETURNING attempt_id"""

_VOID: Final = """
    INSERT INTO stripe_payments (attempt_id, voided_at) VALUES ($1, now())
    ON CONFLICT (attempt_id) DO UPDATE SET voided_at = coalesce(stripe_payments.voided_at, now())
    RETURNING intent"""


class StripeProvider:
    """`api_base` is Stripe's unless a test says otherwise. Close it with `aclose`."""

    def __init__(self, pg: asyncpg.Pool, secret_key: str, api_base: str = "") -> None:
        self._pg = pg
        self._http = stripe.HTTPXClient(timeout=HTTP_TIMEOUT_S)
        client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base} if api_base else {},
            http_client=self._http,
            max_network_retries=0,  # whoever asks again, and when, is decided by settler and outbox
        )
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds
        self._disputes = client.v1.disputes
        self._cards = StripeCards(pg, client)

    async def aclose(self) -> None:
        """Closes the connections to Stripe."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def knows(self, method: str) -> bool:
        """A payment method that Stripe's own frame made."""
        return _METHOD.fullmatch(method) is not None

    def takes(self, amount_minor: int, currency: str) -> bool:
        """Whether the amount is one in Stripe's units."""
        return to_units(amount_minor, currency) is not None

    def has_card(self, method: str) -> bool:
        """Every method here is a card."""
        del method
        return True

    def never_declines(self, method: str) -> bool:
        """None of them."""
        del method
        return False

    async def card(self, attempt: str) -> str | None:
        """Stripe's fingerprint of the card; its method's id where the card has none."""
        row = await self._pg.fetchrow(_READ, attempt)
        return _card(await ask(self._intents.retrieve_async(row["intent"], {"expand": ["payment_method"]})))

    async def authorise(self, payment: Payment, may_try: MayTry = any_card) -> Answer:
        """Makes the intent, notes it, confirms it."""
        try:
            intent = await self._make(payment, may_try)
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            log.info("stripe.refused", attempt=payment.attempt, code=error.code)
            return Answer.DECLINED
        if isinstance(intent, Answer):
            return intent
        try:
            confirmed = await ask(self._intents.confirm_async(intent, options=once(f"{payment.attempt}:confirm")))
        except stripe.CardError as error:
            log.info("stripe.declined", attempt=payment.attempt, code=error.code)
            return Answer.DECLINED
        except stripe.InvalidRequestError:
            # It was confirmed, or voided, by somebody else; or its card cannot be used any more.
            found = await self.look(payment.attempt)
            return Answer.DECLINED if found is Answer.UNKNOWN else found
        return _answer(confirmed)

    async def _make(self, payment: Payment, may_try: MayTry) -> str | Answer:
        """The attempt's intent, known to Postgres; VOIDED when the attempt was voided meanwhile, BARRED when its card
        may not be tried.
        """
        row = await self._pg.fetchrow(_READ, payment.attempt)
        if row is None:
            made = await self._create(payment)
            noted = await self._pg.fetchval(_NOTE, payment.attempt, made.id) is not None
            if noted and not await may_try(_card(made)):
                return Answer.BARRED
            row = await self._pg.fetchrow(_READ, payment.attempt)
        return Answer.VOIDED if row["voided"] else str(row["intent"])

    async def _create(self, payment: Payment) -> stripe.PaymentIntent:
        amount = to_units(payment.amount_minor, payment.currency)
        assert amount is not None, "the caller asked whether Stripe takes it"

        async def create(about_card: dict[str, Any], key: str) -> stripe.PaymentIntent:
            wanted: Any = {
                "amount": amount,
                "currency": payment.currency.lower(),
                "payment_method": payment.method,
                "allowed_payment_method_types": ["card"],
                "capture_method": "manual",
                "expand": ["payment_method"],
                "metadata": {"payment": payment.attempt, "account": payment.buyer},
                **about_card,
            }
            return await ask(self._intents.create_async(wanted, options=once(key)))

        about_card = await self._cards.said_of(payment)
        try:
            return await create(about_card, payment.attempt)
        except stripe.InvalidRequestError as error:
            if "customer" not in about_card or not is_gone(error):
                raise
            await self._cards.forget_customer(payment.buyer, about_card["customer"])
            if not payment.keep:
                raise
            return await create(await self._cards.said_of(payment), f"{payment.attempt}:again")

    async def look(self, attempt: str) -> Answer:
        """The intent's state."""
        row = await self._pg.fetchrow(_READ, attempt)
        if row is None:
            return Answer.UNKNOWN
        if row["intent"] is None:
            return Answer.VOIDED
        return _answer(await ask(self._intents.retrieve_async(row["intent"])))

    async def challenge(self, attempt: str) -> str:
        """The intent's client secret, for Stripe's script on the buyer's page."""
        row = await self._pg.fetchrow(_READ, attempt)
        found = await ask(self._intents.retrieve_async(row["intent"]))
        return found.client_secret or ""

    async def capture(self, attempt: str, order: str) -> Answer:
        """Takes the whole amount, under the order's id."""
        row = await self._pg.fetchrow(_READ, attempt)
        try:
            return _answer(await ask(self._intents.capture_async(row["intent"], options=once(f"{order}:capture"))))
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            log.warning("stripe.capture_refused", attempt=attempt, code=error.code)
            return await self.look(attempt)  # captured before, expired, cancelled

    async def void(self, attempt: str) -> Answer:
        """Cancels the intent; notes it where there is none yet."""
        intent = await self._pg.fetchval(_VOID, attempt)
        if intent is None:
            return Answer.VOIDED
        try:
            return _answer(await ask(self._intents.cancel_async(intent, options=once(f"{attempt}:void"))))
        except stripe.InvalidRequestError:
            return await self.look(attempt)  # cancelled before, captured, or just being decided

    async def refund(self, refund: Refund) -> Answer:
        """Gives an amount back. Stripe forgets an idempotency key after a day, so what is there is looked at first."""
        row = await self._pg.fetchrow(_READ, refund.attempt)
        for one in await self._refunds_of(row["intent"]):
            if _our_id(one) == refund.id:
                return refund_answer_of(one.status or "")
        amount = to_units(refund.amount_minor, refund.currency)
        assert amount is not None, "a part of what Stripe took, decided by refund_rules"
        try:
            made = await ask(
                self._refunds.create_async(
                    {"payment_intent": row["intent"], "amount": amount, "metadata": {"refund": refund.id}},
                    options=once(refund.id),
                )
            )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            log.warning("stripe.refund_refused", refund=refund.id, code=error.code)
            return Answer.DECLINED
        return refund_answer_of(made.status or "")

    async def given_back(self, attempt: str) -> list[GivenBack]:
        """The refunds that succeeded; those made in Stripe's dashboard carry no id of ours."""
        row = await self._pg.fetchrow(_READ, attempt)
        if row is None or row["intent"] is None:
            return []
        return [
            GivenBack(one.id, _our_id(one), from_units(one.amount, one.currency.upper()))
            for one in await self._refunds_of(row["intent"])
            if refund_answer_of(one.status or "") is Answer.REFUNDED
        ]

    async def disputes(self, attempt: str) -> list[Dispute]:
        """Those of the intent's charges."""
        row = await self._pg.fetchrow(_READ, attempt)
        if row is None or row["intent"] is None:
            return []
        found = await ask(self._disputes.list_async({"payment_intent": row["intent"], "limit": DISPUTES_MAX}))
        return [
            Dispute(one.id, dispute_state_of(one.status), from_units(one.amount, one.currency.upper()), one.reason)
            for one in found.data
        ]

    async def card_kept(self, attempt: str) -> KeptCard | Answer:
        """The intent's card, where Stripe keeps it for its customer."""
        row = await self._pg.fetchrow(_READ, attempt)
        if row is None or row["intent"] is None:
            return Answer.UNKNOWN
        found = await ask(self._intents.retrieve_async(row["intent"], {"expand": ["payment_method"]}))
        return kept_of(found.payment_method)

    async def kept_card(self, method: str) -> KeptCard | Answer:
        """The payment method, while it is a customer's."""
        return await self._cards.look(method)

    async def forget_card(self, method: str) -> bool:
        """Detaches it from its customer."""
        return await self._cards.let_go(method)

    async def _refunds_of(self, intent: str) -> list[stripe.Refund]:
        return (await ask(self._refunds.list_async({"payment_intent": intent, "limit": REFUNDS_MAX}))).data


def _our_id(refund: stripe.Refund) -> str:
    known: Any = refund.metadata
    return str(known["refund"]) if known and "refund" in known else ""


def _card(intent: stripe.PaymentIntent) -> str:
    """What tells the card of an intent, read with its payment method, from every other."""
    method: Any = intent.payment_method
    card = getattr(method, "card", None)
    return f"stripe: {getattr(card, 'fingerprint', None) or getattr(method, 'id', method)}"


def _answer(intent: stripe.PaymentIntent) -> Answer:
    return answer_of(intent.status, failed=intent.last_payment_error is not None)
