"""What the outbox does: confirm and announce an order, capture, void, tell the buyer. Each may run more than once.

A crash between an effect and its tick repeats it. Captures and voids are idempotent at the provider, confirmations
in the gate; an announcement may then be read twice in the room, which is better than never.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import asyncpg

from app import clock
from app.checkout.order_rules import AttemptEvent, AttemptState, OrderEvent, OrderState, change_attempt, change_order
from app.checkout.orders import host_view, read_order
from app.checkout.outbox import Effect
from app.checkout.provider import Answer, Provider
from app.checkout.views import OrderCancelled, OrderPaid, Sold, StaffOrder
from app.flash_sales.gate import Gate
from app.rooms.bus import Rooms, staff_room

_READ_ATTEMPT: Final = "SELECT id, hold_id, state, order_id, account_id FROM payment_attempts WHERE id = $1"

_CAPTURED: Final = """
    WITH attempt AS (
        UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3 RETURNING order_id
    ), note AS (
        INSERT INTO outbox (topic, subject) SELECT 'order.paid', order_id FROM attempt
    )
    UPDATE orders o SET state = $4, paid_at = now() FROM attempt a WHERE o.id = a.order_id AND o.state = $5"""

# The attempt's pool and, in case it is a sale's, the variant's ordinary one; in the order of their ids.
_LOCK_POOLS: Final = """
    SELECT o.id FROM payment_attempts a JOIN pools p ON p.id = a.pool_id
      JOIN pools o ON o.id = p.id OR o.variant_id = p.variant_id AND o.flash_sale_id IS NULL
     WHERE a.id = $1 ORDER BY o.id FOR NO KEY UPDATE OF o"""

# The order does not stand: its units go back to the pool and to the buyer's limit. A sale's pool that is closed has
# given its units back already, so these go where those went.
_REFUSED: Final = """
    WITH attempt AS (
        UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3
        RETURNING order_id, pool_id, account_id, quantity
    ), cancelled AS (
        UPDATE orders o SET state = $4, cancelled_at = now() FROM attempt a WHERE o.id = a.order_id
    ), buyer AS (
        UPDATE pool_buyers b SET sold = b.sold - a.quantity
          FROM attempt a WHERE b.pool_id = a.pool_id AND b.account_id = a.account_id
    ), note AS (
        INSERT INTO outbox (topic, subject) SELECT 'order.cancelled', order_id FROM attempt
    ), closed AS (
        SELECT p.id, p.variant_id, a.quantity
          FROM attempt a JOIN pools p ON p.id = a.pool_id WHERE p.closed_at IS NOT NULL
    ), ordinary AS (
        UPDATE pools o SET allotment = o.allotment + c.quantity
          FROM closed c WHERE o.variant_id = c.variant_id AND o.flash_sale_id IS NULL
    )
    UPDATE pools p SET sold = p.sold - a.quantity,
           allotment = p.allotment - CASE WHEN p.closed_at IS NULL THEN 0 ELSE a.quantity END
      FROM attempt a WHERE p.id = a.pool_id"""

_VOIDED: Final = "UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3"

_READ_HOLD: Final = "SELECT hold_id FROM orders WHERE id = $1"

# The pools whose allotment changed when an order of a closed sale was cancelled: that sale's and the ordinary one.
_CHANGED_POOLS: Final = """
    SELECT o.id FROM order_lines l JOIN pools p ON p.id = l.pool_id AND p.closed_at IS NOT NULL
      JOIN pools o ON o.id = p.id OR o.variant_id = p.variant_id AND o.flash_sale_id IS NULL
     WHERE l.order_id = $1 ORDER BY o.id"""


def make_effects(
    pg: asyncpg.Pool, gate: Gate, rooms: Rooms, provider: Provider
) -> tuple[dict[str, Effect], dict[str, Effect]]:
    """The effects by topic: those that tell our own house, and those that ask the provider."""
    told: dict[str, Effect] = {
        "order.committed": partial(_announce_order, pg, gate, rooms),
        "order.paid": partial(_tell_buyer, pg, rooms, OrderPaid),
        "order.cancelled": partial(_cancelled, pg, gate, rooms),
    }
    asked: dict[str, Effect] = {"capture": partial(_capture, pg, provider), "void": partial(_void, pg, gate, provider)}
    return told, asked


async def _announce_order(pg: asyncpg.Pool, gate: Gate, rooms: Rooms, order: str) -> bool:
    confirmed = await gate.confirm(await pg.fetchval(_READ_HOLD, order))
    if confirmed.code == "rebuilding":
        return False
    found = await read_order(pg, order)
    assert found is not None
    if found.view.show is not None:
        now_ms = clock.now_ms()
        for line in found.view.lines:
            await rooms.append(found.view.show, Sold(line.title, line.quantity, now_ms))
        await rooms.append(staff_room(found.view.show), StaffOrder(host_view(found), now_ms))
    return True


async def _capture(pg: asyncpg.Pool, provider: Provider, attempt: str) -> bool:
    row = await pg.fetchrow(_READ_ATTEMPT, attempt)
    state = AttemptState(row["state"])
    if state is not AttemptState.COMMITTED:
        return True  # a repeated note
    answer = await provider.capture(attempt, row["order_id"])
    if answer is Answer.SILENT:
        return False
    if answer is Answer.CAPTURED:
        after = change_attempt(state, AttemptEvent.CAPTURE)
        paid = change_order(OrderState.AUTHORISED, OrderEvent.CAPTURE)
        await pg.execute(_CAPTURED, attempt, after, state, paid, OrderState.AUTHORISED)
        return True
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK_POOLS, attempt)
        after = change_attempt(state, AttemptEvent.REFUSE_CAPTURE)
        cancelled = change_order(OrderState.AUTHORISED, OrderEvent.CANCEL)
        await connection.execute(_REFUSED, attempt, after, state, cancelled)
    return True


async def _void(pg: asyncpg.Pool, gate: Gate, provider: Provider, attempt: str) -> bool:
    row = await pg.fetchrow(_READ_ATTEMPT, attempt)
    if row["state"] != AttemptState.VOIDING:
        return True
    answer = await provider.void(attempt)
    if answer is Answer.SILENT:
        return False
    await pg.execute(_VOIDED, attempt, change_attempt(AttemptState.VOIDING, AttemptEvent.VOID), AttemptState.VOIDING)
    # Unless another payment has begun on it, the hold ends with this one.
    resumed = await gate.resume(row["hold_id"], attempt, give_back=True)
    return resumed.code != "rebuilding"


async def _cancelled(pg: asyncpg.Pool, gate: Gate, rooms: Rooms, order: str) -> bool:
    restocked = await gate.restock(await pg.fetchval(_READ_HOLD, order))
    if restocked.code == "rebuilding":
        return False
    for row in await pg.fetch(_CHANGED_POOLS, order):
        await gate.sync(row["id"])
    return await _tell_buyer(pg, rooms, OrderCancelled, order)


async def _tell_buyer(
    pg: asyncpg.Pool, rooms: Rooms, hint: Callable[[str], OrderPaid | OrderCancelled], order: str
) -> bool:
    found = await read_order(pg, order)
    assert found is not None
    if found.view.show is not None:
        await rooms.tell(found.view.show, found.buyer, hint(order))
    return True
