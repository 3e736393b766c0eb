"""What the buyer agreed to, held against what the shop asks: the last word on an order's total before it is paid for.

Owns where the conditions, the saved address and the usual way to ship come together; the sums are condition_rules'.
Asks no database for an order of a shop that asks nothing (conditions are remembered for a moment).
"""

from typing import Any, Final

import asyncpg
import msgspec

from app.checkout.address_rules import ShipTo
from app.checkout.attempts import NewAttempt
from app.checkout.condition_rules import Agreed, Conditions, charge, first_method
from app.checkout.conditions import KnownConditions
from app.checkout.total_rules import PricedLine
from app.refusal import Refusal

_ADDRESS: Final = """
    SELECT name, street, city, country, postal_code, extra FROM saved_addresses WHERE account_id = $1"""

_METHOD: Final = "SELECT method FROM saved_methods WHERE account_id = $1 AND shop_id = $2"


class Agreement(msgspec.Struct, frozen=True):
    """What a request says beside what it wants. `to_saved`: without an address of its own it goes to the saved one."""

    agreed: Agreed | None = None
    to_saved: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """For the hash of the request; none when nothing was said."""
        one = self.agreed
        return () if one is None else ("agreed", str(one.total_minor), one.shipping, str(one.policy))


async def agree(
    pg: asyncpg.Pool, known: KnownConditions, new: NewAttempt, agreement: Agreement
) -> NewAttempt | Refusal:
    """The attempt with its address and what it costs, or what the buyer has still to say."""
    agreed = agreement.agreed
    conditions = await (known.lately(new.shop) if agreed is None else known.now(new.shop))
    if agreed is None and not conditions.any:
        return new
    ship_to = new.ship_to
    if ship_to is None and agreement.to_saved and conditions.needs_address:
        ship_to = await saved_address(pg, new.person)
    country = "" if ship_to is None else ship_to.country
    usual = await usual_method(pg, conditions, new.person, new.shop, country) if agreed is None else ""
    lines = [PricedLine(line.quantity, line.unit_price_minor) for line in new.lines]
    charged = charge(conditions, lines, country, agreed, usual_method=usual)
    if isinstance(charged, Refusal):
        return charged
    if agreed is not None and ship_to is not None:
        await remember(pg, new.person, new.shop, ship_to, agreed.shipping)
    return msgspec.structs.replace(new, ship_to=ship_to, charged=charged if conditions.any else None)


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
