"""What the environment decides about money: play money is asked for, and what a crash left is settled in a minute."""

import pytest

from app.checkout.edge import OUTBOX_PERIOD_S, SETTLE_PERIOD_S
from app.settings import SettingError, Settings, read_settings

STRIPE = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1"}
SETTLED_WITHIN_S = 60


@pytest.mark.parametrize(
    ("environment", "simulates"),
    [
        ({}, True),  # the demo
        ({"DEMO": "0"}, False),
        ({"DEMO": "0", "SIMULATED_PAYMENTS": "0"}, False),
        ({"DEMO": "0", "SIMULATED_PAYMENTS": "1"}, True),
        (STRIPE, False),
        ({"DEMO": "0"} | STRIPE, False),
    ],
)
def test_outside_the_demo_play_money_is_asked_for(environment, simulates):
    assert read_settings(environment).simulates_payments is simulates


def test_play_money_beside_stripe_is_refused():
    with pytest.raises(SettingError, match="SIMULATED_PAYMENTS"):
        read_settings(STRIPE | {"SIMULATED_PAYMENTS": "1"})


def test_what_a_crash_left_behind_is_finished_or_voided_within_60_s_as_the_settings_stand():
    """Untouched for so long, found by a round, asked about, and voided by the outbox: each once at its slowest."""
    settings = Settings()
    found_s = settings.settle_after_s + SETTLE_PERIOD_S
    assert found_s + settings.payment_timeout_s + OUTBOX_PERIOD_S <= SETTLED_WITHIN_S
