"""Stripe's customers, and the cards that it keeps for them: made, looked at, let go.

A customer is made when its account first asks to have a card kept, under a key that was noted before: however often
and from how many windows it is asked, and wherever an answer is lost, Stripe makes one. Stripe keeps the card by
itself, once the payment that says so has gone through.
"""

import asyncio
from typing import Any, Final

import asyncpg
import stripe

from app import clock
from app.checkout.provider import Answer, KeptCard, Payment
from app.checkout.stripe_calls import KeyInUse, ask, once

BUSY_PAUSE_S: Final = 0.1

# DO UPDATE, so that whoever comes second sees what the first has noted.
_NOTE_KEY: Final = """
    INSERT INTO stripe_customers (account_id, key) VALUES ($1, $2)
    ON CONFLICT (account_id) DO UPDATE SET account_id = excluded.account_id RETURNING key, customer"""

_NOTE_CUSTOMER: Final = "UPDATE stripe_customers SET customer = $3 WHERE account_id = $1 AND key = $2"

_CUSTOMER: Final = "SELECT customer FROM stripe_customers WHERE account_id = $1"

_FORGET_CUSTOMER: Final = "DELETE FROM stripe_customers WHERE account_id = $1 AND customer = $2"


class StripeCards:
    """Beside StripeProvider, over the same connections."""

    def __init__(self, pg: asyncpg.Pool, client: stripe.StripeClient) -> None:
        self._pg = pg
        self._customers = client.v1.customers
        self._methods = client.v1.payment_methods

    async def said_of(self, payment: Payment) -> dict[str, Any]:
        """What a PaymentIntent says of its card beside the card: nothing, unless it is to be kept or is kept."""
        if payment.kept:
            customer = await self._pg.fetchval(_CUSTOMER, payment.buyer)
            return {} if customer is None else {"customer": customer}
        if payment.keep:
            return {"customer": await self._customer_of(payment.buyer), "setup_future_usage": "on_session"}
        return {}

    async def forget_customer(self, account: str, customer: str) -> None:
        """Stripe has it no more; the next card makes another."""
        await self._pg.execute(_FORGET_CUSTOMER, account, customer)

    async def look(self, method: str) -> KeptCard | Answer:
        """The card as Stripe has it now."""
        try:
            return kept_of(await ask(self._methods.retrieve_async(method)))
        except stripe.InvalidRequestError:
            return Answer.UNKNOWN

    async def let_go(self, method: str) -> bool:
        """Has Stripe keep it no more."""
        try:
            await ask(self._methods.detach_async(method))
        except stripe.InvalidRequestError:
            return await self.look(method) is Answer.UNKNOWN  # by somebody else, or by a call whose answer was lost
        return True

    async def _customer_of(self, account: str) -> str:
        """Of two windows that ask at once one is told to wait; its caller's patience has an end."""
        while True:
            row = await self._pg.fetchrow(_NOTE_KEY, account, clock.new_id())
            if row["customer"] is not None:
                return str(row["customer"])
            try:
                made = await ask(
                    self._customers.create_async({"metadata": {"account": account}}, options=once(row["key"]))
                )
            except KeyInUse:
                await asyncio.sleep(BUSY_PAUSE_S)
                continue
            await self._pg.execute(_NOTE_CUSTOMER, account, row["key"], made.id)
            return made.id


def is_gone(error: stripe.InvalidRequestError) -> bool:
    """Whether Stripe refused because it has that customer no more: somebody deleted them at its desk."""
    return error.code == "resource_missing" and error.param == "customer"


def kept_of(method: Any) -> KeptCard | Answer:
    """A PaymentMethod as a card that is kept; UNKNOWN when it is nobody's."""
    card = getattr(method, "card", None)
    if card is None or method.customer is None:
        return Answer.UNKNOWN
    fingerprint = f"stripe: {getattr(card, 'fingerprint', None) or method.id}"
    return KeptCard(method.id, card.brand, card.last4, card.exp_month, card.exp_year, fingerprint)
