"""A bank that asks the buyer something before it lets them pay: what the page is told, also when it comes back later.

Owns the mark on the attempt, the longer hold, and how often a buyer may have the provider asked. The question itself is
the provider's, and so is the answer: whether the buyer passed is never taken from the page.
"""

from collections.abc import Sequence
from typing import Final

from app.accounts.throttle import PAYMENT_ACCOUNT, PAYMENT_ADDRESS, count_try
from app.checkout.parts import Checkout
from app.checkout.provider import Patience
from app.flash_sales.address_rules import network_of
from app.flash_sales.moment import from_ms
from app.refusal import Refusal

_MARK: Final = """
    UPDATE payment_attempts
       SET challenged_at = now(), updated_at = now(), hold_expires_at = coalesce($2, hold_expires_at)
     WHERE id = $1 AND state = 'started'"""

_ASKED: Final = """
    SELECT id, method FROM payment_attempts
     WHERE (hold_id = $1 OR replaced_hold_id = $1) AND account_id = $2 AND NOT failed AND state = 'started'
       AND challenged_at IS NOT NULL"""


async def ask_buyer(checkout: Checkout, attempt: str, holds: Sequence[str], person: str) -> Refusal:
    """Keeps the holds as long as any payment may take, and tells the page what to ask."""
    for_ms = checkout.settings.hold_extended_max_s * 1000
    until: list[int] = []
    for hold in holds:
        held = await checkout.gate.extend(hold, person=person, attempt=attempt, for_ms=for_ms, total_max_ms=for_ms)
        if held.code == "extended" and held.hold is not None:
            until.append(held.hold.expires_at_ms)
    await checkout.pg.execute(_MARK, attempt, from_ms(min(until)) if until else None)
    return await _challenge(checkout.provider, attempt)


async def open_challenge(checkout: Checkout, hold: str, person: str) -> Refusal | None:
    """What this person's bank still wants to know about a payment on this hold; None when it asked nothing."""
    row = await checkout.pg.fetchrow(_ASKED, hold, person)
    if row is None:
        return None
    return await pace(checkout, person) or await _challenge(checkout.provider.of(row["method"]), row["id"])


async def pace(checkout: Checkout, person: str, address: str = "") -> Refusal | None:
    """Why the provider is not asked about this buyer's payments just now: each question is a call of ours to it."""
    network = network_of(address)
    return await count_try(
        checkout.valkey, (PAYMENT_ACCOUNT, person), *([(PAYMENT_ADDRESS, network)] if network else [])
    )


async def _challenge(provider: Patience, attempt: str) -> Refusal:
    details: dict[str, str | int] = {"payment": attempt, "challenge": await provider.challenge(attempt)}
    return Refusal("payment_challenge", "Your bank wants to know whether it is you. Your hold goes on.", None, details)
