"""The money of a payment that no order stands on: it is freed, or given back where it was captured after all.

Books only what the provider confirmed. One that refuses to give back is asked again, ever more slowly and each time
under another id, and the payment stands among its shop's troubles until the money went.
"""

from typing import Final

import asyncpg
import structlog

from app.checkout.provider import Answer, Patience, Refund

log = structlog.get_logger()

_FREE: Final = frozenset({Answer.VOIDED, Answer.DECLINED})
"""What a provider says of a payment of which it holds no money, and never will."""

_READ: Final = """
    SELECT a.amount_minor, a.currency, coalesce(b.refusals, 0) AS refusals
      FROM payment_attempts a LEFT JOIN give_backs_refused b ON b.attempt_id = a.id WHERE a.id = $1 AND a.line = 1"""

# $2: the events, with their accounts; each is booked once, however often it is seen.
_POST: Final = """
    INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
    SELECT a.id, t.event, t.debit, t.credit, a.amount_minor, a.currency, now()
      FROM payment_attempts a,
           (VALUES ('captured', 'captured', 'authorised'), ('given back', 'authorised', 'captured'))
               AS t (event, debit, credit)
     WHERE a.id = $1 AND a.line = 1 AND t.event = ANY ($2) ON CONFLICT DO NOTHING"""

_REFUSED: Final = """
    INSERT INTO give_backs_refused AS b (attempt_id, shop_id, amount_minor, currency)
    SELECT id, shop_id, $2, currency FROM payment_attempts WHERE id = $1 AND line = 1
    ON CONFLICT (attempt_id) DO UPDATE
       SET refusals = b.refusals + 1, amount_minor = $2, last_at = now(), ended_at = NULL"""

_ENDED: Final = "UPDATE give_backs_refused SET ended_at = now() WHERE attempt_id = $1 AND ended_at IS NULL"


async def free_money(pg: asyncpg.Pool, provider: Patience, attempt: str) -> bool:
    """Whether the buyer has their money; False to be asked again. Safe to repeat."""
    answer = await provider.void(attempt)
    if answer is Answer.CAPTURED:
        # In the moment in which it was given up, or by somebody at the provider's desk.
        return await _give_back(pg, provider, attempt)
    return answer in _FREE


async def _give_back(pg: asyncpg.Pool, provider: Patience, attempt: str) -> bool:
    given = await provider.given_back(attempt)
    if given is None:
        return False
    row = await pg.fetchrow(_READ, attempt)
    await pg.execute(_POST, attempt, ["captured"])
    rest_minor = row["amount_minor"] - sum(one.amount_minor for one in given)
    if rest_minor > 0:
        refund = f"{attempt}_{row['refusals']}" if row["refusals"] else attempt
        answer = await provider.refund(Refund(refund, attempt, rest_minor, row["currency"]))
        if answer is Answer.SILENT:
            return False
        if answer is not Answer.REFUNDED:
            log.error("checkout.give_back_refused", payment=attempt, refund=refund, provider=answer)
            await pg.execute(_REFUSED, attempt, rest_minor)
            return False
    await pg.execute(_POST, attempt, ["captured", "given back"])
    await pg.execute(_ENDED, attempt)
    return True
