"""The settler: finishes or voids whatever a crash, or a provider that was silent, left behind.

A payment attempt that is open and that nobody has touched for `settle_after_s` is asked about at the provider, and
then ends as an order or not at all. So is one of which the provider, or the buyer, says that it has been decided.
Two settlers side by side do no harm.
"""

import asyncio
from typing import Final

import structlog

from app.checkout.attempts import OpenAttempt, find_open, open_attempt, touch
from app.checkout.challenge import pace
from app.checkout.give_back import free_money
from app.checkout.key_answers import forget_keys
from app.checkout.parts import Checkout
from app.checkout.pay import finish
from app.checkout.provider import RESERVED, UNDECIDED, Answer
from app.outage import EXTERNAL, is_outage
from app.refusal import Refusal

BATCH_MAX: Final = 100
SIDE_BY_SIDE_MAX: Final = 8

DECISIVE: Final = RESERVED | {Answer.DECLINED, Answer.VOIDED}

log = structlog.get_logger()

_OF_BUYER: Final = "SELECT EXISTS (SELECT FROM payment_attempts WHERE id = $1 AND account_id = $2)"

_WITHOUT_ORDER: Final = """
    SELECT method FROM payment_attempts
     WHERE id = $1 AND line = 1 AND state IN ('declined', 'voiding', 'voided', 'capture_refused')"""

NO_PAYMENT: Final = Refusal("not_found", "There is no such payment.")


async def settle(checkout: Checkout) -> None:
    """One round over all of them: those on which the provider is silent keep nobody else waiting."""
    after: str | None = ""
    while after is not None:
        after = await _settle_some(checkout, after)


async def _settle_some(checkout: Checkout, after: str) -> str | None:
    """Settles the next BATCH_MAX; answers after which to go on, None when these were the last."""
    settings = checkout.settings
    attempts = await find_open(
        checkout.pg,
        untouched_s=settings.settle_after_s,
        hopeless_s=settings.hold_extended_max_s,
        count_max=BATCH_MAX,
        after=after,
    )
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE_MAX)

    async def settle_one(attempt: OpenAttempt) -> None:
        async with side_by_side:
            try:
                await _settle_one(checkout, attempt)
            except Exception as error:
                if isinstance(error, EXTERNAL) and is_outage(error):
                    raise
                # What is wrong with one payment (its provider knows it no more, say) stops no other.
                log.exception("checkout.settle_failed", attempt=attempt.id)
                await touch(checkout.pg, attempt.id)

    async with asyncio.TaskGroup() as group:
        for attempt in attempts:
            group.create_task(settle_one(attempt), name="settle")
    return attempts[-1].id if len(attempts) == BATCH_MAX else None


async def _settle_one(checkout: Checkout, attempt: OpenAttempt) -> None:
    answer = await checkout.provider.of(attempt.method).look(attempt.id)
    if answer in UNDECIDED and not attempt.hopeless:
        await touch(checkout.pg, attempt.id)
        return
    outcome = await finish(checkout, attempt, answer)
    word = outcome.code if isinstance(outcome, Refusal) else "order"
    log.info("checkout.settled", attempt=attempt.id, provider=answer, outcome=word)


async def look_again(checkout: Checkout, payment: str) -> bool:
    """Something has happened to the payment at the provider: sees what, and acts on it. An effect of the outbox.

    What came too late for any order is given back.
    """
    attempt = await open_attempt(checkout.pg, payment, hopeless_s=checkout.settings.hold_extended_max_s)
    if attempt is not None:
        answer = await checkout.provider.of(attempt.method).look(payment)
        # Not what is only about to be asked: somebody may just be asking it.
        if answer in DECISIVE:
            await finish(checkout, attempt, answer)
        return True
    method = await checkout.pg.fetchval(_WITHOUT_ORDER, payment)
    if method is None:
        return True
    provider = checkout.provider.of(method)
    answer = await provider.look(payment)
    if answer in RESERVED:
        return await free_money(checkout.pg, provider, payment)
    return answer is not Answer.SILENT


async def look_for_buyer(checkout: Checkout, payment: str, buyer: str, address: str) -> Refusal | None:
    """The buyer says that their bank has decided: asks the provider, and finishes the payment. Safe to repeat, so many
    times.
    """
    if not await checkout.pg.fetchval(_OF_BUYER, payment, buyer):
        return NO_PAYMENT
    refused = await pace(checkout, buyer, address)
    if refused is None:
        await look_again(checkout, payment)
    return refused


async def forget(checkout: Checkout) -> None:
    """What is kept for a day: idempotency keys, notes of the outbox that were done, declined payments."""
    await forget_keys(checkout.pg)
    await checkout.outbox.forget_done()
    await checkout.declines.forget()
