"""What is written when an order, or a part of it, does not stand any more: units, ledger, states, in one transaction.

Owns the statements that cancel orders, refund them and bring units back. The provider and the gate hear of it from
the outbox. Locks are taken in one order, as by the commit: pools by their ids, then the payment, then the order.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app import clock
from app.checkout.order_rules import AttemptEvent, AttemptState, OrderEvent, OrderState, change_attempt, change_order
from app.checkout.provider import GivenBack
from app.checkout.refund_rules import OrderFacts

# The order's pools and, in case one is a sale's, the variant's ordinary one; in the order of their ids.
_LOCK_POOLS: Final = """
    SELECT id FROM pools WHERE id IN (
           SELECT o.id FROM order_lines l JOIN pools p ON p.id = l.pool_id
             JOIN pools o ON o.id = p.id OR o.variant_id = p.variant_id AND o.flash_sale_id IS NULL
            WHERE l.order_id = $1)
     ORDER BY id FOR NO KEY UPDATE"""

_LOCK_ATTEMPT: Final = "SELECT FROM payment_attempts WHERE id = $1 ORDER BY line FOR NO KEY UPDATE"

_LOCK_ORDER: Final = "SELECT id FROM orders WHERE id = $1 FOR NO KEY UPDATE"

_READ: Final = """
    SELECT o.state, o.total_minor, o.currency, o.shipped_at IS NOT NULL AS shipped,
           (SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds r
             WHERE r.order_id = o.id AND r.state <> 'refused') AS refunded_minor,
           (SELECT coalesce(sum(amount_minor), 0)::bigint FROM disputes d
             WHERE d.order_id = o.id AND d.state IN ('open', 'lost')) AS disputed_minor,
           EXISTS (SELECT FROM disputes d WHERE d.order_id = o.id AND d.state IN ('inquiry', 'open')) AS disputed,
           (SELECT jsonb_agg(jsonb_build_array(l.line, l.quantity - l.returned)) FROM order_lines l
             WHERE l.order_id = o.id) AS units
      FROM orders o WHERE o.id = $1"""

# The units go back to the pool and to the buyer's limit. A sale's pool that is closed has given its own back already,
# so these go where those went.
_RETURN: Final = """
    WITH line AS (
        UPDATE order_lines l SET returned = l.returned + t.quantity
          FROM unnest($2::int[], $3::int[], $4::text[]) AS t (line, quantity, id)
         WHERE l.order_id = $1 AND l.line = t.line RETURNING t.id, l.line, l.pool_id, t.quantity
    ), given AS (
        SELECT l.id, l.line, l.pool_id, l.quantity, o.account_id, p.variant_id, p.closed_at, p.epoch
          FROM line l JOIN pools p ON p.id = l.pool_id JOIN orders o ON o.id = $1
    ), noted AS (
        INSERT INTO unit_returns (id, order_id, line, pool_id, account_id, quantity, epoch)
        SELECT id, $1, line, pool_id, account_id, quantity, epoch FROM given
    ), told AS (
        INSERT INTO outbox (topic, subject) SELECT 'units.returned', id FROM given
    ), buyer AS (
        UPDATE pool_buyers b SET sold = b.sold - g.units
          FROM (SELECT pool_id, account_id, sum(quantity)::int AS units FROM given GROUP BY 1, 2) g
         WHERE b.pool_id = g.pool_id AND b.account_id = g.account_id
    ), changed AS (
        SELECT pool_id AS id, quantity AS units, CASE WHEN closed_at IS NULL THEN 0 ELSE -quantity END AS allotted
          FROM given
         UNION ALL
        SELECT o.id, 0, g.quantity FROM given g JOIN pools o ON o.variant_id = g.variant_id AND o.flash_sale_id IS NULL
         WHERE g.closed_at IS NOT NULL
    )
    UPDATE pools p SET sold = p.sold - c.units, allotment = p.allotment + c.allotted
      FROM (SELECT id, sum(units)::int AS units, sum(allotted)::int AS allotted FROM changed GROUP BY id) c
     WHERE p.id = c.id"""

# The order does not stand any more: whoever comes next may have the use of its coupon.
_RETURN_COUPON: Final = """
    WITH back AS (
        UPDATE payment_coupons SET returned_at = now()
         WHERE attempt_id = $1 AND counted_at IS NOT NULL AND returned_at IS NULL RETURNING coupon_id
    )
    UPDATE coupons c SET used = c.used - 1 FROM back b WHERE c.id = b.coupon_id"""

_CHANGE_ATTEMPT: Final = """
    UPDATE payment_attempts SET state = $2, updated_at = now() WHERE id = $1 AND state = $3 RETURNING id"""

_CANCEL: Final = """
    WITH cancelled AS (
        UPDATE orders SET state = $2, cancelled_at = now() WHERE id = $1 RETURNING id, total_minor, currency
    ), posted AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT id, 'cancelled', 'owed', 'authorised', total_minor, currency, now() FROM cancelled
    )
    INSERT INTO outbox (topic, subject) SELECT 'order.cancelled', id FROM cancelled"""

_NOTE: Final = "INSERT INTO outbox (topic, subject) VALUES ($1, $2)"

_ASK_REFUND: Final = """
    WITH asked AS (
        INSERT INTO refunds (id, order_id, amount_minor, currency, by_account_id, idempotency_key, body_hash)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
    )
    INSERT INTO outbox (topic, subject) SELECT 'refund', id FROM asked"""

_SET_STATE: Final = "UPDATE orders SET state = $2 WHERE id = $1"

# With the money go the parts of it that are no goods, as part_given_back of total_rules.py has it.
_DONE: Final = """
    WITH done AS (
        UPDATE refunds SET state = 'done', decided_at = now() WHERE id = $1 AND state = 'asked'
        RETURNING id, order_id, amount_minor, currency
    ), posted AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT order_id, 'refunded ' || id, 'owed', 'captured', amount_minor, currency, now() FROM done
    ), parts AS (
        INSERT INTO ledger (order_id, event, debit, credit, amount_minor, currency, at)
        SELECT order_id, 'refunded ' || id || ' ' || part, credit, debit, amount_minor, currency, now()
          FROM (SELECT d.order_id, d.id, d.currency, c.part, c.debit, c.credit,
                       (div(c.amount_minor::numeric * (b.before + d.amount_minor), c.total_minor)
                        - div(c.amount_minor::numeric * b.before, c.total_minor))::bigint AS amount_minor
                  FROM done d JOIN charge_parts c ON c.order_id = d.order_id,
                       LATERAL (SELECT coalesce(sum(r.amount_minor), 0) AS before FROM refunds r
                                 WHERE r.order_id = d.order_id AND r.state = 'done') b) p
         WHERE amount_minor >= 1
    )
    INSERT INTO outbox (topic, subject) SELECT 'order.refunded', order_id FROM done"""

_REFUSE: Final = """
    UPDATE refunds SET state = 'refused', decided_at = now() WHERE id = $1 AND state = 'asked' RETURNING amount_minor"""

# Given back by somebody who did not ask us: the provider's id makes it one row, however often we are told.
_NOTE_REFUND: Final = """
    INSERT INTO refunds (id, order_id, amount_minor, currency, idempotency_key, body_hash)
    VALUES ($1, $2, $3, $4, $1, '') ON CONFLICT (id) DO NOTHING RETURNING id"""


async def lock_order(connection: Any, order: str) -> OrderFacts | None:
    """Locks the order's pools, its payment and the order, then reads it; None when there is none."""
    await connection.execute(_LOCK_POOLS, order)
    await connection.execute(_LOCK_ATTEMPT, order)
    if await connection.fetchval(_LOCK_ORDER, order) is None:
        return None
    row = await connection.fetchrow(_READ, order)
    return OrderFacts(
        id=order,
        state=OrderState(row["state"]),
        total_minor=row["total_minor"],
        refunded_minor=row["refunded_minor"],
        disputed_minor=row["disputed_minor"],
        disputed=row["disputed"],
        currency=row["currency"],
        shipped=row["shipped"],
        units=dict(row["units"]),
    )


