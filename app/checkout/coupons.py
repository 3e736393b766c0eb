"""A shop's coupons in Postgres: made and ended by the host, presented by buyers.

Owns their rows and what a presented code comes to. A use is counted by the commit of its order (commit_orders'
companion in app/storage/functions), under the coupon's lock, and given back by undo.py; nothing here counts. A coupon
that was made is never changed, only ended: what a buyer was told stays true.
"""

from typing import Annotated, Any, Final

import asyncpg
from msgspec import Meta, Struct, convert, structs
from redis.asyncio import Redis

from app import clock
from app.accounts.throttle import COUPON_ACCOUNT, COUPON_ADDRESS, count_try, forgive_try
from app.catalog.step_rules import off_step
from app.catalog.views import Id, UnixMs
from app.checkout.coupon_rules import UNKNOWN, USES_MAX, Audience, Code, Coupon, clean_code, discount_of, judge_coupon
from app.money import AMOUNT_MINOR_MAX, step
from app.refusal import Refusal

OPEN_MAX: Final = 100
LISTED_MAX: Final = 500

_FIND: Final = """
    SELECT c.id, c.code, c.percent_off, c.cap_minor, c.amount_minor, c.minimum_minor, c.uses_max, c.used,
           c.once_per_buyer, c.show_id, c.audience, c.starts_at > now() AS is_early,
           c.ended_at IS NOT NULL OR coalesce(c.ends_at <= now(), false) AS is_over,
           EXISTS (SELECT FROM payment_coupons u
                    WHERE u.coupon_id = c.id AND u.account_id = $3
                      AND u.counted_at IS NOT NULL AND u.returned_at IS NULL) AS used_by_buyer,
           EXISTS (SELECT FROM orders o WHERE o.account_id = $3 AND o.shop_id = c.shop_id
                                          AND o.state NOT IN ('cancelled', 'refunded')) AS has_bought,
           h.currency
      FROM coupons c JOIN shops h ON h.id = c.shop_id WHERE c.shop_id = $1 AND c.code = $2"""

_VIEW: Final = """
    SELECT c.id, c.code, c.percent_off, c.cap_minor, c.amount_minor, c.minimum_minor, c.uses_max, c.used,
           c.once_per_buyer, c.show_id AS show, c.audience,
           floor(extract(epoch FROM c.starts_at) * 1000)::bigint AS starts_at_ms,
           floor(extract(epoch FROM c.ends_at) * 1000)::bigint AS ends_at_ms,
           CASE WHEN c.ended_at IS NOT NULL OR c.ends_at <= now() THEN 'over'
                WHEN c.used >= c.uses_max THEN 'used_up'
                WHEN c.starts_at <= now() THEN 'running' ELSE 'planned' END AS state
      FROM coupons c"""
_ONE: Final = _VIEW + " WHERE c.id = $1 AND c.shop_id = $2"
_OF_SHOP: Final = _VIEW + " WHERE c.shop_id = $1 ORDER BY c.created_at DESC, c.id LIMIT $2"

# The shop's row, locked: two new coupons cannot both be the last one that fits.
_LOCK_SHOP: Final = "SELECT currency FROM shops WHERE id = $1 FOR UPDATE"
_COUNT_OPEN: Final = """
    SELECT count(*) FROM coupons WHERE shop_id = $1 AND ended_at IS NULL AND coalesce(ends_at > now(), true)"""
_HAS_SHOW: Final = "SELECT EXISTS (SELECT FROM shows WHERE id = $1 AND shop_id = $2)"

# clock_timestamp(): a start that is now is so when it is written. No row: the window makes no sense.
_INSERT: Final = """
    INSERT INTO coupons (id, shop_id, code, percent_off, cap_minor, amount_minor, minimum_minor, uses_max,
                         once_per_buyer, show_id, audience, starts_at, ends_at, created_by)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, w.starts_at, w.ends_at, $14
      FROM (SELECT greatest(clock_timestamp(),
                            'epoch'::timestamptz + $12::bigint * interval '1 millisecond') AS starts_at,
                   'epoch'::timestamptz + $13::bigint * interval '1 millisecond' AS ends_at) w
     WHERE w.ends_at IS NULL OR w.starts_at < w.ends_at
    ON CONFLICT (shop_id, code) DO NOTHING RETURNING id"""
_TAKEN: Final = "SELECT EXISTS (SELECT FROM coupons WHERE shop_id = $1 AND code = $2)"
_END: Final = "UPDATE coupons SET ended_at = clock_timestamp() WHERE id = $1 AND shop_id = $2 AND ended_at IS NULL"

_NOT_FOUND: Final = Refusal("not_found", "The shop has no such coupon.")
_TOO_MANY: Final = Refusal("too_many", f"A shop has {OPEN_MAX} coupons to come or running at most.")
_CODE_TAKEN: Final = Refusal("coupon_taken", "The shop has, or had, a coupon with this code.")
_NO_SHOW: Final = Refusal("unknown_show", "The shop has no such show.")
_WINDOW: Final = Refusal("malformed", "A coupon ends after it starts.")
_ONE_OF: Final = Refusal("malformed", "A coupon takes off a percentage, which may be capped, or an amount.")

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MINOR_MAX)]


