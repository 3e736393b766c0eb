"""How Stripe is called: once under a key, and what counts as no answer. Knows nothing of what is asked."""

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import stripe

from app.checkout.provider import ProviderAway

Told = TypeVar("Told")
_CONFLICT: Final = 409


def once(key: str) -> Any:
    """The options of a call that Stripe does once under this key."""
    return {"idempotency_key": key}


class KeyInUse(ProviderAway):
    """The same is being asked at this moment, under the same key."""


async def ask(call: Awaitable[Told]) -> Told:
    """The answer; a Stripe that cannot be reached, or that refuses to talk to us at all, is ProviderAway."""
    try:
        return await call
    except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError):
        raise
    except stripe.StripeError as error:
        if error.http_status == _CONFLICT:
            raise KeyInUse(f"stripe: {error.code}") from error
        raise ProviderAway(f"stripe: {type(error).__name__} {error.http_status}") from error
