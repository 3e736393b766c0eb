"""What people do to an order that stands: the buyer or the shop cancels it, the shop refunds it or ships it.

Each is one transaction under the order's lock; the provider, the gate and the room are the outbox's. An order of
somebody else, or of another shop, is not there.
"""

import hashlib
from typing import Final

import asyncpg
import msgspec

from app import clock
from app.checkout.mails import note_mail
from app.checkout.order_rules import AttemptEvent, OrderState
from app.checkout.orders import FoundOrder, read_order
from app.checkout.parts import Checkout
from app.checkout.refund_rules import UnitsBack, is_over, judge_cancel, judge_refund, judge_shipment
from app.checkout.shipment_rules import Shipment
from app.checkout.undo import lock_order, return_coupon, return_units, undo_order, write_refund
from app.refusal import Refusal

NO_ORDER: Final = Refusal("not_found", "There is no such order.")
MISMATCH: Final = Refusal("idempotency_mismatch", "This Idempotency-Key was used with another request.")
UNPAYABLE: Final = Refusal("order_invalid", "No refund can be made of exactly this amount.")

_KNOWN: Final = """
    SELECT id, order_id, amount_minor, currency, state, body_hash FROM refunds
     WHERE by_account_id = $1 AND idempotency_key = $2"""

_PARCEL: Final = """
    INSERT INTO shipments (order_id, carrier, number, url) VALUES ($1, $2, $3, $4)
    ON CONFLICT (order_id) DO UPDATE SET carrier = $2, number = $3, url = $4"""

_SHIP: Final = "UPDATE orders SET shipped_at = coalesce(shipped_at, now()) WHERE id = $1"


class Asked(msgspec.Struct, frozen=True):
    """A request for a refund. `body_hash` identifies it under the idempotency key."""

    by: str
    key: str
    order: str
    amount_minor: int
    currency: str
    back: tuple[UnitsBack, ...] = ()

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of what was asked."""
        asked = [self.order, self.amount_minor, self.currency, self.back]
        return hashlib.sha256(b"refund\0" + msgspec.json.encode(asked)).digest()


class RefundView(msgspec.Struct, frozen=True):
    """A refund. asked: the provider has still to say; done; refused."""

    id: str
    order: str
    amount_minor: int
    currency: str
    state: str


async def cancel_order(checkout: Checkout, order: str, by: str) -> FoundOrder | Refusal:
    """Takes the order back before it is shipped: money and units return. Repeated, it changes nothing."""
    async with checkout.pg.acquire() as connection, connection.transaction():
        facts = await lock_order(connection, order)
        assert facts is not None
        if not is_over(facts):
            refused = judge_cancel(facts)
            if refused is not None:
                return refused
            if facts.state is OrderState.AUTHORISED:
                undone = await undo_order(connection, facts, AttemptEvent.CANCEL)
                assert undone, "under the lock an authorised order has a payment that is committed"
            else:
                refund, rest = clock.new_id(), facts.refundable_minor
                await write_refund(connection, facts, refund, rest, by=by, key=f"cancel {refund}", body_hash=b"")
                await return_units(connection, order, facts.units)
                await return_coupon(connection, order)
    checkout.outbox.kick()
    return await _read(checkout, order)


async def refund_order(checkout: Checkout, asked: Asked) -> RefundView | Refusal:
    """Gives money back, and units where the shop says so. The same key gives the same refund."""
    if not checkout.provider.takes(asked.amount_minor, asked.currency):
        return UNPAYABLE
    try:
        async with checkout.pg.acquire() as connection, connection.transaction():
            facts = await lock_order(connection, asked.order)
            assert facts is not None
            known = await _known(connection, asked)
            if known is not None:
                return known
            refused = judge_refund(facts, asked.amount_minor, asked.currency, asked.back)
            if refused is not None:
                return refused
            refund, amount = clock.new_id(), asked.amount_minor
            await write_refund(connection, facts, refund, amount, by=asked.by, key=asked.key, body_hash=asked.body_hash)
            await return_units(connection, asked.order, {one.line: one.quantity for one in asked.back})
    except asyncpg.UniqueViolationError:
        return MISMATCH  # the key was used for another order in this very moment
    checkout.outbox.kick()
    return RefundView(refund, asked.order, amount, asked.currency, "asked")


async def _known(connection: asyncpg.pool.PoolConnectionProxy, asked: Asked) -> RefundView | Refusal | None:
    row = await connection.fetchrow(_KNOWN, asked.by, asked.key)
    if row is None:
        return None
    if row["body_hash"] != asked.body_hash:
        return MISMATCH
    return RefundView(row["id"], row["order_id"], row["amount_minor"], row["currency"], row["state"])


async def ship_order(checkout: Checkout, order: str, parcel: Shipment | None = None) -> FoundOrder | Refusal:
    """Notes that a paid order is on its way: from then on it is not cancelled. Repeated, it changes the parcel."""
    async with checkout.pg.acquire() as connection, connection.transaction():
        facts = await lock_order(connection, order)
        assert facts is not None
        refused = judge_shipment(facts)
        if refused is not None:
            return refused
        await connection.execute(_SHIP, order)
        if parcel is not None:
            await connection.execute(_PARCEL, order, parcel.carrier, parcel.number, parcel.url)
        await note_mail(connection, "shipped", order)
    return await _read(checkout, order)


async def _read(checkout: Checkout, order: str) -> FoundOrder:
    found = await read_order(checkout.pg, order)
    assert found is not None
    return found
