"""How many payments may fail before somebody has to wait, per account and per card, and how a network is to be taken.

Pure. Whoever has a list of stolen cards finds out which of them still work by buying; each no costs the shop a fee, and
its name with the banks. Counted are payments that were declined, and those that are not decided yet, since a hundred
may be asked for at once.

Nobody waits for what others did, but for one case below. A network is an office, or all of a mobile carrier: if it had
to wait, whoever brings a dozen accounts into it could keep its honest buyers from paying. Where more payments fail than
buyers make fail, each account without standing there may fail less often itself; who pays at once notices nothing.

    network                                               an account in it, with the usual 10, waits after
    calm                                                  10 declined in a quarter of an hour, or 25 in a day
    suspect: 100 declined in a quarter, 250 in a day       2, or 5; also where 400 are undecided at once
    overrun: ten times as many                             1, or 2
    any, of the shop's people and buyers of earlier days  10, or 25

One no each is still no bound where accounts are made as fast as they are used up. In a network that is overrun, those
who are new (of this day, and no order paid yet) share what would make it suspect: a hundred in a quarter of an hour.
Who came for the first time today may have to wait there for what others did; nobody else does.
"""

from collections.abc import Sequence
from enum import IntEnum, StrEnum
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
    NETWORK = "network"  # an address prefix, with all who are in it; of them only who is new may wait for the others
    CARD = "card"  # the provider's fingerprint, whoever uses it


class Try(Struct, frozen=True):
    """A payment that was declined so long ago; or, not decided yet, began then."""

    age_s: float
    declined: bool


class Repute(IntEnum):
    """How a network is to be taken."""

    CALM = 0
    SUSPECT = 1
    OVERRUN = 2


class Buyer(StrEnum):
    """Whom a network's repute concerns, and how far."""

    KNOWN = "known"  # of the shop's people, or a buyer of earlier days: not at all
    PASSING = "passing"
    NEW = "new"


_SHARE: Final = {Kind.ACCOUNT: 1.0, Kind.NETWORK: 10.0, Kind.CARD: 0.5}
"""Of what an account may: an office of buyers sits behind one address, and a card is one buyer's."""
_LEFT: Final = {Repute.CALM: 1.0, Repute.SUSPECT: 0.2, Repute.OVERRUN: 0.0}
"""Of what an account may is left in a network of that repute, and one in any."""
_OVERRUN: Final = 10
"""So many times what makes a network suspect."""
_TOGETHER: Final = 4
"""So many times what makes a network suspect may be undecided there at once."""
_A_DAY: Final = 2.5
"""Of what is free in FEW_IN_S, so much is in MANY_IN_S."""
NEW_FOR_S: Final = 24 * 3600


def free_tries(kind: Kind, account_max: int) -> tuple[tuple[int, int], ...]:
    """How many declined payments are free in how many seconds, where an account has `account_max` in FEW_IN_S."""
    few = max(1, round(account_max * _SHARE[kind]))
    return (few, FEW_IN_S), (max(few, round(few * _A_DAY)), MANY_IN_S)


def tries_read(kind: Kind, account_max: int) -> int:
    """So many of the latest tries are enough to judge by."""
    return (_OVERRUN if kind is Kind.NETWORK else 2) * free_tries(kind, account_max)[-1][0]


def repute_of(late: int, a_day: int, undecided: int, account_max: int) -> Repute:
    """Of a network with so many payments that were declined in FEW_IN_S and in MANY_IN_S, and that began in UNDECIDED_S
    and are not decided.
    """
    (few, _), (many, _) = free_tries(Kind.NETWORK, account_max)
    if late >= _OVERRUN * few or a_day >= _OVERRUN * many:
        return Repute.OVERRUN
    # Its buyers press together when a sale begins: only far more than that are taken for what may fail.
    return Repute.SUSPECT if late >= few or a_day >= many or undecided >= _TOGETHER * few else Repute.CALM


def buyer_of(*, known: bool, age_s: float, paid: bool) -> Buyer:
    """Of an account that was made so long ago and, perhaps, has `paid` for an order, were it today."""
    if known:
        return Buyer.KNOWN
    return Buyer.NEW if age_s < NEW_FOR_S and not paid else Buyer.PASSING


def allowance(account_max: int, repute: Repute, buyer: Buyer) -> int:
    """Of `account_max`, what such a buyer's account has in a network of that repute."""
    return account_max if buyer is Buyer.KNOWN else max(1, round(account_max * _LEFT[repute]))


def is_shared(repute: Repute, buyer: Buyer) -> bool:
    """Whether such buyers wait there for one another: see `newcomers_wait_ms`."""
    return repute is Repute.OVERRUN and buyer is Buyer.NEW


def newcomers_wait_ms(tries: Sequence[Try], account_max: int) -> int:
    """How long all who are new in an overrun network wait, with these tries of theirs behind them."""
    return _wait_ms(tries, free_tries(Kind.NETWORK, account_max)[:1])


def wait_ms(kind: Kind, tries: Sequence[Try], account_max: int) -> int:
    """How long an account, or a card, with these tries behind it waits before the next; 0 for not at all."""
    return _wait_ms(tries, free_tries(kind, account_max))


def _wait_ms(tries: Sequence[Try], free_in: Sequence[tuple[int, int]]) -> int:
    declined = sorted(one.age_s for one in tries if one.declined)
    waits_s = [
        within_s - declined[free - 1]
        for free, within_s in free_in
        if len(declined) >= free and declined[free - 1] < within_s
    ]
    if waits_s:
        return max(1, round(max(waits_s) * 1000))
    few, _ = free_in[0]
    undecided = sum(not one.declined and one.age_s < UNDECIDED_S for one in tries)
    late = sum(age_s < FEW_IN_S for age_s in declined)
    return SOON_MS if undecided and undecided + late >= few else 0


_WHOSE: Final = {Kind.ACCOUNT: "of yours", Kind.NETWORK: "of new buyers in your network", Kind.CARD: "with this card"}


def refusal_of(kind: Kind, waits_ms: int) -> Refusal:
    """What a buyer who has to wait is told."""
    if waits_ms <= SOON_MS:
        return Refusal(DECLINED_OFTEN, "Too many payments are still being decided; try again in a moment.", waits_ms)
    minutes = -(-waits_ms // 60_000)
    when = f"in {minutes} minutes" if minutes > 1 else "in a minute"
    said = f"Too many payments {_WHOSE[kind]} were declined. You can try again {when}. Nothing was charged."
    return Refusal(DECLINED_OFTEN, said, waits_ms)
