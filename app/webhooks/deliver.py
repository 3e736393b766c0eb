"""From what happened to what was delivered: the worker's half of webhooks.

Owns the bodies, the headers and the pace. An event's body is written once and every try of every endpoint sends those
bytes; who gets one twice knows it by its id.
"""

import asyncio
import random
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter
from standardwebhooks import Webhook as Signer

from app import clock
from app.storage.loops import Loop
from app.webhooks import store
from app.webhooks.parts import Webhooks
from app.webhooks.store import Claimed
from app.webhooks.target import Outcome
from app.webhooks.webhook_rules import is_received, is_to_suspend, pause_s

SPREAD_PERIOD_S: Final = 0.5
DELIVER_PERIOD_S: Final = 0.5
FORGET_PERIOD_S: Final = 3600.0
LEASE_S: Final = 60.0
"""Longer than a try may take."""
QUEUED_AGAIN_S: Final = 5.0
"""At the least, until a try whose turn did not come is made again."""

DELIVERIES: Final = Counter("hawker_webhook_deliveries", "Tries to deliver a webhook", ["outcome"])
SUSPENSIONS: Final = Counter("hawker_webhook_suspensions", "Endpoints that were given up")

log = structlog.get_logger("hawker.webhooks")


def loops(parts: Webhooks) -> list[Loop]:
    """The loops of the worker role."""
    return [
        Loop("webhooks.spread", SPREAD_PERIOD_S, partial(spread, parts)),
        Loop("webhooks.deliver", DELIVER_PERIOD_S, partial(deliver, parts, failing=False)),
        Loop("webhooks.deliver_again", DELIVER_PERIOD_S, partial(deliver, parts, failing=True)),
        Loop("webhooks.forget", FORGET_PERIOD_S, partial(store.forget_events, parts.pg)),
    ]


def write_body(event_type: str, at_ms: int, data: dict[str, Any]) -> str:
    """The JSON that is sent: type, RFC 3339 timestamp, data."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode({"type": event_type, "timestamp": at, "data": data}).decode()


async def spread(webhooks: Webhooks) -> None:
    """Turns what happened into deliveries, until nothing is left."""
    while True:
        async with webhooks.pg.acquire() as connection, connection.transaction():
            happened = await store.read_happened(connection)
            bodies = [
                write_body(
                    one.type,
                    round(one.at.timestamp() * 1000),
                    {**(one.data or {}), "state": one.type.partition(".")[2]},
                )
                for one in happened
            ]
            await store.write_spread(connection, [one.id for one in happened], bodies)
        if len(happened) < store.SPREAD_AT_ONCE:
            return


async def deliver(webhooks: Webhooks, *, failing: bool) -> None:
    """Tries everything that is due."""
    while True:
        claimed = await store.claim_deliveries(webhooks.pg, failing=failing, lease_s=LEASE_S)
        async with asyncio.TaskGroup() as group:
            for one in claimed:
                group.create_task(_try(webhooks, one), name=f"webhook {one.event}")
        if not claimed:
            return


def headers(event: str, secrets: tuple[str, ...], now_ms: int, body: str) -> dict[str, str]:
    """Standard Webhooks' three, with a signature under each live secret."""
    at = datetime.fromtimestamp(now_ms // 1000, UTC)
    signatures = [Signer(secret).sign(event, at, body) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "Hawker-Webhooks",
        "webhook-id": event,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(signatures),
    }


async def _try(webhooks: Webhooks, one: Claimed) -> None:
    signed = headers(one.event, one.secrets, clock.now_ms(), one.body)
    outcome = await webhooks.target.post(one.url, signed, one.body.encode(), whose=one.shop)
    if outcome.status is not None and is_received(outcome.status):
        DELIVERIES.labels("delivered").inc()
        await store.note_delivered(webhooks.pg, one.n, outcome.status)
    elif outcome.queued:
        DELIVERIES.labels("queued").inc()
        await store.note_queued(webhooks.pg, one.n, QUEUED_AGAIN_S * (1 + random.random()))
    else:
        DELIVERIES.labels("failed").inc()
        await _note_failure(webhooks, one, outcome)


async def _note_failure(webhooks: Webhooks, one: Claimed, outcome: Outcome) -> None:
    again_in_s = pause_s(one.tries, random.random())
    since = await store.note_failed(webhooks.pg, one.n, outcome.status, outcome.error, again_in_s)
    if (
        since is not None
        and is_to_suspend(outcome.status, *since)
        and await store.suspend_endpoint(webhooks.pg, one.endpoint)
    ):
        SUSPENSIONS.inc()
        log.warning("webhook.suspended", endpoint=one.endpoint, status=outcome.status, error=outcome.error)
