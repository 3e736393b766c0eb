"""The settler: finishes or voids whatever a crash, or a provider that was silent, left behind.

A payment attempt that is open and that nobody has touched for `settle_after_s` is asked about at the provider, and
then ends as an order or not at all. Two settlers side by side do no harm.
"""

from typing import Final

import structlog

from app.checkout.attempts import OpenAttempt, find_open
from app.checkout.parts import Checkout
from app.checkout.pay import finish
from app.checkout.provider import Answer
from app.refusal import Refusal

BATCH_MAX: Final = 100
KEYS_KEPT_H: Final = 24
FORGOTTEN_AT_ONCE: Final = 1000

log = structlog.get_logger()

_FORGET_KEYS: Final = """
    DELETE FROM idempotency_keys WHERE (account_id, key) IN (
        SELECT account_id, key FROM idempotency_keys
         WHERE status IS NOT NULL AND created_at < now() - make_interval(hours => $1) LIMIT $2)"""


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
    for attempt in attempts:
        await _settle_one(checkout, attempt)
    return attempts[-1].id if len(attempts) == BATCH_MAX else None


async def _settle_one(checkout: Checkout, attempt: OpenAttempt) -> None:
    answer = await checkout.provider.look(attempt.id)
    if answer is Answer.SILENT and not attempt.hopeless:
        return
    outcome = await finish(checkout, attempt, answer)
    word = outcome.code if isinstance(outcome, Refusal) else "order"
    log.info("checkout.settled", attempt=attempt.id, provider=answer, outcome=word)


async def forget(checkout: Checkout) -> None:
    """Deletes what is kept for a day: answers under idempotency keys, notes of the outbox that were done."""
    while await checkout.pg.execute(_FORGET_KEYS, KEYS_KEPT_H, FORGOTTEN_AT_ONCE) == f"DELETE {FORGOTTEN_AT_ONCE}":
        pass
    await checkout.outbox.forget_done()
