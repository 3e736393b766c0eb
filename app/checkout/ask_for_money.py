"""Asking the provider for an attempt's money, unless too many were declined before: of buyer, network or card.

Owns what is asked and that nothing is where somebody has to wait. What becomes of the answer is app/checkout/pay.py's.
"""

from app.checkout.attempts import NewAttempt, OpenAttempt, give_up
from app.checkout.parts import Checkout
from app.checkout.provider import RESERVED, Answer, Payment
from app.refusal import Refusal


def payment_of(new: NewAttempt) -> Payment:
    """What the provider is asked for."""
    return Payment(new.id, new.method, new.amount_minor, new.currency, new.person, new.keep, new.kept)


async def ask_for_money(checkout: Checkout, new: NewAttempt) -> Answer | Refusal:
    """The provider's answer, or who has to wait and how long."""
    if checkout.provider.never_declines(new.method):
        return await checkout.provider.authorise(payment_of(new))
    waits = await checkout.declines.begin(new.id, new.person, new.address)
    if waits is not None:
        return await _turn_away(checkout, new, waits)
    at_card = checkout.declines.at_card(new.id)
    answer = await checkout.provider.authorise(payment_of(new), at_card)
    return answer if at_card.refused is None else await _turn_away(checkout, new, at_card.refused)


async def weigh_try(checkout: Checkout, attempt: OpenAttempt, answer: Answer) -> None:
    """A try that was decided counts against who made it, or no more."""
    # CHALLENGE: its buyer never answered. That a bank asks tells somebody with a list of cards enough. Where the sale
    # was called off meanwhile nobody had to.
    unanswered = answer is Answer.CHALLENGE
    if answer is Answer.DECLINED or (unanswered and not attempt.called_off):
        await checkout.declines.note(attempt.id)
    elif (answer in RESERVED or unanswered) and not checkout.provider.never_declines(attempt.method):
        await checkout.declines.forgive(attempt.id)


async def _turn_away(checkout: Checkout, new: NewAttempt, waits: Refusal) -> Refusal:
    """What was held is free again, as after a decline; so is the key, since nobody was asked for any money."""
    await give_up(checkout.pg, new.id, waits.code, ask_anew=True)
    for line in new.lines:
        await checkout.gate.resume(line.hold, new.id, give_back=True)
    checkout.outbox.kick()
    return waits
