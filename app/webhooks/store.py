"""Webhooks in Postgres: endpoints, events and deliveries, each as one named statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from app.webhooks.views import Deliveries, Delivery, Webhook

ENDPOINTS_MAX: Final = 10
PAGE_MAX: Final = 50
ROTATION_H: Final = 24
KEEP_DAYS: Final = 30
FORGOTTEN_AT_ONCE: Final = 1000
SPREAD_AT_ONCE: Final = 100
CLAIM_MAX: Final = 64
CLAIM_PER_ENDPOINT_MAX: Final = 8

# The shop's row, locked: two additions cannot both be the last that fits.
_LOCK_SHOP: Final = "SELECT id FROM shops WHERE id = $1 FOR NO KEY UPDATE"
_COUNT: Final = "SELECT count(*) FROM webhook_endpoints WHERE shop_id = $1"
_ADD: Final = """
    INSERT INTO webhook_endpoints (id, shop_id, url, events, secret) VALUES ($1, $2, $3, $4, $5)
    RETURNING id, url, events, state, failing_since, created_at"""
_LIST: Final = """
    SELECT id, url, events, state, failing_since, created_at
      FROM webhook_endpoints WHERE shop_id = $1 ORDER BY created_at, id"""
_REMOVE: Final = "DELETE FROM webhook_endpoints WHERE shop_id = $1 AND id = $2 RETURNING id"
_ROTATE: Final = """
    UPDATE webhook_endpoints
       SET previous_secret = secret, secret = $3, previous_until = now() + make_interval(hours => $4)
     WHERE shop_id = $1 AND id = $2 RETURNING id, url, events, state, failing_since, created_at"""
_RESUME: Final = """
    UPDATE webhook_endpoints SET state = 'active', failing_since = NULL
     WHERE shop_id = $1 AND id = $2 RETURNING id, url, events, state, failing_since, created_at"""
_DELIVERIES: Final = """
    SELECT d.n, d.event_id, v.type, d.state, d.tries, d.status, d.error, v.at,
           CASE WHEN d.state = 'pending' THEN d.next_try_at END AS next_try_at
      FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.id
      JOIN webhook_events v ON v.id = d.event_id
     WHERE e.shop_id = $1 AND e.id = $2 AND ($3::bigint IS NULL OR d.n < $3) ORDER BY d.n DESC LIMIT $4"""
_KNOWN: Final = "SELECT id FROM webhook_endpoints WHERE shop_id = $1 AND id = $2"
_REPLAY: Final = """
    UPDATE webhook_deliveries d SET state = 'pending', tries = 0, next_try_at = now()
      FROM webhook_endpoints e
     WHERE e.id = d.endpoint_id AND e.shop_id = $1 AND e.id = $2 AND d.event_id = $3 AND d.state <> 'pending'
    RETURNING d.n"""
_DELIVERY_KNOWN: Final = """
    SELECT d.n FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
     WHERE e.shop_id = $1 AND e.id = $2 AND d.event_id = $3"""
_PING: Final = """
    WITH event AS (
        INSERT INTO webhook_events (shop_id, type, subject, body) SELECT shop_id, $3, id, $4 FROM webhook_endpoints
         WHERE shop_id = $1 AND id = $2 RETURNING id, subject
    )
    INSERT INTO webhook_deliveries (endpoint_id, event_id) SELECT subject, id FROM event RETURNING event_id"""

# What is to be spread, and as much of the thing as its webhook says: ids, states, amounts, and nobody's name.
_TO_SPREAD: Final = """
    SELECT v.id, v.type, v.at,
           CASE split_part(v.type, '.', 1)
           WHEN 'order' THEN (
               SELECT jsonb_build_object('id', o.id, 'buyer', o.account_id, 'show', o.show_id, 'currency', o.currency,
                      'total_minor', o.total_minor, 'created_at', o.created_at, 'lines', (
                          SELECT coalesce(jsonb_agg(jsonb_build_object('variant', l.variant_id, 'title', l.title,
                                 'quantity', l.quantity, 'unit_price_minor', l.unit_price_minor) ORDER BY l.line), '[]')
                            FROM order_lines l WHERE l.order_id = o.id))
                 FROM orders o WHERE o.id = v.subject)
           WHEN 'dispute' THEN (
               SELECT jsonb_build_object('id', d.id, 'order', d.order_id, 'reason', d.reason, 'currency', d.currency,
                      'amount_minor', d.amount_minor, 'created_at', d.created_at)
                 FROM disputes d WHERE d.id = v.subject)
           WHEN 'show' THEN (
               SELECT jsonb_build_object('id', w.id, 'title', w.title, 'scheduled_at', w.scheduled_at)
                 FROM shows w WHERE w.id = v.subject)
           ELSE (
               SELECT jsonb_build_object('id', f.id, 'show', f.show_id, 'variant', f.variant_id,
                      'price_minor', f.price_minor, 'compare_at_minor', f.compare_at_minor,
                      'per_buyer_limit', f.per_buyer_limit, 'starts_at', f.starts_at, 'ends_at', f.ends_at)
                 FROM flash_sales f WHERE f.id = v.subject)
           END AS data
      FROM webhook_events v WHERE v.body IS NULL ORDER BY v.at LIMIT $1 FOR UPDATE OF v SKIP LOCKED"""
_SPREAD: Final = """
    INSERT INTO webhook_deliveries (endpoint_id, event_id, state, error)
    SELECT e.id, v.id, CASE e.state WHEN 'active' THEN 'pending' ELSE 'failed' END,
           CASE e.state WHEN 'active' THEN NULL ELSE 'the endpoint is suspended' END
      FROM webhook_events v JOIN webhook_endpoints e ON e.shop_id = v.shop_id AND v.type = ANY (e.events)
     WHERE v.id = ANY ($1::text[])"""
_WRITE_BODIES: Final = """
    UPDATE webhook_events v SET body = b.body FROM unnest($1::text[], $2::text[]) AS b (id, body) WHERE v.id = b.id"""

# At most so many of one endpoint at once, and those of endpoints that fail apart from the others: a slow server of one
# shop keeps nobody else's news waiting. A claim is a lease.
_CLAIM: Final = """
    WITH due AS (
        SELECT d.n, row_number() OVER (PARTITION BY d.endpoint_id ORDER BY d.next_try_at, d.n) AS place
          FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id
         WHERE d.state = 'pending' AND d.next_try_at <= now() AND (e.failing_since IS NOT NULL) = $1
    ), taken AS (
        SELECT n FROM webhook_deliveries
         WHERE n IN (SELECT n FROM due WHERE place <= $2 LIMIT $3) AND state = 'pending' AND next_try_at <= now()
           FOR UPDATE SKIP LOCKED
    )
    UPDATE webhook_deliveries d SET tries = d.tries + 1, next_try_at = now() + make_interval(secs => $4)
      FROM taken t, webhook_endpoints e, webhook_events v
     WHERE d.n = t.n AND e.id = d.endpoint_id AND v.id = d.event_id
    RETURNING d.n, d.endpoint_id, e.shop_id, d.tries, v.id, v.body, e.url, e.secret,
              CASE WHEN e.previous_until > now() THEN e.previous_secret END AS previous_secret"""
_DELIVERED: Final = """
    WITH done AS (
        UPDATE webhook_deliveries SET state = 'delivered', status = $2, error = NULL WHERE n = $1 RETURNING endpoint_id
    )
    UPDATE webhook_endpoints e SET failing_since = NULL FROM done d
     WHERE e.id = d.endpoint_id AND e.failing_since IS NOT NULL"""
_FAILED: Final = """
    WITH tried AS (
        UPDATE webhook_deliveries
           SET status = $2, error = $3, state = CASE WHEN $4::float8 IS NULL THEN 'failed' ELSE state END,
               next_try_at = now() + make_interval(secs => coalesce($4, 0)) WHERE n = $1 RETURNING endpoint_id
    )
    UPDATE webhook_endpoints e SET failing_since = coalesce(e.failing_since, now()) FROM tried t
     WHERE e.id = t.endpoint_id RETURNING e.failing_since, now() AS now"""
_QUEUED: Final = """
    UPDATE webhook_deliveries SET tries = tries - 1, next_try_at = now() + make_interval(secs => $2)
     WHERE n = $1 AND state = 'pending' AND tries > 0"""
_SUSPEND: Final = """
    WITH suspended AS (
        UPDATE webhook_endpoints SET state = 'suspended' WHERE id = $1 AND state = 'active' RETURNING id
    ), rest AS (
        UPDATE webhook_deliveries d SET state = 'failed', error = 'the endpoint is suspended'
          FROM suspended s WHERE d.endpoint_id = s.id AND d.state = 'pending'
    )
    SELECT id FROM suspended"""
_FORGET: Final = """
    DELETE FROM webhook_events
     WHERE id IN (SELECT id FROM webhook_events WHERE at < now() - make_interval(days => $1) LIMIT $2)"""


class Claimed(msgspec.Struct, frozen=True):
    """One delivery to be tried now."""

    n: int
    endpoint: str
    shop: str
    tries: int
    event: str
    body: str
    url: str
    secrets: tuple[str, ...]


class Happened(msgspec.Struct, frozen=True):
    """An event whose body is still to be written. `data` is None when its thing is gone."""

    id: str
    type: str
    at: datetime
    data: dict[str, Any] | None


def _webhook(row: Any) -> Webhook:
    return Webhook(**dict(row))


async def add_endpoint(
    pg: asyncpg.Pool, endpoint: str, shop: str, *, url: str, events: Sequence[str], secret: str
) -> Webhook | None:
    """The new endpoint; None when the shop has ENDPOINTS_MAX already."""
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK_SHOP, shop)
        if await connection.fetchval(_COUNT, shop) >= ENDPOINTS_MAX:
            return None
        return _webhook(await connection.fetchrow(_ADD, endpoint, shop, url, list(events), secret))


async def list_endpoints(pg: asyncpg.Pool, shop: str) -> list[Webhook]:
    """The shop's endpoints."""
    return [_webhook(row) for row in await pg.fetch(_LIST, shop)]


