"""What Stripe's words mean: its units of money, its states of a payment, its signature, its events. Values in and out.

The units are those of Stripe's page on currencies: the currency's minor unit, except that ISK and UGX are counted in
hundredths although they have none, and that amounts in thousandths must end in 0.
"""

import hashlib
import hmac
from typing import Final

import msgspec

from app.checkout.provider import Answer, DisputeState
from app.money import CURRENCIES, exponent

TOLERANCE_S: Final = 300
SIGNATURE_LENGTH_MAX: Final = 2000
_COUNTED_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
_NOT_TAKEN: Final = frozenset({"IQD", "LYD", "UYI"})

_ANSWERS: Final = {
    "requires_confirmation": Answer.UNKNOWN,  # made, and never asked for any money
    "requires_action": Answer.CHALLENGE,
    "processing": Answer.SILENT,
    "requires_capture": Answer.AUTHORISED,
    "succeeded": Answer.CAPTURED,
    "canceled": Answer.VOIDED,
}
_REFUND_ANSWERS: Final = {"succeeded": Answer.REFUNDED, "failed": Answer.DECLINED, "canceled": Answer.DECLINED}

_DISPUTE_STATES: Final = {
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
    "warning_closed": DisputeState.CLOSED,
    "prevented": DisputeState.CLOSED,
}


def to_units(amount_minor: int, currency: str) -> int | None:
    """Stripe's number for an amount; None when Stripe cannot be asked for exactly that."""
    if currency not in CURRENCIES or currency in _NOT_TAKEN or amount_minor < 1:
        return None
    if currency in _COUNTED_IN_HUNDREDTHS:
        return amount_minor * 100
    if exponent(currency) == 3 and amount_minor % 10:
        return None
    return amount_minor


def from_units(units: int, currency: str) -> int:
    """The amount that Stripe's number stands for, in minor units."""
    return units // 100 if currency in _COUNTED_IN_HUNDREDTHS else units


def answer_of(status: str, *, failed: bool) -> Answer:
    """What a PaymentIntent's status says. `failed`: it tells of an error with the last try."""
    if status == "requires_payment_method":
        return Answer.DECLINED if failed else Answer.UNKNOWN
    return _ANSWERS[status]


def refund_answer_of(status: str) -> Answer:
    """What a Refund's status says; one that is on its way is SILENT."""
    return _REFUND_ANSWERS.get(status, Answer.SILENT)


def dispute_state_of(status: str) -> DisputeState:
    """What a Dispute's status says. Of what begins with `warning_`, and of words younger than these, no money moved."""
    return _DISPUTE_STATES.get(status, DisputeState.INQUIRY)


def signature_holds(header: str, body: bytes, secrets: tuple[str, ...], now_s: int) -> bool:
    """Whether one of the secrets signed these very bytes, less than TOLERANCE_S from now.

    Stripe's scheme v1: HMAC-SHA256 over "<t>.<body>"; while a secret is being rolled there are several signatures.
    """
    if len(header) > SIGNATURE_LENGTH_MAX or not header.isascii():
        return False
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1 or not times[0].isdecimal() or abs(now_s - int(times[0])) > TOLERANCE_S:
        return False
    signed = times[0].encode() + b"." + body
    right = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    given = [value for name, _, value in pairs if name == "v1"]
    return any(hmac.compare_digest(one, other) for one in right for other in given)


REFUND_EVENTS: Final = frozenset({"charge.refunded", "charge.refund.updated", "refund.updated"})

DISPUTE_EVENTS: Final = frozenset(
    f"charge.dispute.{word}" for word in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)


CARD_EVENTS: Final = frozenset(f"payment_method.{word}" for word in ("automatically_updated", "updated", "detached"))


class IntentObject(msgspec.Struct, frozen=True):
    """A PaymentIntent; or a charge, refund or dispute, which names its `payment_intent`; or anything else, with less
    of it.
    """

    id: str = ""
    object: str = ""
    amount: int = 0
    currency: str = ""
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None

    @property
    def said(self) -> dict[str, str]:
        """What we wrote beside it; Stripe says null of nothing."""
        return self.metadata or {}


class EventType(msgspec.Struct, frozen=True):
    """Of an event, no more than what tells whether the rest is our business."""

    type: str


class EventData(msgspec.Struct, frozen=True):
    """What an event is about, as it was when the event was made."""

    object: IntentObject


class StripeEvent(msgspec.Struct, frozen=True):
    """An event of a webhook. `account` is there when it is another account's, connected to ours."""

    id: str
    type: str
    data: EventData
    livemode: bool = False
    account: str | None = None


class OurPayment(msgspec.Struct, frozen=True):
    """What we know of the payment that an event names."""

    attempt: str
    intent: str | None
    amount_minor: int
    currency: str
    buyer: str


def contradiction(event: StripeEvent, ours: OurPayment, *, account: str, livemode: bool) -> str | None:
    """In which point an event about one of our PaymentIntents says something else than we know; None when in none."""
    intent = event.data.object
    foreign = whose(event, account=account, livemode=livemode)
    if foreign is not None:
        return foreign
    if event.type in DISPUTE_EVENTS:
        return _dispute_contradiction(intent, ours)
    return (_refund_contradiction if event.type in REFUND_EVENTS else _intent_contradiction)(intent, ours)


def whose(event: StripeEvent, *, account: str, livemode: bool) -> str | None:
    """In which point an event is somebody else's; None when it is of our account and mode."""
    if event.account not in {None, account}:
        return "account"
    return None if event.livemode is livemode else "mode"


def _intent_contradiction(intent: IntentObject, ours: OurPayment) -> str | None:
    if intent.id != ours.intent:
        return "payment"
    if intent.said.get("account") != ours.buyer:
        return "buyer"
    if intent.currency != ours.currency.lower():
        return "currency"
    return None if intent.amount == to_units(ours.amount_minor, ours.currency) else "amount"


def _refund_contradiction(given: IntentObject, ours: OurPayment) -> str | None:
    """Of a charge, or of a refund, which is a part of it and does not say whose it is."""
    if given.payment_intent != ours.intent:
        return "payment"
    if given.said.get("account", ours.buyer) != ours.buyer:
        return "buyer"
    if given.currency != ours.currency.lower():
        return "currency"
    whole = to_units(ours.amount_minor, ours.currency) or 0
    fits = given.amount == whole if given.object == "charge" else 0 < given.amount <= whole
    return None if fits else "amount"


def _dispute_contradiction(dispute: IntentObject, ours: OurPayment) -> str | None:
    """A bank may dispute a part, and with its own rate of exchange a little more than was paid."""
    if dispute.payment_intent != ours.intent:
        return "payment"
    if dispute.currency != ours.currency.lower():
        return "currency"
    return None if dispute.amount > 0 else "amount"
