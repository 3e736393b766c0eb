"""Payment attempts in Postgres: written before the provider is called, together with the request's idempotency key.

Owns how an attempt begins, is declined or is given up; app/checkout/commit.py owns how it becomes an order. All
attempts that arrived while the last were being written go in one transaction.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.order_rules import AttemptEvent, states_before
from app.flash_sales.moment import from_ms
from app.refusal import Refusal

REJECTED_STATUS: Final = 409
DECLINED_STATUS: Final = 402
RETRIES_MAX: Final = 4

# Claims the keys. A key that is being claimed elsewhere is waited for; ordered, so that two batches cannot deadlock.
_CLAIM_KEYS: Final = """
    INSERT INTO idempotency_keys (account_id, key, body_hash)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) AS t (account_id, key, body_hash) ORDER BY 1, 2
    ON CONFLICT DO NOTHING RETURNING account_id, key"""

# Writes the attempts whose hold is of the pool's present epoch. FOR KEY SHARE makes a rebuild of the gate wait, and
# looks at the epoch again after having waited for one: either the rebuild counts the attempt or the hold is lost.
_INSERT: Final = """
    INSERT INTO payment_attempts (id, hold_id, pool_id, account_id, show_id, quantity, unit_price_minor, amount_minor,
                                  currency, method, state, hold_expires_at, idempotency_key)
    SELECT t.id, t.hold_id, t.pool_id, t.account_id, s.id, t.quantity, t.unit_price, t.quantity * t.unit_price,
           t.currency, t.method, 'started', t.hold_expires_at, t.key
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::bigint[], $8::text[],
                  $9::text[], $10::timestamptz[], $11::text[], $12::bigint[])
           AS t (id, hold_id, pool_id, account_id, show_id, quantity, unit_price, currency, method, hold_expires_at,
                 key, epoch)
      JOIN pools p ON p.id = t.pool_id AND p.epoch = t.epoch
      JOIN variants v ON v.id = p.variant_id
      JOIN products d ON d.id = v.product_id
      LEFT JOIN shows s ON s.id = t.show_id AND s.shop_id = d.shop_id
     ORDER BY t.hold_id
       FOR KEY SHARE OF p
    ON CONFLICT DO NOTHING RETURNING id"""

_OPEN_ON: Final = """
    SELECT hold_id FROM payment_attempts
     WHERE hold_id = ANY($1) AND state IN ('started', 'authorised', 'committed', 'captured')"""

_FREE_KEYS: Final = """
    DELETE FROM idempotency_keys k USING unnest($1::text[], $2::text[]) AS t (account_id, key)
     WHERE k.account_id = t.account_id AND k.key = t.key AND k.status IS NULL"""

_READ_KEY: Final = "SELECT body_hash, status, answer FROM idempotency_keys WHERE account_id = $1 AND key = $2"

_DECLINE: Final = """
    WITH declined AS (
        UPDATE payment_attempts SET state = 'declined', updated_at = now()
         WHERE id = $1 AND state = ANY($2) RETURNING account_id, idempotency_key
    )
    UPDATE idempotency_keys k SET status = $3, answer = $4
      FROM declined d WHERE k.account_id = d.account_id AND k.key = d.idempotency_key"""

# No order will come of it. The void itself is the outbox's: it must happen however often we die here.
GIVE_UP: Final = """
    WITH given_up AS (
        UPDATE payment_attempts SET state = 'voiding', updated_at = now()
         WHERE id = $1 AND state = ANY($2) RETURNING id, account_id, idempotency_key
    ), note AS (
        INSERT INTO outbox (topic, subject) SELECT 'void', id FROM given_up
    )
    UPDATE idempotency_keys k SET status = $3, answer = $4
      FROM given_up g WHERE k.account_id = g.account_id AND k.key = g.idempotency_key"""

# Those that the clock of Postgres calls old: no process's own clock matters. Those after $4, in the order of their ids.
_FIND_OPEN: Final = """
    SELECT id, hold_id, pool_id, account_id, show_id, quantity, unit_price_minor,
           created_at < now() - make_interval(secs => $2) AS hopeless
      FROM payment_attempts
     WHERE state IN ('started', 'authorised') AND updated_at < now() - make_interval(secs => $1) AND id > $4
     ORDER BY id LIMIT $3"""

_READ_OPEN: Final = """
    SELECT id, hold_id, pool_id, account_id, show_id, quantity, unit_price_minor,
           created_at < now() - make_interval(secs => $2) AS hopeless
      FROM payment_attempts WHERE id = $1 AND state IN ('started', 'authorised')"""

# Whoever is silent is asked again only when the attempt has been untouched for long enough once more.
_TOUCH: Final = "UPDATE payment_attempts SET updated_at = now() WHERE id = $1 AND state IN ('started', 'authorised')"

# The payment goes on with another hold. The pool's lock as in _INSERT.
_REPLACE_HOLD: Final = """
    WITH p AS (SELECT id FROM pools WHERE id = $4 AND epoch = $5 FOR KEY SHARE)
    UPDATE payment_attempts a
       SET replaced_hold_id = coalesce(replaced_hold_id, hold_id), hold_id = $2, hold_expires_at = $3
      FROM p WHERE a.id = $1 AND a.pool_id = p.id AND a.state IN ('started', 'authorised') RETURNING a.id"""


class NewAttempt(msgspec.Struct, frozen=True):
    """An attempt to be written. `epoch` is the gate's when it extended the hold."""

    id: str
    hold: str
    pool: str
    person: str
    show: str
    quantity: int
    unit_price_minor: int
    currency: str
    method: str
    hold_expires_at_ms: int
    epoch: int
    key: str
    body_hash: bytes


