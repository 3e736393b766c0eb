"""What a coupon takes off an order, and which of its rules stands in the way. Values in, values out.

A coupon is off what the goods of one order cost after sale prices, campaigns and discounts, before shipping and tax.
It never takes all: one step of the currency is left to pay. Whether there is still a use left is said here to be kind;
the last word has the commit of the order, which counts uses like stock.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.money import AMOUNT_MINOR_MAX
from app.refusal import Refusal

CODE_LENGTH_MAX: Final = 24
USES_MAX: Final = 1_000_000

# As typed; a code is compared in capitals. It needs a letter: nobody's card number is a code.
Code = Annotated[str, Meta(min_length=3, max_length=CODE_LENGTH_MAX, pattern="^[0-9-]*[A-Za-z][A-Za-z0-9-]*$")]


class Audience(StrEnum):
    """Whom a coupon is for. first_time: who has no order at the shop that stands."""

    EVERYONE = "everyone"
    FIRST_TIME = "first_time"


class Coupon(Struct, frozen=True, kw_only=True):
    """A coupon as it stands, for one buyer. Exactly one of `percent_off` (1..99) and `amount_minor` is there."""

    id: str
    code: str
    step_minor: int = 1  # of the shop's currency
    percent_off: int | None = None
    cap_minor: int | None = None  # a percentage takes no more than this
    amount_minor: int | None = None
    minimum_minor: int = 0
    uses_max: int | None = None
    used: int = 0
    once_per_buyer: bool = False
    show_id: str | None = None
    audience: Audience = Audience.EVERYONE
    is_early: bool = False
    is_over: bool = False
    used_by_buyer: bool = False  # in an order that stands
    has_bought: bool = False  # anything at this shop


UNKNOWN: Final = Refusal("coupon_unknown", "This shop has no such code.")
EARLY: Final = Refusal("coupon_early", "This code is not valid yet.")
OVER: Final = Refusal("coupon_expired", "This code has expired.")
OTHER_SHOW: Final = Refusal("coupon_show", "This code is for another show.")
NOT_FIRST: Final = Refusal("coupon_audience", "This code is for a first order at this shop.")
USED: Final = Refusal("coupon_used", "You have used this code already.")
USED_UP: Final = Refusal("coupon_used_up", "This code has been used as often as it could be.")


def clean_code(typed: str) -> str:
    """A code as it is kept and compared."""
    return typed.strip().upper()


def judge_coupon(coupon: Coupon, *, goods_minor: int, show: str) -> Refusal | None:
    """None when the coupon may be used for goods of this worth, bought in `show` ("" for none); else which rule."""
    broken = (
        (OVER, coupon.is_over),
        (EARLY, coupon.is_early),
        (OTHER_SHOW, coupon.show_id not in {None, show}),
        (NOT_FIRST, coupon.audience is Audience.FIRST_TIME and coupon.has_bought),
        (USED, coupon.once_per_buyer and coupon.used_by_buyer),
        (USED_UP, coupon.uses_max is not None and coupon.used >= coupon.uses_max),
        (_too_small(coupon, goods_minor), goods_minor < coupon.minimum_minor),
    )
    return next((refusal for refusal, is_broken in broken if is_broken), None)


def _too_small(coupon: Coupon, goods_minor: int) -> Refusal:
    short = coupon.minimum_minor - goods_minor
    details: dict[str, str | int] = {"minimum_minor": coupon.minimum_minor, "short_minor": short}
    return Refusal("coupon_minimum", "This code is for larger orders.", details=details)


def discount_of(coupon: Coupon, goods_minor: int) -> int:
    """What the coupon takes off goods of this worth: a percentage rounded up to a step of the currency, in the buyer's
    favour, and capped; never all that they cost.
    """
    assert 0 <= goods_minor <= AMOUNT_MINOR_MAX, goods_minor
    step = coupon.step_minor
    if coupon.percent_off is not None:
        wanted = goods_minor - goods_minor * (100 - coupon.percent_off) // 100 // step * step
        wanted = wanted if coupon.cap_minor is None else min(wanted, coupon.cap_minor)
    else:
        wanted = coupon.amount_minor or 0
    return max(0, min(wanted, goods_minor - step))


def split_in_steps(discount_minor: int, worths_minor: Sequence[int], step_minor: int) -> list[int]:
    """As split_discount, in steps of the currency where all of it is: each line can be refunded by itself."""
    if any(amount % step_minor for amount in (discount_minor, *worths_minor)):
        return split_discount(discount_minor, worths_minor)
    shares = split_discount(discount_minor // step_minor, [worth // step_minor for worth in worths_minor])
    return [share * step_minor for share in shares]


def split_discount(discount_minor: int, worths_minor: Sequence[int]) -> list[int]:
    """The discount's share of each line, in proportion to what the line costs; the shares add up to the discount.

    By largest remainder: each share is rounded down, and what is left goes, one minor unit each, to the lines that
    lost most by it, of equal ones to the earlier. No share is more than its line costs.
    """
    goods = sum(worths_minor)
    assert 0 <= discount_minor <= goods, (discount_minor, goods)
    if not discount_minor:
        return [0] * len(worths_minor)
    shares = [discount_minor * worth // goods for worth in worths_minor]
    lost = [discount_minor * worth % goods for worth in worths_minor]
    by_loss = sorted(range(len(shares)), key=lambda place: (-lost[place], place))
    for place in by_loss[: discount_minor - sum(shares)]:
        shares[place] += 1
    return shares
