"""How often somebody may try: counters in Valkey that end by themselves.

Owns the allowances of sign-in, sign-up, guests, coupon codes and questions about payments. A lost Valkey forgets the
counts and nothing else.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec
from redis.asyncio import Redis

from app.refusal import Refusal
from app.storage.valkey import Script


class Allowance(msgspec.Struct, frozen=True):
    """So many tries of one kind in each window, per subject."""

    kind: str
    tries: int


WINDOW_MS: Final = 15 * 60 * 1000
SIGN_IN_ACCOUNT: Final = Allowance("sign-in-account", 10)
SIGN_IN_ADDRESS: Final = Allowance("sign-in-address", 100)
SIGN_UP_ADDRESS: Final = Allowance("sign-up-address", 100)
GUEST_ADDRESS: Final = Allowance("guest-address", 1000)
COUPON_ACCOUNT: Final = Allowance("coupon-account", 10)
COUPON_ADDRESS: Final = Allowance("coupon-address", 100)
PAYMENT_ACCOUNT: Final = Allowance("payment-account", 40)
PAYMENT_ADDRESS: Final = Allowance("payment-address", 400)

_script: Final = Script(Path(__file__).with_name("throttle.lua"))
_forgive: Final = Script(Path(__file__).with_name("forgive.lua"))


def _key(allowance: Allowance, subject: str) -> str:
    # One hash tag for all: the script's keys must share a cluster slot. Hashed: bounded, and no address in the clear.
    digest = hashlib.sha256(subject.encode()).hexdigest()[:32]
    return f"{{tries}}:{allowance.kind}:{digest}"


async def count_try(valkey: Redis, *tries: tuple[Allowance, str]) -> Refusal | None:
    """Counts one try against each (allowance, subject), or refuses and counts none."""
    keys = [_key(allowance, subject) for allowance, subject in tries]
    wait_ms = await _script(valkey, keys, [WINDOW_MS, *(allowance.tries for allowance, _ in tries)])
    if wait_ms == 0:
        return None
    return Refusal("too_many_tries", "Too many tries; wait a little.", retry_after_ms=int(wait_ms))


async def forgive_try(valkey: Redis, *tries: tuple[Allowance, str]) -> None:
    """Takes back what `count_try` has just counted: it was no guess."""
    await _forgive(valkey, [_key(allowance, subject) for allowance, subject in tries], [])


async def forget_tries(valkey: Redis, allowance: Allowance, subject: str) -> None:
    """Starts a subject's counter afresh: the right password was given."""
    await valkey.delete(_key(allowance, subject))
