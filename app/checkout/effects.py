"""What the outbox does: confirm and announce an order, capture, void, tell the buyer. Each may run more than once.

A crash between an effect and its tick repeats it. Captures and voids are idempotent at the provider, confirmations
in the gate; an announcement may then be read twice in the room, which is better than never.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import asyncpg
import structlog

from app import clock
from app.checkout.disputes import note_disputes
from app.checkout.give_back import free_money
from app.checkout.mails import note_mail
from app.checkout.order_rules import AttemptEvent, AttemptState, OrderEvent, OrderState, change_attempt, change_order
from app.checkout.orders import host_view, read_order
from app.checkout.outbox import Effect
from app.checkout.provider import Answer, Patience, Refund
from app.checkout.saved_cards import detach_card, keep_card, look_at_card
from app.checkout.undo import end_refund, lock_order, note_refunds, undo_order
from app.checkout.views import OrderCancelled, OrderPaid, OrderRefunded, Sold, StaffOrder
from app.flash_sales.door import Door
from app.flash_sales.gate import Decided, Gate
from app.flash_sales.gate_wire import place_of
from app.rooms.bus import Rooms, staff_room

log = structlog.get_logger()

_STATE: Final = "SELECT state, method FROM payment_attempts WHERE id = $1 AND line = 1"

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
    ), parts AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT c.order_id, c.part, c.debit, c.credit, c.amount_minor, a.currency, now()
          FROM attempt a JOIN charge_parts c ON c.order_id = a.id WHERE a.line = 1
    )
    UPDATE orders o SET state = $4, paid_at = now() FROM attempt a WHERE o.id = a.id AND a.line = 1 AND o.state = $5"""

_VOIDED: Final = "UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3"

_READ_RETURN: Final = """
    SELECT u.pool_id, u.account_id, u.quantity, u.epoch, p.closed_at IS NOT NULL AS closed,
           (SELECT l.hold_id FROM order_lines l WHERE l.order_id = u.order_id AND l.line = u.line) AS hold,
           (SELECT o.id FROM pools o WHERE o.variant_id = p.variant_id AND o.flash_sale_id IS NULL) AS ordinary
      FROM unit_returns u JOIN pools p ON p.id = u.pool_id WHERE u.id = $1"""

_READ_REFUND: Final = """
    SELECT r.order_id, r.amount_minor, r.currency, a.method FROM refunds r
      JOIN payment_attempts a ON a.id = r.order_id AND a.line = 1 WHERE r.id = $1 AND r.state = 'asked'"""

_LETTERS: Final[dict[Any, str]] = {OrderPaid: "confirmed", OrderCancelled: "cancelled", OrderRefunded: "refunded"}


def make_effects(
    pg: asyncpg.Pool, gate: Gate, door: Door, rooms: Rooms, provider: Patience
) -> tuple[dict[str, Effect], dict[str, Effect]]:
    """The effects by topic: those that tell our own house, and those that ask the provider."""
    told: dict[str, Effect] = {
        "order.committed": partial(_announce_order, pg, gate, rooms),
        "declined": partial(_declined, pg, gate),
        "order.paid": partial(_tell_buyer, pg, rooms, OrderPaid),
        "order.cancelled": partial(_changed, pg, rooms, OrderCancelled),
        "order.refunded": partial(_changed, pg, rooms, OrderRefunded),
        "order.disputed": partial(_tell_staff, pg, rooms),
        "units.returned": partial(_give_back, pg, gate, door),
    }
    asked: dict[str, Effect] = {
        "capture": partial(_capture, pg, provider),
        "void": partial(_void, pg, gate, provider),
        "refund": partial(_refund, pg, provider),
        "refunds.look": partial(_look_for_refunds, pg, provider),
        "disputes.look": partial(_look_for_disputes, pg, provider),
        "card.keep": partial(keep_card, pg, provider),
        "card.look": partial(look_at_card, pg, provider),
        "card.detach": partial(detach_card, provider),
    }
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


async def _capture(pg: asyncpg.Pool, providers: Patience, attempt: str) -> bool:
    row = await pg.fetchrow(_STATE, attempt)
    state = AttemptState(row["state"])
    if state is not AttemptState.COMMITTED:
        return True  # a repeated note
    provider = providers.of(row["method"])
    answer = await provider.capture(attempt, attempt)
    if answer not in {Answer.CAPTURED, Answer.SILENT}:
        log.warning("checkout.capture_refused", order=attempt, provider=answer)
        answer = await provider.void(attempt)  # what was reserved is free, or it says that it was captured after all
    if answer not in {Answer.CAPTURED, Answer.VOIDED, Answer.DECLINED}:
        return False  # it has not said yet what becomes of the money
    if answer is Answer.CAPTURED:
        after = change_attempt(state, AttemptEvent.CAPTURE)
        paid = change_order(OrderState.AUTHORISED, OrderEvent.CAPTURE)
        await pg.execute(_CAPTURED, attempt, after, state, paid, OrderState.AUTHORISED)
        return True
    async with pg.acquire() as connection, connection.transaction():
        order = await lock_order(connection, attempt)
        assert order is not None
        await undo_order(connection, order, AttemptEvent.REFUSE_CAPTURE)
    return True


