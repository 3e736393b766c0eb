"""What Stripe tells us by itself: proved by its signature, compared with what we know, noted once, acted on later.

An event is a hint. It is kept under its id in the same transaction as the outbox's note to look at the payment, and
what is done then follows from what Stripe says of the payment at that moment. So doubled, reordered and late events
do no harm. Events about payments that are not ours are none of our business: another system may share the account.
"""

from typing import Final

import msgspec
import structlog

from app.checkout.parts import Checkout
from app.checkout.stripe_rules import (
    CARD_EVENTS,
    DISPUTE_EVENTS,
    REFUND_EVENTS,
    EventType,
    OurPayment,
    StripeEvent,
    contradiction,
    signature_holds,
    whose,
)
from app.refusal import Refusal
from app.settings import StripeSettings

EVENT_BYTES_MAX: Final = 256 * 1024
EVENTS_KEPT_D: Final = 60
FORGOTTEN_AT_ONCE: Final = 1000
_TELLING: Final = frozenset(
    f"payment_intent.{word}" for word in ("amount_capturable_updated", "succeeded", "payment_failed", "canceled")
)
_TOPICS: Final = {
    **dict.fromkeys(_TELLING, "payment.look"),
    **dict.fromkeys(REFUND_EVENTS, "refunds.look"),
    **dict.fromkeys(DISPUTE_EVENTS, "disputes.look"),
    **dict.fromkeys(CARD_EVENTS, "card.look"),
}
"""What each kind of event has us look at; every other is none of our business."""

NOT_SIGNED: Final = Refusal("webhook_signature", "This was not signed by Stripe just now.")
MISMATCH: Final = Refusal("webhook_mismatch", "This event says something else of the payment than we know.")
NOT_AN_EVENT: Final = Refusal("malformed", "This is no event of Stripe.")
NO_STRIPE: Final = Refusal("not_found", "Payments here do not go through Stripe.")

log = structlog.get_logger()
_decode_type: Final = msgspec.json.Decoder(EventType).decode
_decode: Final = msgspec.json.Decoder(StripeEvent).decode

_OURS: Final = """
    SELECT a.id, s.intent, a.amount_minor, a.currency, a.account_id
      FROM payment_attempts a LEFT JOIN stripe_payments s ON s.attempt_id = a.id WHERE a.id = $1 LIMIT 1"""

# A charge has the metadata of its PaymentIntent, a refund made in Stripe's dashboard and a dispute have none.
_OURS_BY_INTENT: Final = """
    SELECT a.id, s.intent, a.amount_minor, a.currency, a.account_id
      FROM stripe_payments s JOIN payment_attempts a ON a.id = s.attempt_id WHERE s.intent = $1 LIMIT 1"""

_IS_SAVED: Final = "SELECT EXISTS (SELECT FROM saved_cards WHERE method = $1 AND removed_at IS NULL)"

_KEEP: Final = """
    WITH event AS (
        INSERT INTO stripe_events (id, type, attempt_id) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING RETURNING id
    )
    INSERT INTO outbox (topic, subject) SELECT $4, $5 FROM event"""

_FORGET: Final = """
    DELETE FROM stripe_events WHERE id IN (
        SELECT id FROM stripe_events WHERE received_at < now() - make_interval(days => $1) LIMIT $2)"""


async def hear_stripe(checkout: Checkout, body: bytes, signature: str, now_ms: int) -> Refusal | None:
    """Takes one event; None when it was taken, or was none of ours. A repeated one changes nothing."""
    stripe = checkout.settings.stripe
    if stripe is None:
        return NO_STRIPE
    if not signature_holds(signature, body, stripe.webhook_secrets, now_ms // 1000):
        return NOT_SIGNED
    try:
        if _decode_type(body).type not in _TOPICS:
            return None  # and whatever is in it may look like anything
        event = _decode(body)
    except msgspec.MsgspecError:
        return NOT_AN_EVENT
    return await (_keep_of_card if event.type in CARD_EVENTS else _keep)(checkout, stripe, event)


async def _keep_of_card(checkout: Checkout, stripe: StripeSettings, event: StripeEvent) -> Refusal | None:
    method = event.data.object.id
    if not await checkout.pg.fetchval(_IS_SAVED, method):
        return None
    if whose(event, account=stripe.account, livemode=stripe.live) is not None:
        return MISMATCH
    await checkout.pg.execute(_KEEP, event.id, event.type, None, _TOPICS[event.type], method)
    checkout.outbox.kick()
    return None


async def _keep(checkout: Checkout, stripe: StripeSettings, event: StripeEvent) -> Refusal | None:
    about = event.data.object
    if event.type in _TELLING:
        row = await checkout.pg.fetchrow(_OURS, about.said.get("payment", ""))
    else:
        row = await checkout.pg.fetchrow(_OURS_BY_INTENT, about.payment_intent or "")
    if row is None:
        return None
    ours = OurPayment(row["id"], row["intent"], row["amount_minor"], row["currency"], row["account_id"])
    wrong = contradiction(event, ours, account=stripe.account, livemode=stripe.live)
    if wrong is not None:
        log.warning("stripe.event_contradicts", event_id=event.id, payment=ours.attempt, point=wrong)
        return MISMATCH
    await checkout.pg.execute(_KEEP, event.id, event.type, ours.attempt, _TOPICS[event.type], ours.attempt)
    checkout.outbox.kick()
    return None


async def forget_events(checkout: Checkout) -> None:
    """Deletes events that Stripe has long stopped to repeat."""
    while await checkout.pg.execute(_FORGET, EVENTS_KEPT_D, FORGOTTEN_AT_ONCE) == f"DELETE {FORGOTTEN_AT_ONCE}":
        pass
