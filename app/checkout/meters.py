"""What an operator watches of checkout, for /metrics: read from the database, so that every process shows the same; and
which way a process's purchases in one step went.
"""

from typing import Final

import asyncpg
from prometheus_client import Counter, Gauge

from app.checkout.outbox import Outbox
from app.checkout.troubles import count_troubles

_WAITING: Final = Gauge("hawker_outbox_waiting", "Notes of the outbox that are still to be done.")
_SET_ASIDE: Final = Gauge("hawker_outbox_set_aside", "Notes of the outbox that failed by themselves: look at them.")
_OLDEST_S: Final = Gauge("hawker_outbox_oldest_seconds", "Age of the oldest note of the outbox that waits.")
_OPEN: Final = Gauge("hawker_payments_open", "Payment attempts that are neither an order nor given up.")
_TROUBLES: Final = Gauge("hawker_money_troubles", "Money that would not go back, and disputes: somebody has to look.")

_BUY_NOW: Final = Counter("hawker_buy_now", "Purchases in one step, by the way they came.", ["way"])
BEGUN_AT_ONCE: Final = _BUY_NOW.labels("at_once")
ASKED_FOR: Final = _BUY_NOW.labels("asked")
LEFT_WAVE: Final = Counter("hawker_buy_now_alone", "Of these, those that left their wave and went on alone.")

_COUNT_OPEN: Final = "SELECT count(*) FROM payment_attempts WHERE state IN ('started', 'authorised', 'voiding')"


async def read_meters(pg: asyncpg.Pool, outbox: Outbox) -> None:
    """Sets the gauges."""
    counts = await outbox.count()
    _WAITING.set(counts.waiting)
    _SET_ASIDE.set(counts.set_aside)
    _OLDEST_S.set(counts.oldest_s)
    _OPEN.set(await pg.fetchval(_COUNT_OPEN))
    _TROUBLES.set(await count_troubles(pg))
