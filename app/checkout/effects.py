"""What the outbox does: confirm and announce an order, capture, void, tell the buyer. Each may run more than once.

A crash between an effect and its tick repeats it. Captures and voids are idempotent at the provider, confirmations
in the gate; an announcement may then be read twice in the room, which is better than never.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import asyncpg

from app import clock
from app.checkout.order_rules import AttemptEvent, AttemptState, OrderEvent, OrderState, change_attempt, change_order
from app.checkout.orders import host_view, read_order
from app.checkout.outbox import Effect
from app.checkout.provider import Answer, Provider
from app.checkout.views import OrderCancelled, OrderPaid, Sold, StaffOrder
from app.flash_sales.gate import Decided, Gate
from app.rooms.bus import Rooms, staff_room

_STATE: Final = "SELECT state FROM payment_attempts WHERE id = $1 AND line = 1"

_HOLDS: Final = "SELECT hold_id FROM payment_attempts WHERE id = $1 ORDER BY line"

_CAPTURED: Final = """
    WITH attempt AS (
        UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3
        RETURNING id, line, amount_minor, currency
    ), note AS (
        INSERT INTO outbox (topic, subject) SELECT 'order.paid', id FROM attempt WHERE line = 1
    ), posted AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT id, 'captured', 'captured', 'authorised', amount_minor, currency, now() FROM attempt WHERE line = 1
    )
    UPDATE orders o SET state = $4, paid_at = now() FROM attempt a WHERE o.id = a.id AND a.line = 1 AND o.state = $5"""

# The attempt's pools and, in case one is a sale's, the variant's ordinary one; in the order of their ids.
_LOCK_POOLS: Final = """
    SELECT id FROM pools WHERE id IN (
           SELECT o.id FROM payment_attempts a JOIN pools p ON p.id = a.pool_id
             JOIN pools o ON o.id = p.id OR o.variant_id = p.variant_id AND o.flash_sale_id IS NULL
            WHERE a.id = $1)
     ORDER BY id FOR NO KEY UPDATE"""

# The order does not stand: its units go back to the pools and to the buyer's limits. A sale's pool that is closed has
# given its units back already, so these go where those went.
_REFUSED: Final = """
    WITH attempt AS (
        UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3
        RETURNING id, line, pool_id, account_id, quantity, amount_minor, currency
    ), cancelled AS (
        UPDATE orders o SET state = $4, cancelled_at = now() FROM attempt a WHERE o.id = a.id AND a.line = 1
    ), posted AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT id, 'cancelled', 'owed', 'authorised', amount_minor, currency, now() FROM attempt WHERE line = 1
    ), note AS (
        INSERT INTO outbox (topic, subject) SELECT 'order.cancelled', id FROM attempt WHERE line = 1
    ), given AS (
        SELECT a.pool_id, a.account_id, p.variant_id, p.closed_at, sum(a.quantity)::int AS units
          FROM attempt a JOIN pools p ON p.id = a.pool_id GROUP BY 1, 2, 3, 4
    ), buyer AS (
        UPDATE pool_buyers b SET sold = b.sold - g.units
          FROM given g WHERE b.pool_id = g.pool_id AND b.account_id = g.account_id
    ), changed AS (
        SELECT pool_id AS id, units AS returned, CASE WHEN closed_at IS NULL THEN 0 ELSE -units END AS allotted
          FROM given
         UNION ALL
        SELECT o.id, 0, g.units FROM given g JOIN pools o ON o.variant_id = g.variant_id AND o.flash_sale_id IS NULL
         WHERE g.closed_at IS NOT NULL
    )
    UPDATE pools p SET sold = p.sold - c.returned, allotment = p.allotment + c.allotted
      FROM (SELECT id, sum(returned)::int AS returned, sum(allotted)::int AS allotted FROM changed GROUP BY id) c
     WHERE p.id = c.id"""

_VOIDED: Final = "UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3"

# The pools whose allotment changed when an order of a closed sale was cancelled: that sale's and the ordinary one.
_CHANGED_POOLS: Final = """
    SELECT DISTINCT o.id FROM order_lines l JOIN pools p ON p.id = l.pool_id AND p.closed_at IS NOT NULL
      JOIN pools o ON o.id = p.id OR o.variant_id = p.variant_id AND o.flash_sale_id IS NULL
     WHERE l.order_id = $1 ORDER BY o.id"""


def make_effects(
    pg: asyncpg.Pool, gate: Gate, rooms: Rooms, provider: Provider
) -> tuple[dict[str, Effect], dict[str, Effect]]:
    """The effects by topic: those that tell our own house, and those that ask the provider."""
    told: dict[str, Effect] = {
        "order.committed": partial(_announce_order, pg, gate, rooms),
        "declined": partial(_declined, pg, gate),
        "order.paid": partial(_tell_buyer, pg, rooms, OrderPaid),
        "order.cancelled": partial(_cancelled, pg, gate, rooms),
    }
    asked: dict[str, Effect] = {"capture": partial(_capture, pg, provider), "void": partial(_void, pg, gate, provider)}
    return told, asked


async def _announce_order(pg: asyncpg.Pool, gate: Gate, rooms: Rooms, order: str) -> bool:
    if not await _at_gate(pg, order, gate.confirm):
        return False
    found = await read_order(pg, order)
    assert found is not None
    if found.view.show is not None:
        now_ms = clock.now_ms()
        for line in found.view.lines:
            await rooms.append(found.view.show, Sold(line.title, line.quantity, now_ms))
        await rooms.append(staff_room(found.view.show), StaffOrder(host_view(found), now_ms))
    return True


async def _at_gate(pg: asyncpg.Pool, attempt: str, ask: Callable[[str], Awaitable[Decided]]) -> bool:
    """Asks the gate about each hold of the payment; False while one is being rebuilt."""
    answers = [await ask(row["hold_id"]) for row in await pg.fetch(_HOLDS, attempt)]
    return all(answer.code != "rebuilding" for answer in answers)


async def _declined(pg: asyncpg.Pool, gate: Gate, attempt: str) -> bool:
    """The gate gives the holds back, unless another payment has begun on one."""
    return await _at_gate(pg, attempt, partial(gate.resume, attempt=attempt, give_back=True))


async def _capture(pg: asyncpg.Pool, provider: Provider, attempt: str) -> bool:
    state = AttemptState(await pg.fetchval(_STATE, attempt))
    if state is not AttemptState.COMMITTED:
        return True  # a repeated note
    answer = await provider.capture(attempt, attempt)
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
    if await pg.fetchval(_STATE, attempt) != AttemptState.VOIDING:
        return True
    answer = await provider.void(attempt)
    if answer is Answer.SILENT:
        return False
    # Unless another payment has begun on it, the hold ends with this one. Before the attempt's end is written, which
    # is what a repeated note goes by.
    if not await _at_gate(pg, attempt, partial(gate.resume, attempt=attempt, give_back=True)):
        return False
    await pg.execute(_VOIDED, attempt, change_attempt(AttemptState.VOIDING, AttemptEvent.VOID), AttemptState.VOIDING)
    return True


async def _cancelled(pg: asyncpg.Pool, gate: Gate, rooms: Rooms, order: str) -> bool:
    if not await _at_gate(pg, order, gate.restock):
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