async def remove_endpoint(pg: asyncpg.Pool, shop: str, endpoint: str) -> bool:
    """Whether there was such an endpoint. Its deliveries go with it."""
    return await pg.fetchval(_REMOVE, shop, endpoint) is not None


async def rotate_secret(pg: asyncpg.Pool, shop: str, endpoint: str, secret: str) -> Webhook | None:
    """The endpoint under a new secret; the old one signs too for ROTATION_H."""
    row = await pg.fetchrow(_ROTATE, shop, endpoint, secret, ROTATION_H)
    return None if row is None else _webhook(row)


async def resume_endpoint(pg: asyncpg.Pool, shop: str, endpoint: str) -> Webhook | None:
    """The endpoint, active again."""
    row = await pg.fetchrow(_RESUME, shop, endpoint)
    return None if row is None else _webhook(row)


async def list_deliveries(pg: asyncpg.Pool, shop: str, endpoint: str, before: int | None) -> Deliveries | None:
    """A page of deliveries; None for an unknown endpoint."""
    if await pg.fetchval(_KNOWN, shop, endpoint) is None:
        return None
    rows = await pg.fetch(_DELIVERIES, shop, endpoint, before, PAGE_MAX + 1)
    shown = [
        Delivery(
            event=row["event_id"],
            **{key: row[key] for key in ("type", "state", "tries", "status", "error", "at", "next_try_at")},
        )
        for row in rows[:PAGE_MAX]
    ]
    return Deliveries(shown, str(rows[PAGE_MAX - 1]["n"]) if len(rows) > PAGE_MAX else None)


