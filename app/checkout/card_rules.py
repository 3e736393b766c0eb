"""Cards that buyers keep: when one is over, and which has to make room. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

SAVED_MAX: Final = 10
"""So many cards a buyer keeps; with one more the oldest goes."""

_LAST_ZONE: Final = timedelta(hours=12)
"""So long after midnight in Greenwich a day ends where it ends last."""


def is_expired(exp_month: int, exp_year: int, now: datetime) -> bool:
    """Whether the month that is printed on the card is over everywhere. Who is in doubt asks the bank."""
    year, month = (exp_year, exp_month + 1) if exp_month < 12 else (exp_year + 1, 1)
    return now >= datetime(year, month, 1, tzinfo=UTC) + _LAST_ZONE