class NewCoupon(Struct, frozen=True, forbid_unknown_fields=True):
    """A coupon to be. Amounts in minor units of the shop's currency, Unix times of the server's clock; without
    `starts_at_ms` it starts now, without `ends_at_ms` it runs until it is ended. A first order is a buyer's only one.
    """

    code: Code
    percent_off: Annotated[int, Meta(ge=1, le=99)] | None = None
    cap_minor: Amount | None = None
    amount_minor: Amount | None = None
    minimum_minor: Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)] = 0
    uses_max: Annotated[int, Meta(ge=1, le=USES_MAX)] | None = None
    once_per_buyer: bool = False
    show: Id | None = None
    audience: Audience = Audience.EVERYONE
    starts_at_ms: UnixMs | None = None
    ends_at_ms: UnixMs | None = None


class CouponView(Struct, frozen=True):
    """A coupon as its host sees it. `state`: planned, running, used_up or over."""

    id: str
    code: str
    percent_off: int | None
    cap_minor: int | None
    amount_minor: int | None
    minimum_minor: int
    uses_max: int | None
    used: int
    once_per_buyer: bool
    show: str | None
    audience: Audience
    starts_at_ms: int
    ends_at_ms: int | None
    state: str


class CouponList(Struct, frozen=True):
    """A shop's coupons, newest first; at most LISTED_MAX."""

    coupons: list[CouponView]


class Presented(Struct, frozen=True):
    """A code as somebody typed it. `network` stands for where they are; "" for nowhere in particular."""

    code: str
    network: str = ""


class Applied(Struct, frozen=True):
    """What a coupon takes off one order."""

    coupon: str
    code: str
    discount_minor: int


class Coupons:
    """What buyers may do with codes: present them, so many times while they are wrong."""

    def __init__(self, pg: asyncpg.Pool, valkey: Redis) -> None:
        self._pg = pg
        self._valkey = valkey

    async def present(
        self, presented: Presented, *, person: str, shop: str, show: str, goods_minor: int
    ) -> Applied | Refusal:
        """What the code takes off these goods now, or which rule stands in the way. Counts no use.

        A code that does not exist is a guess: there are few of those, for the right code too once they are used up.
        """
        tries = [(COUPON_ACCOUNT, person), (COUPON_ADDRESS, presented.network)][: 2 if presented.network else 1]
        guessed = await count_try(self._valkey, *tries)
        if guessed is not None:
            return guessed
        code = clean_code(presented.code)
        row = await self._pg.fetchrow(_FIND, shop, code, person)
        if row is None:
            return UNKNOWN
        await forgive_try(self._valkey, *tries)
        coupon = structs.replace(convert(dict(row), Coupon), step_minor=step(row["currency"]))
        refused = judge_coupon(coupon, goods_minor=goods_minor, show=show)
        return refused or Applied(coupon.id, code, discount_of(coupon, goods_minor))


async def coupons_of(pg: asyncpg.Pool, shop: str) -> CouponList:
    """What the shop has and had."""
    return CouponList(convert([dict(row) for row in await pg.fetch(_OF_SHOP, shop, LISTED_MAX)], list[CouponView]))


async def make_coupon(pg: asyncpg.Pool, shop: str, host: str, new: NewCoupon) -> CouponView | Refusal:
    """Writes the coupon down."""
    if (new.percent_off is None) is (new.amount_minor is None) or (new.cap_minor and not new.percent_off):
        return _ONE_OF
    coupon, code = clock.new_id(), clean_code(new.code)
    once = new.once_per_buyer or new.audience is Audience.FIRST_TIME
    async with pg.acquire() as connection, connection.transaction():
        refused = await _refused(connection, shop, new)
        if refused is not None:
            return refused
        takes = (new.percent_off, new.cap_minor, new.amount_minor, new.minimum_minor, new.uses_max)
        values = (coupon, shop, code, *takes, once, new.show, new.audience, new.starts_at_ms, new.ends_at_ms, host)
        if await connection.fetchval(_INSERT, *values) is None:
            return _CODE_TAKEN if await connection.fetchval(_TAKEN, shop, code) else _WINDOW
    return await _read(pg, coupon, shop)


async def end_coupon(pg: asyncpg.Pool, shop: str, coupon: str) -> CouponView | Refusal:
    """Ends it now. Repeated, it changes nothing; payments that have begun with it are finished with it."""
    await pg.execute(_END, coupon, shop)
    return await _read(pg, coupon, shop)


async def _refused(connection: Any, shop: str, new: NewCoupon) -> Refusal | None:
    currency = await connection.fetchval(_LOCK_SHOP, shop)
    if await connection.fetchval(_COUNT_OPEN, shop) >= OPEN_MAX:
        return _TOO_MANY
    if new.show is not None and not await connection.fetchval(_HAS_SHOW, new.show, shop):
        return _NO_SHOW
    return off_step(currency, new.amount_minor, new.cap_minor)


async def _read(pg: asyncpg.Pool, coupon: str, shop: str) -> CouponView | Refusal:
    row = await pg.fetchrow(_ONE, coupon, shop)
    return _NOT_FOUND if row is None else convert(dict(row), CouponView)