async def replay_delivery(pg: asyncpg.Pool, shop: str, endpoint: str, event: str) -> bool:
    """Makes it due again, with all its tries. False when there is no such delivery."""
    if await pg.fetchval(_REPLAY, shop, endpoint, event) is not None:
        return True
    return await pg.fetchval(_DELIVERY_KNOWN, shop, endpoint, event) is not None  # pending anyway


async def add_ping(pg: asyncpg.Pool, shop: str, endpoint: str, event_type: str, body: str) -> str | None:
    """The id of an event for this endpoint alone; None for an unknown one."""
    found: str | None = await pg.fetchval(_PING, shop, endpoint, event_type, body)
    return found


async def read_happened(connection: Any) -> list[Happened]:
    """Events that are still to be spread, locked until the transaction's end."""
    return [Happened(**dict(row)) for row in await connection.fetch(_TO_SPREAD, SPREAD_AT_ONCE)]


async def write_spread(connection: Any, events: Sequence[str], bodies: Sequence[str]) -> None:
    """Gives each event its body and a delivery to each endpoint that asked for its type."""
    await connection.execute(_SPREAD, list(events))
    await connection.execute(_WRITE_BODIES, list(events), list(bodies))


async def claim_deliveries(pg: asyncpg.Pool, *, failing: bool, lease_s: float) -> list[Claimed]:
    """Deliveries that are due, of endpoints that fail or of the others, for `lease_s`."""
    rows = await pg.fetch(_CLAIM, failing, CLAIM_PER_ENDPOINT_MAX, CLAIM_MAX, lease_s)
    return [
        Claimed(
            n=row["n"],
            endpoint=row["endpoint_id"],
            shop=row["shop_id"],
            tries=row["tries"],
            event=row["id"],
            body=row["body"],
            url=row["url"],
            secrets=tuple(secret for secret in (row["secret"], row["previous_secret"]) if secret),
        )
        for row in rows
    ]


async def note_delivered(pg: asyncpg.Pool, delivery: int, status: int) -> None:
    """It arrived."""
    await pg.execute(_DELIVERED, delivery, status)


async def note_queued(pg: asyncpg.Pool, delivery: int, again_in_s: float) -> None:
    """It was not sent at all, for want of room here: that was no try."""
    await pg.execute(_QUEUED, delivery, again_in_s)


async def note_failed(
    pg: asyncpg.Pool, delivery: int, status: int | None, error: str | None, again_in_s: float | None
) -> tuple[datetime, datetime] | None:
    """It did not; None for `again_in_s` when it was the last try. Since when the endpoint fails, and now; None when
    the endpoint is gone.
    """
    row = await pg.fetchrow(_FAILED, delivery, status, error, again_in_s)
    return None if row is None else (row["failing_since"], row["now"])


async def suspend_endpoint(pg: asyncpg.Pool, endpoint: str) -> bool:
    """Stops telling it; what waits for it has failed. Whether it was active until now."""
    return await pg.fetchval(_SUSPEND, endpoint) is not None


async def forget_events(pg: asyncpg.Pool) -> None:
    """Deletes what is older than KEEP_DAYS."""
    while await pg.execute(_FORGET, KEEP_DAYS, FORGOTTEN_AT_ONCE) == f"DELETE {FORGOTTEN_AT_ONCE}":
        pass