class OpenAttempt(msgspec.Struct, frozen=True):
    """An attempt that is neither an order nor given up."""

    id: str
    hold: str
    pool: str
    person: str
    show: str
    quantity: int
    unit_price_minor: int
    hopeless: bool = False  # too old to wait for a provider that is silent


class Written(StrEnum):
    """What became of a NewAttempt."""

    STARTED = "started"
    KEY_TAKEN = "key_taken"  # the key was used before: its answer counts
    PAYING = "paying"  # another attempt on this hold is open, or has its order
    LOST = "lost"  # the hold's epoch is gone


class KnownAnswer(msgspec.Struct, frozen=True):
    """What a key's first request was told; `status` None while it is in progress."""

    same_body: bool
    status: int | None
    answer: Any


async def write_attempts(pg: asyncpg.Pool, attempts: list[NewAttempt]) -> Sequence[Written]:
    """Writes a batch; each gets its own outcome. Deadlocks and the like are retried RETRIES_MAX times."""
    for tries_left in reversed(range(RETRIES_MAX)):
        try:
            async with pg.acquire() as connection, connection.transaction():
                return await _write(connection, attempts)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            if not tries_left:
                raise
    raise AssertionError("unreachable")


async def _write(connection: Any, attempts: list[NewAttempt]) -> list[Written]:
    claimed = await _claim(connection, attempts)
    mine = [one for one in attempts if claimed.get((one.person, one.key)) == one.id]
    columns = [
        [one.id for one in mine],
        [one.hold for one in mine],
        [one.pool for one in mine],
        [one.person for one in mine],
        [one.show for one in mine],
        [one.quantity for one in mine],
        [one.unit_price_minor for one in mine],
        [one.currency for one in mine],
        [one.method for one in mine],
        [from_ms(one.hold_expires_at_ms) for one in mine],
        [one.key for one in mine],
        [one.epoch for one in mine],
    ]
    written = {row["id"] for row in await connection.fetch(_INSERT, *columns)}
    failed = [one for one in mine if one.id not in written]
    paying: set[str] = set()
    if failed:
        paying = {row["hold_id"] for row in await connection.fetch(_OPEN_ON, [one.hold for one in failed])}
        await connection.execute(_FREE_KEYS, [one.person for one in failed], [one.key for one in failed])
    outcomes = []
    for one in attempts:
        if one.id in written:
            outcomes.append(Written.STARTED)
        elif claimed.get((one.person, one.key)) != one.id:
            outcomes.append(Written.KEY_TAKEN)
        else:
            outcomes.append(Written.PAYING if one.hold in paying else Written.LOST)
    return outcomes


