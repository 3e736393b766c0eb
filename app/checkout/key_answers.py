"""What a request to pay was answered under its idempotency key, which stands on its payment attempt for a day.

Only reads and retires keys; app/checkout/attempts.py writes them, and app/checkout/key_holds.py finds their holds.
"""

from typing import Final

import asyncpg
import msgspec

from app.checkout.order_rules import ATTEMPT_TRANSITIONS, NO_ORDER, ORDERED, AttemptEvent, AttemptState
from app.refusal import Refusal

_READ_KEY: Final = """
    SELECT id, body_hash, state, refusal FROM payment_attempts WHERE account_id = $1 AND idempotency_key = $2"""

_FORGET_KEYS: Final = """
    UPDATE payment_attempts SET idempotency_key = NULL, body_hash = NULL WHERE (id, line) IN (
        SELECT id, line FROM payment_attempts
         WHERE idempotency_key IS NOT NULL AND created_at < now() - make_interval(hours => $1)
           AND state NOT IN ('started', 'authorised') LIMIT $2)"""

KEYS_KEPT_H: Final = 24
FORGOTTEN_AT_ONCE: Final = 1000


class KnownAnswer(msgspec.Struct, frozen=True):
    """What a key's first request came to; neither `order` nor `refusal` while it is in progress."""

    same_body: bool
    order: str | None = None
    refusal: Refusal | None = None

    @property
    def in_progress(self) -> bool:
        """True while its own request is still being worked on."""
        return self.same_body and self.order is None and self.refusal is None


async def known_answer(pg: asyncpg.Pool, person: str, key: str, body_hash: bytes) -> KnownAnswer | None:
    """What this key's request came to; None when it is new."""
    row = await pg.fetchrow(_READ_KEY, person, key)
    if row is None:
        return None
    same, state = row["body_hash"] == body_hash, AttemptState(row["state"])
    if state in ORDERED:
        return KnownAnswer(same, order=row["id"])
    if (state, AttemptEvent.COMMIT) in ATTEMPT_TRANSITIONS:
        return KnownAnswer(same)
    return KnownAnswer(same, refusal=NO_ORDER[row["refusal"]])


async def forget_keys(pg: asyncpg.Pool) -> None:
    """Retires the keys of payments that ended and began more than KEYS_KEPT_H ago."""
    while await pg.execute(_FORGET_KEYS, KEYS_KEPT_H, FORGOTTEN_AT_ONCE) == f"UPDATE {FORGOTTEN_AT_ONCE}":
        pass
