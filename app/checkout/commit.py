"""The commit of orders: all that arrived while the last commit was in flight, in one transaction.

First the pools' rows are locked, in the order of their ids; then, in later statements with a fresh snapshot (READ
COMMITTED), it is read and decided what fits; then orders, lines, sold units, attempts, outbox and idempotency keys
are written together. A statement that locks and decides at once would read the snapshot of before the lock.

Committing an attempt twice gives its one order, so whenever the outcome is unknown the batch is simply run again:
the lock waits for the transaction that was lost, and then sees what became of it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.attempts import GIVE_UP, REJECTED_STATUS, to_answer
from app.checkout.order_rules import (
    AttemptEvent,
    AttemptState,
    OrderState,
    PoolRow,
    Verdict,
    Wish,
    decide,
    states_before,
)
from app.checkout.views import OrderLine, OrderView
from app.flash_sales.pool_store import pool_title
from app.outage import EXTERNAL, is_outage
from app.refusal import Refusal
from app.storage.loops import backoff_s

TRIES_MAX: Final = 8
CREATED_STATUS: Final = 201

_LOCK_POOLS: Final = """
    SELECT id FROM pools WHERE id IN (SELECT pool_id FROM payment_attempts WHERE id = ANY($1))
     ORDER BY id FOR NO KEY UPDATE"""

# After the pools, always. Keeps the settler from giving up what is being committed.
_LOCK_ATTEMPTS: Final = """
    SELECT a.id, a.hold_id, a.state, a.pool_id, a.account_id, a.show_id, a.quantity, a.unit_price_minor,
           a.amount_minor, a.currency, a.order_id, a.idempotency_key,
           v.id AS variant_id, v.title AS variant_title, d.title AS product_title, d.shop_id
      FROM payment_attempts a
      JOIN pools p ON p.id = a.pool_id
      JOIN variants v ON v.id = p.variant_id
      JOIN products d ON d.id = v.product_id
     WHERE a.id = ANY($1) ORDER BY a.id FOR NO KEY UPDATE OF a"""

_READ_POOLS: Final = """
    SELECT p.id, p.allotment - p.sold AS units_left, s.per_buyer_limit,
           coalesce(s.state = 'cancelled', false) AS cancelled
      FROM pools p LEFT JOIN flash_sales s ON s.id = p.flash_sale_id WHERE p.id = ANY($1)"""

_READ_BUYERS: Final = """
    SELECT b.pool_id, b.account_id, b.sold
      FROM unnest($1::text[], $2::text[]) AS t (pool_id, account_id)
      JOIN pool_buyers b ON b.pool_id = t.pool_id AND b.account_id = t.account_id"""

_WRITE: Final = """
    WITH t AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::text[], $10::int[], $11::bigint[], $12::text[], $13::timestamptz[],
                             $14::text[], $15::jsonb[])
            AS t (attempt, order_id, account_id, shop_id, show_id, hold_id, pool_id, variant_id, title, quantity,
                  unit_price, currency, created_at, key, answer)
    ), new_orders AS (
        INSERT INTO orders (id, account_id, shop_id, show_id, hold_id, state, total_minor, currency, created_at)
        SELECT order_id, account_id, shop_id, show_id, hold_id, 'authorised', quantity * unit_price, currency,
               created_at
          FROM t
    ), new_lines AS (
        INSERT INTO order_lines (order_id, line, pool_id, variant_id, title, quantity, unit_price_minor)
        SELECT order_id, 1, pool_id, variant_id, title, quantity, unit_price FROM t
    ), pools_sold AS (
        UPDATE pools p SET sold = p.sold + x.units
          FROM (SELECT pool_id, sum(quantity)::int AS units FROM t GROUP BY pool_id) x WHERE p.id = x.pool_id
    ), buyers AS (
        INSERT INTO pool_buyers AS b (pool_id, account_id, sold)
        SELECT pool_id, account_id, sum(quantity)::int FROM t GROUP BY pool_id, account_id ORDER BY 1, 2
        ON CONFLICT (pool_id, account_id) DO UPDATE SET sold = b.sold + excluded.sold
    ), attempts AS (
        UPDATE payment_attempts a SET state = 'committed', order_id = t.order_id, updated_at = now()
          FROM t WHERE a.id = t.attempt
    ), notes AS (
        INSERT INTO outbox (topic, subject)
        SELECT topic, CASE topic WHEN 'capture' THEN attempt ELSE order_id END
          FROM t, (VALUES ('order.committed'), ('capture')) AS topics (topic)
    )
    UPDATE idempotency_keys k SET status = 201, answer = t.answer
      FROM t WHERE k.account_id = t.account_id AND k.key = t.key"""


class Commitment(msgspec.Struct, frozen=True):
    """A payment that the provider authorised, and the order that it should become."""

    attempt: str
    order: str
    now: datetime


class Outcome(msgspec.Struct, frozen=True):
    """`order` when there is one: just written, or written before. Else `refusal`."""

    order: str | None
    view: OrderView | None = None
    refusal: Refusal | None = None


_REFUSALS: Final = {
    Verdict.SOLD_OUT: Refusal("sold_out", "All units were sold before the payment came through; it is given back."),
    Verdict.OVER_LIMIT: Refusal("over_limit", "This would be more than one person may buy; the payment is given back."),
    Verdict.CANCELLED: Refusal("ended", "The sale was called off; the payment is given back."),
    Verdict.OVER: Refusal("hold_ended", "The hold ended before the payment came through; it is given back."),
}
UNFIT: Final = Refusal("order_invalid", "This order cannot be written down; the payment is given back.")


async def commit_orders(pg: asyncpg.Pool, batch: list[Commitment]) -> Sequence[Outcome]:
    """Commits a batch. A connection that was lost, a deadlock and the like: run again, TRIES_MAX times."""
    for tries in range(1, TRIES_MAX + 1):
        try:
            return await _commit_or_split(pg, batch)
        except EXTERNAL as error:
            if tries == TRIES_MAX or not is_outage(error):
                raise
        await asyncio.sleep(backoff_s(tries))
    raise AssertionError("unreachable")


async def _commit_or_split(pg: asyncpg.Pool, batch: list[Commitment]) -> list[Outcome]:
    try:
        async with pg.acquire() as connection, connection.transaction():
            return await _commit(connection, batch)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
        if len(batch) == 1:
            await pg.execute(
                GIVE_UP, batch[0].attempt, states_before(AttemptEvent.GIVE_UP), REJECTED_STATUS, to_answer(UNFIT)
            )
            return [Outcome(order=None, refusal=UNFIT)]
    # One of them is bad. Halving finds it without failing its neighbours.
    middle = len(batch) // 2
    return await _commit_or_split(pg, batch[:middle]) + await _commit_or_split(pg, batch[middle:])


async def _commit(connection: Any, batch: list[Commitment]) -> list[Outcome]:
    ids = [one.attempt for one in batch]
    await connection.execute(_LOCK_POOLS, ids)
    rows = {row["id"]: row for row in await connection.fetch(_LOCK_ATTEMPTS, ids)}
    pools, bought = await _read_stock(connection, rows.values())
    asked: dict[str, Commitment] = {}
    for one in batch:
        if one.attempt in rows:
            asked.setdefault(one.attempt, one)
    wishes = [
        Wish(id_, AttemptState(row["state"]), row["pool_id"], row["account_id"], row["quantity"])
        for id_, row in ((id_, rows[id_]) for id_ in asked)
    ]
    verdicts = dict(zip(asked, decide(wishes, pools, bought), strict=True))
    fit = [one for one in asked.values() if verdicts[one.attempt] is Verdict.COMMIT]
    views = {one.attempt: _view(rows[one.attempt], one) for one in fit}
    if fit:
        await connection.execute(_WRITE, *_columns(fit, rows, views))
    outcomes = {}
    for id_, verdict in verdicts.items():
        if verdict is Verdict.COMMIT:
            outcomes[id_] = Outcome(order=asked[id_].order, view=views[id_])
        elif verdict is Verdict.OVER and rows[id_]["order_id"] is not None:
            outcomes[id_] = Outcome(order=rows[id_]["order_id"])
        else:
            refusal = _REFUSALS[verdict]
            await connection.execute(
                GIVE_UP, id_, states_before(AttemptEvent.GIVE_UP), REJECTED_STATUS, to_answer(refusal)
            )
            outcomes[id_] = Outcome(order=None, refusal=refusal)
    lost = Outcome(order=None, refusal=_REFUSALS[Verdict.OVER])
    return [outcomes.get(one.attempt, lost) for one in batch]


async def _read_stock(connection: Any, rows: Any) -> tuple[dict[str, PoolRow], dict[tuple[str, str], int]]:
    """What decides, read after the locks."""
    pool_ids, buyer_ids = [row["pool_id"] for row in rows], [row["account_id"] for row in rows]
    pools = {
        row["id"]: PoolRow(row["units_left"], row["per_buyer_limit"], row["cancelled"])
        for row in await connection.fetch(_READ_POOLS, list(set(pool_ids)))
    }
    bought = await connection.fetch(_READ_BUYERS, pool_ids, buyer_ids)
    return pools, {(row["pool_id"], row["account_id"]): row["sold"] for row in bought}


def _title(row: Any) -> str:
    return pool_title(row["product_title"], row["variant_title"])


def _view(row: Any, one: Commitment) -> OrderView:
    return OrderView(
        id=one.order,
        state=OrderState.AUTHORISED,
        show=row["show_id"],
        shop=row["shop_id"],
        total_minor=row["amount_minor"],
        currency=row["currency"],
        created_at=one.now,
        lines=[OrderLine(_title(row), row["quantity"], row["unit_price_minor"])],
    )


def _columns(fit: list[Commitment], rows: dict[str, Any], views: dict[str, OrderView]) -> list[list[Any]]:
    """The parameters of _WRITE, in its order."""
    rows_fit = [rows[one.attempt] for one in fit]

    def column(name: str) -> list[Any]:
        return [row[name] for row in rows_fit]

    return [
        [one.attempt for one in fit],
        [one.order for one in fit],
        *map(column, ("account_id", "shop_id", "show_id", "hold_id", "pool_id", "variant_id")),
        [_title(row) for row in rows_fit],
        *map(column, ("quantity", "unit_price_minor", "currency")),
        [one.now for one in fit],
        column("idempotency_key"),
        [views[one.attempt] for one in fit],
    ]
