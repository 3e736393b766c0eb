"""How many payments may fail before somebody has to wait: per account, per network, per card.

Pure. Whoever has a list of stolen cards finds out which of them still work by buying; each no costs the shop a fee, and
its name with the banks. Counted are payments that were declined, and those that are not decided yet, since a hundred
may be asked for at once.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from app.refusal import Refusal

FEW_IN_S: Final = 15 * 60
MANY_IN_S: Final = 24 * 3600
UNDECIDED_S: Final = 10 * 60
"""A payment that has not come to an end for so long was left behind, and is counted no more."""
SOON_MS: Final = 2000

DECLINED_OFTEN: Final = "too_many_declines"


class Kind(StrEnum):
    """Whom a failed payment is counted against."""

    ACCOUNT = "account"
    NETWORK = "network"  # an address prefix, with all who are in it
    CARD = "card"  # the provider's fingerprint, whoever uses it


class Try(Struct, frozen=True):
    """A payment that was declined so long ago; or, not decided yet, began then."""

    age_s: float
    declined: bool


_SHARE: Final = {Kind.ACCOUNT: 1.0, Kind.NETWORK: 10.0, Kind.CARD: 0.5}
"""Of what an account may: an office of buyers sits behind one address, and a card is one buyer's."""
_A_DAY: Final = 2.5
"""Of what is free in FEW_IN_S, so much is in MANY_IN_S."""


def free_tries(kind: Kind, account_max: int) -> tuple[tuple[int, int], ...]:
    """How many declined payments are free in how many seconds, where an account has `account_max` in FEW_IN_S."""
    few = max(1, round(account_max * _SHARE[kind]))
    return (few, FEW_IN_S), (max(few, round(few * _A_DAY)), MANY_IN_S)


def tries_read(kind: Kind, account_max: int) -> int:
    """So many of the latest tries are enough to judge by."""
    return 2 * free_tries(kind, account_max)[-1][0]


def wait_ms(kind: Kind, tries: Sequence[Try], account_max: int) -> int:
    """How long whoever has these tries behind them waits before the next; 0 for not at all."""
    declined = sorted(one.age_s for one in tries if one.declined)
    waits_s = [
        within_s - declined[free - 1]
        for free, within_s in free_tries(kind, account_max)
        if len(declined) >= free and declined[free - 1] < within_s
    ]
    if waits_s:
        return max(1, round(max(waits_s) * 1000))
    few, _ = free_tries(kind, account_max)[0]
    undecided = sum(not one.declined and one.age_s < UNDECIDED_S for one in tries)
    # A network's buyers press together when a sale begins: what they ask at once is not taken for failed.
    bound = few if kind is not Kind.NETWORK else 4 * few
    late = sum(age_s < FEW_IN_S for age_s in declined)
    return SOON_MS if undecided and undecided + late >= bound else 0


def refusal_of(kind: Kind, waits_ms: int) -> Refusal:
    """What a buyer who has to wait is told."""
    if waits_ms <= SOON_MS:
        return Refusal(DECLINED_OFTEN, "Too many payments are still being decided; try again in a moment.", waits_ms)
    minutes = -(-waits_ms // 60_000)
    when = f"in {minutes} minutes" if minutes > 1 else "in a minute"
    whose = {Kind.ACCOUNT: "of yours", Kind.NETWORK: "from your network", Kind.CARD: "with this card"}[kind]
    said = f"Too many payments {whose} were declined. You can try again {when}. Nothing was charged."
    return Refusal(DECLINED_OFTEN, said, waits_ms)
