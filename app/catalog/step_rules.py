"""Whether an amount that a shop sets can be charged in its currency. Values in, values out.

Cards take thousandths only in tens (as Stripe's page on currencies has it), whoever the provider is today: a price that
nobody could pay is refused where it is set, not where it is paid.
"""

from app.money import step
from app.refusal import Refusal


def off_step(currency: str, *amounts_minor: int | None) -> Refusal | None:
    """Why one of these cannot be charged; None when all can, or are not there."""
    size = step(currency)
    if all(amount is None or amount % size == 0 for amount in amounts_minor):
        return None
    return Refusal("price_invalid", f"In {currency} the last of the three decimals is a zero.")
