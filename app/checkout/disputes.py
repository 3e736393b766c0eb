"""Disputes in our books: what a buyer says against a payment at their bank, each effect once.

Owns the rows and their ledger. The provider's word at this moment is written, in whatever order and however often we
are told to look. While the bank has the money it is on the account `disputed`; lost, it goes to `lost`: a cost of the
shop's, while the sale, its shipping and its tax stay as they were booked.
"""

from typing import Any, Final

from app.checkout.provider import Dispute, DisputeState

# Says nothing where nothing is new. Whatever was decided stays decided.
_WRITE: Final = """
    INSERT INTO disputes AS d (id, order_id, shop_id, state, reason, amount_minor, currency, decided_at)
    SELECT $2, id, shop_id, $3, $4, $5, currency, CASE WHEN $6 THEN now() END
      FROM payment_attempts WHERE id = $1 AND line = 1
    ON CONFLICT (id) DO UPDATE SET state = $3, decided_at = excluded.decided_at
     WHERE d.order_id = $1 AND d.state <> $3 AND d.decided_at IS NULL
    RETURNING id"""

# Each event once, however the dispute came to stand as it does.
_POST: Final = """
    INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
    SELECT order_id, $2 || ' ' || id, $3, $4, amount_minor, currency, now() FROM disputes
     WHERE id = $1 ON CONFLICT DO NOTHING"""

_TELL: Final = "INSERT INTO outbox (topic, subject) SELECT 'order.disputed', id FROM orders WHERE id = $1"

_TAKEN: Final = ("disputed", "disputed", "captured")
_MOVES: Final = {
    DisputeState.OPEN: [_TAKEN],
    DisputeState.WON: [_TAKEN, ("dispute won", "captured", "disputed")],
    DisputeState.LOST: [_TAKEN, ("dispute lost", "lost", "disputed")],
}
"""Event, debit, credit."""
_DECIDED: Final = frozenset({DisputeState.WON, DisputeState.LOST, DisputeState.CLOSED})


async def note_disputes(connection: Any, order: str, found: list[Dispute]) -> None:
    """Writes how the disputes of a payment stand. The caller holds `lock_order`, and the capture is booked."""
    for one in found:
        over = one.state in _DECIDED
        if await connection.fetchval(_WRITE, order, one.id, one.state, one.reason, one.amount_minor, over) is None:
            continue
        for event, debit, credit in _MOVES.get(one.state, ()):
            await connection.execute(_POST, one.id, event, debit, credit)
        await connection.execute(_TELL, order)