async def _void(pg: asyncpg.Pool, gate: Gate, providers: Patience, attempt: str) -> bool:
    row = await pg.fetchrow(_STATE, attempt)
    if row["state"] != AttemptState.VOIDING:
        return True
    freed = await free_money(pg, providers.of(row["method"]), attempt)
    # Unless another payment has begun on it, the hold ends with this one, whatever becomes of the money. Before the
    # attempt's end is written, which is what a repeated note goes by.
    ended = await _at_gate(pg, attempt, partial(gate.resume, attempt=attempt, give_back=True))
    if not (freed and ended):
        return False
    await pg.execute(_VOIDED, attempt, change_attempt(AttemptState.VOIDING, AttemptEvent.VOID), AttemptState.VOIDING)
    return True


async def _refund(pg: asyncpg.Pool, providers: Patience, refund: str) -> bool:
    row = await pg.fetchrow(_READ_REFUND, refund)
    if row is None:
        return True  # a repeated note
    asked = Refund(refund, row["order_id"], row["amount_minor"], row["currency"])
    answer = await providers.of(row["method"]).refund(asked)
    if answer is Answer.SILENT:
        return False
    if answer is not Answer.REFUNDED:
        log.error("checkout.refund_refused", refund=refund, order=row["order_id"], provider=answer)
    async with pg.acquire() as connection, connection.transaction():
        order = await lock_order(connection, row["order_id"])
        assert order is not None
        await end_refund(connection, order, refund, given=answer is Answer.REFUNDED)
    return True


async def _look_for_refunds(pg: asyncpg.Pool, providers: Patience, attempt: str) -> bool:
    """What somebody gave back at the provider's own desk is booked like what we asked for."""
    row = await pg.fetchrow(_STATE, attempt)
    given = await providers.of(row["method"]).given_back(attempt)
    if given is None or row["state"] == AttemptState.COMMITTED:
        return False  # whoever gave it back knows of a capture that we have still to hear of
    if row["state"] != AttemptState.CAPTURED:
        return True  # all of it goes back, whoever does it: app/checkout/give_back.py
    desk = [one for one in given if not one.refund]
    async with pg.acquire() as connection, connection.transaction():
        order = await lock_order(connection, attempt)
        if desk and order is not None:
            await note_refunds(connection, order, desk)
    return True


async def _look_for_disputes(pg: asyncpg.Pool, providers: Patience, attempt: str) -> bool:
    row = await pg.fetchrow(_STATE, attempt)
    found = await providers.of(row["method"]).disputes(attempt)
    if found is None or row["state"] == AttemptState.COMMITTED:
        return False  # who disputes a payment knows of a capture that we have still to hear of
    async with pg.acquire() as connection, connection.transaction():
        await lock_order(connection, attempt)
        await note_disputes(connection, attempt, found)
    return True


async def _give_back(pg: asyncpg.Pool, gate: Gate, door: Door, back: str) -> bool:
    row = await pg.fetchrow(_READ_RETURN, back)
    told = await gate.give_back(
        row["pool_id"], back=back, person=row["account_id"], quantity=row["quantity"], epoch=row["epoch"]
    )
    if told.code == "rebuilding":
        return False
    if told.code == "returned":  # once; a network whose units the door would miss here stays at what it had
        await door.less(row["pool_id"], place_of(row["hold"]), row["quantity"])
    if row["closed"]:  # the units went on into the ordinary pool
        await gate.sync(row["pool_id"])
        await gate.sync(row["ordinary"])
    return True


async def _changed(
    pg: asyncpg.Pool, rooms: Rooms, hint: Callable[[str], OrderCancelled | OrderRefunded], order: str
) -> bool:
    await _tell_staff(pg, rooms, order)
    return await _tell_buyer(pg, rooms, hint, order)


async def _tell_staff(pg: asyncpg.Pool, rooms: Rooms, order: str) -> bool:
    found = await read_order(pg, order)
    assert found is not None
    if found.view.show is not None:
        await rooms.append(staff_room(found.view.show), StaffOrder(host_view(found), clock.now_ms()))
    return True


async def _tell_buyer(
    pg: asyncpg.Pool, rooms: Rooms, hint: Callable[[str], OrderPaid | OrderCancelled | OrderRefunded], order: str
) -> bool:
    found = await read_order(pg, order)
    assert found is not None
    if found.email and hint in _LETTERS:
        await note_mail(pg, _LETTERS[hint], order)
    if found.view.show is not None:
        await rooms.tell(found.view.show, found.buyer, hint(order))
    return True
