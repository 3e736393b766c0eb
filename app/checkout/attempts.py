"""Payment attempts in Postgres: written before the provider is called, with the request's idempotency key on them.

Owns how an attempt begins, is declined or is given up; app/checkout/commit.py owns how it becomes an order. All
attempts that arrived while the last were being written go in one transaction. An attempt has a row for each line of
what is bought; most have one.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.address_rules import ShipTo, door_of, mark_of
from app.checkout.condition_rules import Charged
from app.checkout.coupons import Applied
from app.checkout.order_rules import AttemptEvent, states_before
from app.flash_sales.moment import from_ms
from app.storage.own_connection import OwnConnection, halving, insisting

# Writes the lines whose hold is of their pool's present epoch. FOR KEY SHARE makes a rebuild of the gate wait, and
# looks at the epoch again after having waited for one: either the rebuild counts the attempt or the hold is lost. A
# key or a hold that is being claimed elsewhere is waited for. Whoever is banned by now begins no payment any more.
_INSERT: Final = """
    WITH pool AS MATERIALIZED (SELECT id, epoch FROM pools WHERE id = ANY($1) ORDER BY id FOR KEY SHARE)
    INSERT INTO payment_attempts (id, line, hold_id, pool_id, account_id, shop_id, show_id, variant_id, title, quantity,
                                  unit_price_minor, amount_minor, currency, method, hold_expires_at, idempotency_key,
                                  body_hash, state)
    SELECT t.id, c.line, t.hold_id, c.pool_id, t.account_id, c.shop_id, c.show_id, c.variant_id, c.title, c.quantity,
           c.unit_price, c.amount, c.currency, c.method, c.hold_expires_at, t.key, t.body_hash, 'started'
      FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::int[])
           AS t (id, hold_id, account_id, key, body_hash, common)
      JOIN unnest($8::int[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int[], $15::bigint[],
                  $16::bigint[], $17::text[], $18::text[], $19::timestamptz[], $20::bigint[]) WITH ORDINALITY
           AS c (line, pool_id, shop_id, show_id, variant_id, title, quantity, unit_price, amount, currency, method,
                 hold_expires_at, epoch, number) ON c.number = t.common
      JOIN pool p ON p.id = c.pool_id AND p.epoch = c.epoch
     WHERE NOT EXISTS (SELECT FROM sanctions x
                        WHERE x.account_id = t.account_id AND x.kind = 'ban' AND x.lifted_at IS NULL
                          AND (x.shop_id = c.shop_id OR x.show_id = c.show_id))
     ORDER BY t.hold_id
    ON CONFLICT DO NOTHING RETURNING id"""

_ADDRESS: Final = """
    INSERT INTO payment_addresses (attempt_id, name, street, extra, postal_code, city, country)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""

_TOTALS: Final = """
    INSERT INTO payment_totals (attempt_id, goods_minor, discount_minor, shipping_minor, tax_minor, tax_rate_bp,
                                tax_included, total_minor, shipping, policy_version)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""

_COUPON: Final = """
    INSERT INTO payment_coupons (attempt_id, coupon_id, account_id, discount_minor) VALUES ($1, $2, $3, $4)"""

_KEEP: Final = "INSERT INTO payment_keeps (attempt_id) VALUES ($1)"

_MARK: Final = """
    INSERT INTO payment_marks (attempt_id, kind, mark) VALUES ($1, $2, $3) ON CONFLICT (attempt_id, kind) DO NOTHING"""

_OF_SALE: Final = "SELECT EXISTS (SELECT FROM pools WHERE id = ANY($1) AND flash_sale_id IS NOT NULL)"

# Of an attempt that could not be written whole.
_TAKE_BACK: Final = "DELETE FROM payment_attempts WHERE id = ANY($1)"

_OWNERS: Final = """
    SELECT a.account_id, a.idempotency_key AS key, a.id
      FROM unnest($1::text[], $2::text[]) AS t (account_id, key)
      JOIN payment_attempts a ON a.account_id = t.account_id AND a.idempotency_key = t.key"""

_BANNED: Final = """
    SELECT t.id FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (id, account_id, shop_id, show_id)
     WHERE EXISTS (SELECT FROM sanctions x
                    WHERE x.account_id = t.account_id AND x.kind = 'ban' AND x.lifted_at IS NULL
                      AND (x.shop_id = t.shop_id OR x.show_id = t.show_id))"""

_OPEN_ON: Final = """
    SELECT hold_id FROM payment_attempts
     WHERE hold_id = ANY($1) AND NOT failed"""

_EPOCHS: Final = "SELECT id, epoch FROM pools WHERE id = ANY($1)"

# The gate has to know too, however often we die in between: the note says it again.
_DECLINE: Final = """
    WITH declined AS (
        UPDATE payment_attempts SET state = 'declined', refusal = 'payment_declined', updated_at = now()
         WHERE id = $1 AND state = ANY($2) RETURNING id, line
    )
    INSERT INTO outbox (topic, subject) SELECT 'declined', id FROM declined WHERE line = 1"""

# No order will come of it. The void itself is the outbox's: it must happen however often we die here. The provider may
# keep the card all the same, and then its buyer has to see it. With $4 the key is free again.
_GIVE_UP: Final = """
    WITH given_up AS (
        UPDATE payment_attempts
           SET state = 'voiding', refusal = $3, updated_at = now(),
               idempotency_key = CASE WHEN NOT $4 THEN idempotency_key END,
               body_hash = CASE WHEN NOT $4 THEN body_hash END
         WHERE id = $1 AND state = ANY($2) RETURNING id, line
    )
    INSERT INTO outbox (topic, subject) SELECT 'void', id FROM given_up WHERE line = 1
    UNION ALL SELECT 'card.keep', g.id FROM given_up g
               WHERE g.line = 1 AND EXISTS (SELECT FROM payment_keeps k WHERE k.attempt_id = g.id)"""

# Those that the clock of Postgres calls old: no process's own clock matters. Those after $4, in the order of their ids.
_FIND_OPEN: Final = """
    WITH found AS (
        SELECT id FROM payment_attempts
         WHERE unfinished AND line = 1 AND state IN ('started', 'authorised')
           AND updated_at < now() - make_interval(secs => $1) AND id > $4
         ORDER BY id LIMIT $3
    )
    SELECT a.id, a.line, a.hold_id, a.pool_id, a.account_id, a.show_id, a.method, a.quantity, a.unit_price_minor,
           a.created_at < now() - make_interval(secs => $2) AS old,
           -- No order can come of it any more, whatever the provider says.
           bool_or(EXISTS (
               SELECT FROM pools p JOIN flash_sales s ON s.id = p.flash_sale_id
                WHERE p.id = a.pool_id AND s.state = 'cancelled')) OVER (PARTITION BY a.id) AS called_off,
           EXISTS (SELECT FROM payment_coupons c WHERE c.attempt_id = a.id) AS coupon,
           EXISTS (SELECT FROM payment_keeps k WHERE k.attempt_id = a.id) AS keep
      FROM found JOIN payment_attempts a ON a.id = found.id ORDER BY a.id, a.line"""

_READ_OPEN: Final = """
    SELECT id, line, hold_id, pool_id, account_id, show_id, method, quantity, unit_price_minor,
           created_at < now() - make_interval(secs => $2) AS old, false AS called_off,
           EXISTS (SELECT FROM payment_coupons c WHERE c.attempt_id = a.id) AS coupon,
           EXISTS (SELECT FROM payment_keeps k WHERE k.attempt_id = a.id) AS keep
      FROM payment_attempts a WHERE id = $1 AND state IN ('started', 'authorised') ORDER BY line"""

# Whoever is silent is asked again only when the attempt has been untouched for long enough once more.
_TOUCH: Final = "UPDATE payment_attempts SET updated_at = now() WHERE id = $1 AND state IN ('started', 'authorised')"

# The payment goes on with another hold. The pool's lock as in _INSERT.
_REPLACE_HOLD: Final = """
    WITH p AS (SELECT id FROM pools WHERE id = $5 AND epoch = $6 FOR KEY SHARE)
    UPDATE payment_attempts a
       SET replaced_hold_id = coalesce(replaced_hold_id, hold_id), hold_id = $3, hold_expires_at = $4
      FROM p WHERE a.id = $1 AND a.line = $2 AND a.pool_id = p.id AND a.state IN ('started', 'authorised')
    RETURNING a.id"""


class Line(msgspec.Struct, frozen=True, gc=False):
    """What is bought on one hold. `epoch` is its gate's when the hold was extended."""

    hold: str
    pool: str
    variant: str
    title: str
    quantity: int
    unit_price_minor: int
    hold_expires_at_ms: int
    epoch: int


class NewAttempt(msgspec.Struct, frozen=True, gc=False):
    """An attempt to be written. `body_hash` is of the request under `key`; `show` is "" for none."""

    id: str
    person: str
    shop: str
    show: str
    currency: str
    method: str
    key: str
    body_hash: bytes
    lines: tuple[Line, ...]
    ship_to: ShipTo | None = None
    charged: Charged | None = None  # None: what the lines cost, and nothing else
    coupon: Applied | None = None  # what it takes off is in `charged`
    keep: bool = False  # the card, for next time
    kept: bool = False  # the method is a card that the buyer has kept
    address: str = ""  # the buyer's on the network

    @property
    def amount_minor(self) -> int:
        """What the payment is of."""
        if self.charged is not None:
            return self.charged.totals.total_minor
        if len(self.lines) == 1:
            return self.lines[0].quantity * self.lines[0].unit_price_minor
        return sum(one.quantity * one.unit_price_minor for one in self.lines)


class OpenLine(msgspec.Struct, frozen=True):
    """A line of an attempt that is neither an order nor given up."""

    hold: str
    pool: str
    quantity: int
    unit_price_minor: int


class OpenAttempt(msgspec.Struct, frozen=True):
    """An attempt that is neither an order nor given up. Its lines are numbered from 1."""

    id: str
    person: str
    show: str
    method: str
    lines: tuple[OpenLine, ...]
    coupon: bool = False
    keep: bool = False
    old: bool = False  # its buyer had all the time there is
    called_off: bool = False  # the sale that it is of

    @property
    def hopeless(self) -> bool:
        """Whether a provider that is silent is not waited for."""
        return self.old or self.called_off


class Written(StrEnum):
    """What became of a NewAttempt."""

    STARTED = "started"
    KEY_TAKEN = "key_taken"  # the key was used before: its answer counts
    PAYING = "paying"  # another attempt on one of its holds is open, or has its order
    LOST = "lost"  # the epoch of one of its holds is gone
    FREED = "freed"  # another attempt had its key, or a hold, and has let it go since: asked again, it may be written
    BANNED = "banned"  # by the staff of the show or the shop
    UNFIT = "unfit"  # the database will not have it


async def write_attempts(own: OwnConnection, attempts: list[NewAttempt]) -> Sequence[Written]:
    """Writes a batch; each gets its own outcome. What was lost on the way is found again by its id."""
    return await insisting(own, _write_good, attempts)


async def _write_good(connection: Any, attempts: list[NewAttempt]) -> list[Written]:
    return await halving(connection, _write, attempts, _refuse)


async def _refuse(_connection: Any, _attempt: NewAttempt) -> Written:
    return Written.UNFIT


async def _write(connection: Any, attempts: list[NewAttempt]) -> list[Written]:
    # A single statement needs no transaction around it; the round trips of one are saved.
    single = all(
        len(one.lines) == 1 and one.ship_to is None and one.charged is None and not one.keep for one in attempts
    )
    async with nullcontext() if single else connection.transaction():
        rows = [row["id"] for row in await connection.fetch(_INSERT, *_columns(attempts))]
        if len(rows) == sum(len(one.lines) for one in attempts):
            if not single:
                await _write_beside(connection, attempts)
            return [Written.STARTED] * len(attempts)
        await _write_beside(connection, [one for one in attempts if rows.count(one.id) == len(one.lines)])
        failed = [one for one in attempts if rows.count(one.id) < len(one.lines)]
        if not single:
            await connection.execute(_TAKE_BACK, [one.id for one in failed if one.id in rows])
        return await _tell_why(connection, attempts, failed)


async def _write_beside(connection: Any, attempts: list[NewAttempt]) -> None:
    sums = [
        (one.id, *msgspec.structs.astuple(one.charged.totals), one.charged.shipping, one.charged.policy_version)
        for one in attempts
        if one.charged is not None
    ]
    if sums:
        await connection.executemany(_TOTALS, sums)
    for one in attempts:
        if one.coupon is not None:
            await connection.execute(_COUPON, one.id, one.coupon.coupon, one.person, one.coupon.discount_minor)
        if one.keep:
            await connection.execute(_KEEP, one.id)
        if one.ship_to is not None:
            to = one.ship_to
            await connection.execute(
                _ADDRESS, one.id, to.name, to.street, to.extra, to.postal_code, to.city, to.country
            )
            await connection.execute(_MARK, one.id, "address", mark_of(door_of(to)))


async def is_of_sale(pg: asyncpg.Pool, attempt: OpenAttempt) -> bool:
    """Whether any of it is bought in a flash sale."""
    return bool(await pg.fetchval(_OF_SALE, [line.pool for line in attempt.lines]))


async def note_card(pg: asyncpg.Pool, attempt: str, card: str) -> None:
    """Notes the card that pays, as the provider tells one from another. Idempotent."""
    await pg.execute(_MARK, attempt, "card", mark_of(card))


async def _tell_why(connection: Any, attempts: list[NewAttempt], failed: list[NewAttempt]) -> list[Written]:
    owners = await connection.fetch(_OWNERS, [one.person for one in failed], [one.key for one in failed])
    owner = {(row["account_id"], row["key"]): row["id"] for row in owners}
    holds = [line.hold for one in failed for line in one.lines]
    paying = {row["hold_id"] for row in await connection.fetch(_OPEN_ON, holds)}
    whom = [(one.id, one.person, one.shop, one.show) for one in failed]
    banned = {row["id"] for row in await connection.fetch(_BANNED, *map(list, zip(*whom, strict=True)))}
    pools = list({line.pool for one in failed for line in one.lines})
    epochs = {row["id"]: row["epoch"] for row in await connection.fetch(_EPOCHS, pools)}
    fates = {}
    for one in failed:
        found = owner.get((one.person, one.key))
        if found == one.id:
            fates[one.id] = Written.STARTED  # by an earlier try, whose answer was lost
        elif found is not None:
            fates[one.id] = Written.KEY_TAKEN
        elif one.id in banned:
            fates[one.id] = Written.BANNED
        elif any(line.hold in paying for line in one.lines):
            fates[one.id] = Written.PAYING
        else:
            lost = any(epochs.get(line.pool) != line.epoch for line in one.lines)
            fates[one.id] = Written.LOST if lost else Written.FREED
    return [fates.get(one.id, Written.STARTED) for one in attempts]


def _columns(attempts: list[NewAttempt]) -> list[Any]:
    """The parameters of _INSERT, in its order. What several lines have in common goes over once."""
    commons: dict[tuple[Any, ...], int] = {}
    rows: list[tuple[Any, ...]] = []
    for one in attempts:
        for number, line in enumerate(one.lines, 1):
            common = (
                *(number, line.pool, one.shop, one.show or None, line.variant, line.title, line.quantity),
                *(
                    line.unit_price_minor,
                    one.amount_minor,
                    one.currency,
                    one.method,
                    line.hold_expires_at_ms,
                    line.epoch,
                ),
            )
            # The key stands in the first line.
            key, hashed = (one.key, one.body_hash) if number == 1 else (None, None)
            rows.append((one.id, line.hold, one.person, key, hashed, commons.setdefault(common, len(commons) + 1)))
    columns = [*map(list, zip(*commons, strict=True))]
    columns[-2] = [from_ms(expires_at_ms) for expires_at_ms in columns[-2]]
    return [list({common[1] for common in commons}), *map(list, zip(*rows, strict=True)), *columns]


async def decline(pg: asyncpg.Pool, attempt: str) -> None:
    """The provider said no. Idempotent."""
    await pg.execute(_DECLINE, attempt, states_before(AttemptEvent.DECLINE))


async def give_up(pg: Any, attempt: str, why: str, *, ask_anew: bool = False) -> None:
    """No order will come of it, and `why`, a key of NO_ORDER, is what its buyer is told. The money is freed by the
    outbox. With `ask_anew` nothing was asked for yet, and whoever sends the same request under the same key is judged
    anew. Idempotent; does nothing once it is an order. `pg` is a pool or a connection.
    """
    await pg.execute(_GIVE_UP, attempt, states_before(AttemptEvent.GIVE_UP), why, ask_anew)


async def replace_hold(
    pg: asyncpg.Pool, attempt: OpenAttempt, number: int, *, hold: str, expires_at_ms: int, epoch: int
) -> bool:
    """Puts a line of the payment on a new hold; False when it is not open any more or the epoch has gone."""
    pool, moment = attempt.lines[number - 1].pool, from_ms(expires_at_ms)
    return await pg.fetchval(_REPLACE_HOLD, attempt.id, number, hold, moment, pool, epoch) is not None


async def find_open(
    pg: asyncpg.Pool, *, untouched_s: float, hopeless_s: float, count_max: int, after: str = ""
) -> list[OpenAttempt]:
    """Attempts that nobody has touched for so long, those whose ids follow `after`, in the order of their ids;
    hopeless once begun longer ago than that.
    """
    rows = await pg.fetch(_FIND_OPEN, untouched_s, hopeless_s, count_max, after)
    return [_open(list(lines)) for _, lines in groupby(rows, key=lambda row: row["id"])]


async def open_attempt(pg: asyncpg.Pool, attempt: str, *, hopeless_s: float) -> OpenAttempt | None:
    """The attempt while it is open."""
    rows = await pg.fetch(_READ_OPEN, attempt, hopeless_s)
    return _open(rows) if rows else None


async def touch(pg: asyncpg.Pool, attempt: str) -> None:
    """Notes that the provider was asked just now, and has not decided."""
    await pg.execute(_TOUCH, attempt)


def _open(rows: list[Any]) -> OpenAttempt:
    return OpenAttempt(
        id=rows[0]["id"],
        person=rows[0]["account_id"],
        show=rows[0]["show_id"] or "",
        method=rows[0]["method"],
        old=rows[0]["old"],
        called_off=rows[0]["called_off"],
        coupon=rows[0]["coupon"],
        keep=rows[0]["keep"],
        lines=tuple(OpenLine(row["hold_id"], row["pool_id"], row["quantity"], row["unit_price_minor"]) for row in rows),
    )
