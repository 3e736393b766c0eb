"""The simulated payment provider: methods chosen by button, books of its own, no money.

Its table stands for the provider's side. Hawker's other code never reads it: it asks by the Provider's calls.
"""

import asyncio
from enum import StrEnum
from typing import Final

import asyncpg

from app.checkout.provider import Answer, Payment


class Method(StrEnum):
    """works · declines · hangs: decides only after Hawker has stopped waiting."""

    WORKS = "works"
    DECLINES = "declines"
    HANGS = "hangs"


_AUTHORISE: Final = """
    INSERT INTO simulated_payments (attempt_id, method, amount_minor, currency, state, answers_at)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6))
    ON CONFLICT (attempt_id) DO NOTHING"""

_LOOK: Final = """
    SELECT CASE WHEN state = 'voided' OR answers_at <= clock_timestamp() THEN state ELSE 'silent' END
      FROM simulated_payments WHERE attempt_id = $1"""

_CAPTURE: Final = """
    UPDATE simulated_payments SET state = 'captured', order_id = $2, captures = captures + 1, captured_at = now()
     WHERE attempt_id = $1 AND state = 'authorised'"""

# A void of what never came leaves a note, so that a late authorisation finds it and is refused.
_VOID: Final = """
    INSERT INTO simulated_payments (attempt_id, method, amount_minor, currency, state)
    VALUES ($1, '', 0, '', 'voided')
    ON CONFLICT (attempt_id) DO UPDATE SET state = 'voided' WHERE simulated_payments.state = 'authorised'"""


class SimulatedProvider:
    """`silence_s` is how long the method that hangs takes to decide; longer than Hawker's payment timeout."""

    def __init__(self, pg: asyncpg.Pool, silence_s: float) -> None:
        self._pg = pg
        self._silence_s = silence_s

    async def authorise(self, payment: Payment) -> Answer:
        """Decides by the method, once per attempt."""
        state = Answer.DECLINED if payment.method == Method.DECLINES else Answer.AUTHORISED
        silent_s = self._silence_s if payment.method == Method.HANGS else 0.0
        await self._pg.execute(
            _AUTHORISE, payment.attempt, payment.method, payment.amount_minor, payment.currency, state, silent_s
        )
        answer = await self.look(payment.attempt)
        while answer is Answer.SILENT:
            await asyncio.sleep(self._silence_s)
            answer = await self.look(payment.attempt)
        return answer

    async def look(self, attempt: str) -> Answer:
        """The state in the books, SILENT while it hangs."""
        state = await self._pg.fetchval(_LOOK, attempt)
        return Answer.UNKNOWN if state is None else Answer(state)

    async def capture(self, attempt: str, order: str) -> Answer:
        """Counts every real capture, so that a second one would be seen in the books."""
        await self._pg.execute(_CAPTURE, attempt, order)
        return await self.look(attempt)

    async def void(self, attempt: str) -> Answer:
        """Frees the money; what is captured stays captured."""
        await self._pg.execute(_VOID, attempt)
        return await self.look(attempt)
