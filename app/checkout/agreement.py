"""What the buyer agreed to, held against what the shop asks: the last word on an order's total before it is paid for.

Owns where the conditions, the saved address and the usual way to ship come together; the sums are condition_rules'.
Asks no database for an order of a shop that asks nothing (conditions are remembered for a moment).
"""

from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.address_rules import ShipTo
from app.checkout.attempts import NewAttempt
from app.checkout.condition_rules import NONE, Agreed, Charged, Conditions, charge, first_method, totals_for
from app.checkout.conditions import KnownConditions
from app.checkout.coupon_rules import clean_code
from app.checkout.coupons import Applied, Coupons, Presented
from app.checkout.total_rules import TOO_MUCH, PricedLine
from app.money import AMOUNT_MINOR_MAX, step
from app.refusal import Refusal

_ADDRESS: Final = """
    SELECT name, street, city, country, postal_code, extra FROM saved_addresses WHERE account_id = $1"""

_METHOD: Final = "SELECT method FROM saved_methods WHERE account_id = $1 AND shop_id = $2"


class Agreement(msgspec.Struct, frozen=True, gc=False):
    """What a request says beside what it wants. `to_saved`: without an address of its own it goes to the saved one."""

    agreed: Agreed | None = None
    to_saved: bool = False
    coupon: Presented | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """For the hash of the request; none when nothing was said."""
        one, coupon = self.agreed, self.coupon
        agreed = () if one is None else ("agreed", str(one.total_minor), one.shipping, str(one.policy))
        return agreed if coupon is None else (*agreed, "coupon", clean_code(coupon.code))


async def agree(
    pg: asyncpg.Pool, known: KnownConditions, coupons: Coupons, new: NewAttempt, agreement: Agreement
) -> NewAttempt | Refusal:
    """The attempt with its address and what it costs, or what the buyer has still to say."""
    agreed = agreement.agreed
    conditions = await (known.lately(new.shop) if agreed is None else known.now(new.shop))
    if agreed is None and not conditions.any and agreement.coupon is None:
        return new
    coupon = await _coupon_of(coupons, new, agreement.coupon)
    if isinstance(coupon, Refusal):
        return coupon
    ship_to = new.ship_to
    if ship_to is None and agreement.to_saved and conditions.needs_address:
        ship_to = await saved_address(pg, new.person)
    country = "" if ship_to is None else ship_to.country
    usual = await usual_method(pg, conditions, new.person, new.shop, country) if agreed is None else ""
    lines = [PricedLine(line.quantity, line.unit_price_minor) for line in new.lines]
    size = step(new.currency)
    discount = 0 if coupon is None else coupon.discount_minor
    if agreed is None and not conditions.any:
        charged = _charge_unasked(lines, discount, size)
    else:
        charged = charge(conditions, lines, country, agreed, discount, usual_method=usual, step_minor=size)
    if isinstance(charged, Refusal):
        return charged
    if agreed is not None and ship_to is not None:
        await remember(pg, new.person, new.shop, ship_to, agreed.shipping)
    if not conditions.any and coupon is None:
        return msgspec.structs.replace(new, ship_to=ship_to)
    return msgspec.structs.replace(new, ship_to=ship_to, charged=charged, coupon=coupon)


def agree_at_once(conditions: Conditions, new: NewAttempt, agreed: Agreed | None) -> NewAttempt | None:
    """As `agree`, without coupon or address and with the shop's conditions as they are now; None where that is not all
    there is to it, or it is refused.
    """
    if agreed is None:
        return None if conditions.any else new
    if conditions.needs_address:
        return None
    lines = [PricedLine(line.quantity, line.unit_price_minor) for line in new.lines]
    charged = charge(conditions, lines, "", agreed, step_minor=step(new.currency))
    if isinstance(charged, Refusal):
        return None
    return msgspec.structs.replace(new, charged=charged) if conditions.any else new


async def _coupon_of(coupons: Coupons, new: NewAttempt, presented: Presented | None) -> Applied | Refusal | None:
    if presented is None:
        return None
    goods = sum(line.quantity * line.unit_price_minor for line in new.lines)
    if goods > AMOUNT_MINOR_MAX:
        return TOO_MUCH
    return await coupons.present(presented, person=new.person, shop=new.shop, show=new.show, goods_minor=goods)


def _charge_unasked(lines: list[PricedLine], discount_minor: int, step_minor: int) -> Charged | Refusal:
    """At a shop that asks nothing there is nothing to agree to but the price, which a coupon lowers."""
    totals = totals_for(NONE, lines, "", "", discount_minor, step_minor=step_minor)
    return totals if isinstance(totals, Refusal) else Charged(totals)


async def saved_address(pg: asyncpg.Pool, person: str) -> ShipTo | None:
    """Where the person had something sent last."""
    row = await pg.fetchrow(_ADDRESS, person)
    return None if row is None else ShipTo(**dict(row))


async def usual_method(pg: asyncpg.Pool, conditions: Conditions, person: str, shop: str, country: str) -> str:
    """How the shop sent something to the person last, if it still does; else its first way to go there."""
    if not conditions.shipping or not country:
        return ""
    return first_method(conditions, country, await pg.fetchval(_METHOD, person, shop) or "")


_SAVE_ADDRESS: Final = """
    INSERT INTO saved_addresses (account_id, name, street, extra, postal_code, city, country)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (account_id) DO UPDATE
       SET name = $2, street = $3, extra = $4, postal_code = $5, city = $6, country = $7, saved_at = now()"""

_SAVE_METHOD: Final = """
    INSERT INTO saved_methods (account_id, shop_id, method) VALUES ($1, $2, $3)
    ON CONFLICT (account_id, shop_id) DO UPDATE SET method = $3"""


async def remember(pg: Any, person: str, shop: str, ship_to: ShipTo, method: str) -> None:
    """Keeps the address, and the way to ship, for the next time."""
    to = ship_to
    await pg.execute(_SAVE_ADDRESS, person, to.name, to.street, to.extra, to.postal_code, to.city, to.country)
    if method:
        await pg.execute(_SAVE_METHOD, person, shop, method)