async def undo_order(connection: Any, order: OrderFacts, event: AttemptEvent) -> bool:
    """The order, whose money was never captured, is cancelled, all its units return. False: it was captured or undone
    meanwhile. The caller holds `lock_order`.
    """
    after = change_attempt(AttemptState.COMMITTED, event)
    if await connection.fetchval(_CHANGE_ATTEMPT, order.id, after, AttemptState.COMMITTED) is None:
        return False
    await connection.execute(_CANCEL, order.id, change_order(OrderState.AUTHORISED, OrderEvent.CANCEL))
    await return_coupon(connection, order.id)
    if after is AttemptState.VOIDING:
        await connection.execute(_NOTE, "void", order.id)
    await return_units(connection, order.id, order.units)
    return True


async def return_coupon(connection: Any, order: str) -> None:
    """Gives the use of the order's coupon back, once. The caller holds `lock_order`."""
    await connection.execute(_RETURN_COUPON, order)


async def return_units(connection: Any, order: str, units: Mapping[int, int]) -> None:
    """Brings units back, by line. The caller holds `lock_order`."""
    back = {line: quantity for line, quantity in units.items() if quantity}
    if back:
        ids = [clock.new_id() for _ in back]
        await connection.execute(_RETURN, order, list(back), list(back.values()), ids)


async def write_refund(
    connection: Any, order: OrderFacts, refund: str, amount_minor: int, *, by: str, key: str, body_hash: bytes
) -> None:
    """Asks for money back. An order of which nothing is left is refunded. The caller holds `lock_order`."""
    await connection.execute(_ASK_REFUND, refund, order.id, amount_minor, order.currency, by, key, body_hash)
    if amount_minor == order.unrefunded_minor:
        await connection.execute(_SET_STATE, order.id, change_order(OrderState.PAID, OrderEvent.REFUND))


async def end_refund(connection: Any, order: OrderFacts, refund: str, *, given: bool) -> None:
    """What the provider decided. The caller holds `lock_order`."""
    if given:
        await connection.execute(_DONE, refund)
        return
    refused_minor = await connection.fetchval(_REFUSE, refund) or 0
    # What was given back elsewhere meanwhile may be why it was refused, and may be all there was.
    if order.state is OrderState.REFUNDED and order.unrefunded_minor + refused_minor > 0:
        await connection.execute(_SET_STATE, order.id, change_order(order.state, OrderEvent.REFUSE_REFUND))


async def note_refunds(connection: Any, order: OrderFacts, given: Sequence[GivenBack]) -> None:
    """Books what went back without us, each once. The caller holds `lock_order`, and its capture is booked."""
    noted_minor = 0
    for one in given:
        if await connection.fetchval(_NOTE_REFUND, one.id, order.id, one.amount_minor, order.currency) is not None:
            await connection.execute(_DONE, one.id)
            noted_minor += one.amount_minor
    if order.state is OrderState.PAID and noted_minor >= order.unrefunded_minor:
        await connection.execute(_SET_STATE, order.id, change_order(order.state, OrderEvent.REFUND))
