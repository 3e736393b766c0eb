"""The commit of orders: all that arrived while the last commit was in flight, in one transaction and one round trip.

The database's function commit_orders locks, decides and writes (its migration tells how). Owned here is what becomes
of a batch: all who were refused in company are asked for once more, each alone, in one call more; a batch with a bad
order in it is halved until the bad one is alone; and what is lost on the way is run again.

Committing an attempt twice gives its one order, and an attempt is the one payment open on its hold. So whenever the
outcome is unknown the batch is simply run again: the lock waits for the transaction that was lost, and then sees what
became of it.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from app import clock
from app.checkout.attempts import give_up
from app.checkout.order_rules import NO_ORDER
from app.flash_sales.moment import from_ms
from app.refusal import Refusal
from app.storage.own_connection import OwnConnection, halving, insisting

_COMMIT: Final = "SELECT attempt_id, outcome FROM commit_orders($1, $2, $3)"
_COMMIT_WITH_COUPONS: Final = "SELECT attempt_id, outcome FROM commit_orders_with_coupons($1, $2, $3)"
_COMMIT_EACH_ALONE: Final = "SELECT attempt_id, outcome FROM commit_each_alone($1, $2, $3)"
_REFUSED: Final = frozenset(
    {"ended", "sold_out", "over_limit", "over_card_limit", "over_address_limit", "coupon_used_up", "coupon_used"}
)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """`order` when there is one: made just now, at `made_at`, or before. Else `refusal`."""

    order: str | None
    made_at: datetime | None = None
    refusal: Refusal | None = None


_IN_COMPANY: Final = frozenset(NO_ORDER[word] for word in _REFUSED)
_UNFIT: Final = Outcome(order=None, refusal=NO_ORDER["order_invalid"])
_OVER: Final = Outcome(order=None, refusal=NO_ORDER["hold_ended"])


async def commit_orders(own: OwnConnection, attempts: list[str]) -> Sequence[Outcome]:
    """Commits payment attempts, by their ids. An attempt that is there twice gets one answer."""
    unique = list(dict.fromkeys(attempts))
    outcomes = dict(zip(unique, await insisting(own, _commit_good, unique), strict=True))
    return [outcomes[one] for one in attempts]


async def commit_with_coupons(own: OwnConnection, attempts: list[str]) -> Sequence[Outcome]:
    """Commits payment attempts that have a coupon: with the order its use, or neither."""
    unique = list(dict.fromkeys(attempts))
    outcomes = dict(zip(unique, await insisting(own, _commit_good_with_coupons, unique), strict=True))
    return [outcomes[one] for one in attempts]


async def _commit_good(connection: Any, attempts: list[str]) -> list[Outcome]:
    return await halving(connection, partial(_commit, coupons=False), attempts, _set_aside)


async def _commit_good_with_coupons(connection: Any, attempts: list[str]) -> list[Outcome]:
    return await halving(connection, partial(_commit, coupons=True), attempts, _set_aside)


async def _set_aside(connection: Any, attempt: str) -> Outcome:
    """What the database will not have as an order is given up."""
    await give_up(connection, attempt, "order_invalid")
    return _UNFIT


async def _commit(connection: Any, attempts: list[str], *, coupons: bool) -> list[Outcome]:
    if len(attempts) == 1:
        return await _ask(connection, attempts, coupons=coupons, alone=True)
    outcomes = await _ask(connection, attempts, coupons=coupons, alone=False)
    refused = [one for one, outcome in zip(attempts, outcomes, strict=True) if outcome.refusal in _IN_COMPANY]
    if not refused:
        return outcomes
    told = dict(zip(refused, await _ask(connection, refused, coupons=coupons, alone=True), strict=True))
    return [told.get(attempt, outcome) for attempt, outcome in zip(attempts, outcomes, strict=True)]


async def _ask(connection: Any, attempts: list[str], *, coupons: bool, alone: bool) -> list[Outcome]:
    """One call, one transaction. `alone`: each is decided by itself, in its turn, and its refusal is final."""
    moment = from_ms(clock.now_ms())
    if alone and len(attempts) > 1:
        rows = await connection.fetch(_COMMIT_EACH_ALONE, attempts, moment, coupons)
    else:
        rows = await connection.fetch(_COMMIT_WITH_COUPONS if coupons else _COMMIT, attempts, moment, alone)
    answers = dict(rows)
    return [_outcome(one, answers.get(one, "over"), moment) for one in attempts]


def _outcome(attempt: str, word: str, moment: datetime) -> Outcome:
    if word == "commit":
        return Outcome(attempt, moment)
    if word == "ordered":
        return Outcome(attempt)
    return Outcome(None, refusal=NO_ORDER[word]) if word in _REFUSED else _OVER