async def _claim(connection: Any, attempts: list[NewAttempt]) -> dict[tuple[str, str], str]:
    """The attempts that own their key: by (person, key) the id of the first in the batch."""
    first: dict[tuple[str, str], NewAttempt] = {}
    for one in attempts:
        first.setdefault((one.person, one.key), one)
    persons, keys = [person for person, _ in first], [key for _, key in first]
    hashes = [one.body_hash for one in first.values()]
    rows = await connection.fetch(_CLAIM_KEYS, persons, keys, hashes)
    return {(row["account_id"], row["key"]): first[row["account_id"], row["key"]].id for row in rows}


async def known_answer(pg: asyncpg.Pool, person: str, key: str, body_hash: bytes) -> KnownAnswer | None:
    """What this key was answered before; None when it is new."""
    row = await pg.fetchrow(_READ_KEY, person, key)
    if row is None:
        return None
    return KnownAnswer(same_body=row["body_hash"] == body_hash, status=row["status"], answer=row["answer"])


async def decline(pg: asyncpg.Pool, attempt: str, refusal: Refusal) -> None:
    """The provider said no. Idempotent."""
    await pg.execute(_DECLINE, attempt, states_before(AttemptEvent.DECLINE), DECLINED_STATUS, to_answer(refusal))


async def give_up(pg: asyncpg.Pool, attempt: str, refusal: Refusal) -> None:
    """No order will come of it: the money is freed by the outbox. Idempotent; does nothing once it is an order."""
    await pg.execute(GIVE_UP, attempt, states_before(AttemptEvent.GIVE_UP), REJECTED_STATUS, to_answer(refusal))


async def replace_hold(pg: asyncpg.Pool, attempt: OpenAttempt, *, hold: str, expires_at_ms: int, epoch: int) -> bool:
    """Puts the payment on a new hold; False when the attempt is not open any more or the epoch has gone."""
    moment = from_ms(expires_at_ms)
    return await pg.fetchval(_REPLACE_HOLD, attempt.id, hold, moment, attempt.pool, epoch) is not None


async def find_open(
    pg: asyncpg.Pool, *, untouched_s: float, hopeless_s: float, count_max: int, after: str = ""
) -> list[OpenAttempt]:
    """Attempts that nobody has touched for so long, those whose ids follow `after`, in the order of their ids;
    hopeless once begun longer ago than that.
    """
    return [_open(row) for row in await pg.fetch(_FIND_OPEN, untouched_s, hopeless_s, count_max, after)]


async def open_attempt(pg: asyncpg.Pool, attempt: str, *, hopeless_s: float) -> OpenAttempt | None:
    """The attempt while it is open."""
    row = await pg.fetchrow(_READ_OPEN, attempt, hopeless_s)
    return None if row is None else _open(row)


async def touch(pg: asyncpg.Pool, attempt: str) -> None:
    """Notes that the provider was asked just now, and has not decided."""
    await pg.execute(_TOUCH, attempt)


def _open(row: Any) -> OpenAttempt:
    return OpenAttempt(
        id=row["id"],
        hold=row["hold_id"],
        pool=row["pool_id"],
        person=row["account_id"],
        show=row["show_id"] or "",
        quantity=row["quantity"],
        unit_price_minor=row["unit_price_minor"],
        hopeless=row["hopeless"],
    )


def to_answer(refusal: Refusal) -> dict[str, Any]:
    """A refusal as it is kept under the idempotency key."""
    return {"code": refusal.code, "message": refusal.message}
