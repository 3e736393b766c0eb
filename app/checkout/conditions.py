"""A shop's conditions in Postgres: read, remembered for a moment, changed by the shop's host.

Owns the two tables behind them. What they mean for an order is app/checkout/condition_rules.py's; a policy's text that
was ever in force is never changed or deleted, since orders name its version.
"""

from typing import Annotated, Final

import asyncpg
import msgspec

from app import clock
from app.catalog.step_rules import off_step
from app.checkout.condition_rules import (
    METHODS_MAX,
    NONE,
    POLICY_LENGTH_MAX,
    RATES_MAX,
    Conditions,
    check_conditions,
)
from app.checkout.shipping_rules import ShippingMethod
from app.checkout.tax_rules import TaxRate
from app.refusal import Refusal

REMEMBERED_S: Final = 2.0
SHOPS_MAX: Final = 10_000

STALE: Final = Refusal("conditions_changed", "Somebody else has changed the conditions meanwhile; load them again.")

_READ: Final = """
    SELECT version, prices_include_tax, shipping, tax, policy_version FROM shop_conditions WHERE shop_id = $1"""

_POLICY: Final = "SELECT body FROM return_policies WHERE shop_id = $1 AND version = $2"

_CURRENCY: Final = "SELECT currency FROM shops WHERE id = $1"

# Two hosts at once: the one whose version is not the present one any more changes nothing.
_WRITE: Final = """
    INSERT INTO shop_conditions AS c (shop_id, version, prices_include_tax, shipping, tax, policy_version)
    SELECT $1, 1, $3, $4, $5, $6 WHERE $2 = 0 OR EXISTS (SELECT FROM shop_conditions WHERE shop_id = $1)
    ON CONFLICT (shop_id) DO UPDATE
       SET version = c.version + 1, prices_include_tax = $3, shipping = $4, tax = $5, policy_version = $6,
           changed_at = now()
     WHERE c.version = $2
    RETURNING version"""

_LAST_POLICY: Final = """
    SELECT version, body FROM return_policies WHERE shop_id = $1 ORDER BY version DESC LIMIT 1"""

_ADD_POLICY: Final = "INSERT INTO return_policies (shop_id, version, body) VALUES ($1, $2, $3)"


class ConditionsEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT …/conditions. `version` is the one that was read; an empty policy is none."""

    version: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    prices_include_tax: bool
    shipping: Annotated[list[ShippingMethod], msgspec.Meta(max_length=METHODS_MAX)]
    tax: Annotated[list[TaxRate], msgspec.Meta(max_length=RATES_MAX)]
    return_policy: Annotated[str, msgspec.Meta(max_length=POLICY_LENGTH_MAX)]


class ConditionsView(msgspec.Struct, frozen=True):
    """A shop's conditions with the text of the policy. `version` 0: there never were any."""

    version: int
    currency: str
    prices_include_tax: bool
    shipping: list[ShippingMethod]
    tax: list[TaxRate]
    policy_version: int
    return_policy: str


class KnownConditions:
    """Conditions by shop, each remembered for REMEMBERED_S: an order at a shop without any asks no database."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._known: dict[str, tuple[float, Conditions]] = {}

    async def lately(self, shop: str) -> Conditions:
        """As they were REMEMBERED_S ago or later."""
        known = self._known.get(shop)
        if known is not None and clock.monotonic_s() - known[0] < REMEMBERED_S:
            return known[1]
        return await self.now(shop)

    async def now(self, shop: str) -> Conditions:
        """As they are."""
        asked_s = clock.monotonic_s()
        row = await self._pg.fetchrow(_READ, shop)
        found = NONE if row is None else msgspec.convert(dict(row), Conditions)
        if len(self._known) >= SHOPS_MAX:
            self._known.clear()
        self._known[shop] = (asked_s, found)
        return found


async def view_conditions(pg: asyncpg.Pool, shop: str) -> ConditionsView | None:
    """The shop's conditions for everybody to read; None when there is no such shop."""
    currency = await pg.fetchval(_CURRENCY, shop)
    if currency is None:
        return None
    found = await KnownConditions(pg).now(shop)
    return ConditionsView(
        version=found.version,
        currency=currency,
        prices_include_tax=found.prices_include_tax,
        shipping=found.shipping,
        tax=found.tax,
        policy_version=found.policy_version,
        return_policy=await policy_text(pg, shop, found.policy_version),
    )


async def policy_text(pg: asyncpg.Pool, shop: str, version: int) -> str:
    """A return policy that is or was in force; "" for version 0."""
    return str(await pg.fetchval(_POLICY, shop, version) or "")


async def change_conditions(pg: asyncpg.Pool, shop: str, edit: ConditionsEdit) -> Refusal | None:
    """Puts new conditions in force. A policy whose text is another gets the next version."""
    policy = edit.return_policy.replace("\r\n", "\n").strip()
    refused = check_conditions(edit.shipping, edit.tax, policy)
    if refused is not None:
        return refused
    unpayable = off_step(await pg.fetchval(_CURRENCY, shop), *(one.price_minor for one in edit.shipping))
    if unpayable is not None:
        return unpayable
    shipping, tax = msgspec.to_builtins(edit.shipping), msgspec.to_builtins(edit.tax)
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"conditions {shop}")
        version = await _policy_version(connection, shop, policy)
        written = await connection.fetchval(_WRITE, shop, edit.version, edit.prices_include_tax, shipping, tax, version)
        if written is None:
            return STALE  # the new policy, if it is one, is nobody's: what the row does not name is not in force
    return None


async def _policy_version(connection: asyncpg.pool.PoolConnectionProxy, shop: str, policy: str) -> int:
    if not policy:
        return 0
    last = await connection.fetchrow(_LAST_POLICY, shop)
    if last is not None and last["body"] == policy:
        return int(last["version"])
    version = 1 if last is None else last["version"] + 1
    await connection.execute(_ADD_POLICY, shop, version, policy)
    return int(version)
