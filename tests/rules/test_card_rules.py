"""When a card is over: with its month, where that ends last."""

from datetime import UTC, datetime, timedelta

import pytest

from app.checkout.card_rules import is_expired


@pytest.mark.parametrize(("month", "year", "over"), [(11, 2026, (2026, 12, 1)), (12, 2026, (2027, 1, 1))])
def test_a_card_is_good_to_the_end_of_its_month_on_every_island(month, year, over):
    midnight = datetime(*over, tzinfo=UTC)
    assert not is_expired(month, year, midnight - timedelta(days=31))
    assert not is_expired(month, year, midnight + timedelta(hours=11, minutes=59))
    assert is_expired(month, year, midnight + timedelta(hours=12))
