"""Stripe's units of money, its states, and its signature: the same as Stripe's own library computes."""

import pytest
import stripe

from app.checkout.provider import Answer
from app.checkout.stripe_rules import (
    TOLERANCE_S,
    answer_of,
    dispute_state_of,
    from_units,
    refund_answer_of,
    signature_holds,
    to_units,
)

NOW_S = 1_800_000_000
BODY = '{"id": "evt_1", "price": "12 €"}'.encode()


@pytest.mark.parametrize(
    ("amount_minor", "currency", "units"),
    [
        (1234, "EUR", 1234),
        (500, "JPY", 500),
        (500, "ISK", 50_000),
        (500, "UGX", 50_000),
        (12_340, "KWD", 12_340),
        (12_345, "KWD", None),
        (12_340, "IQD", None),
        (1, "XXX", None),
        (0, "EUR", None),
    ],
)
def test_an_amount_in_stripes_units(amount_minor, currency, units):
    assert to_units(amount_minor, currency) == units


def test_stripes_units_lead_back_to_the_amount():
    for amount, currency in ((1234, "EUR"), (500, "JPY"), (500, "ISK"), (500, "UGX"), (12_340, "KWD")):
        assert from_units(to_units(amount, currency), currency) == amount


def test_every_state_of_a_payment_has_its_answer():
    states = "requires_confirmation requires_action processing requires_capture succeeded canceled"
    found = [answer_of(state, failed=False) for state in states.split()]
    assert len(set(found)) == len(found)
    assert answer_of("requires_payment_method", failed=True) is Answer.DECLINED
    assert answer_of("requires_payment_method", failed=False) is Answer.UNKNOWN
    with pytest.raises(KeyError):
        answer_of("a state of next year", failed=False)
    assert refund_answer_of("pending") is Answer.SILENT


def signed(body: bytes, secret: str, at_s: int) -> str:
    """The header, by Stripe's own library."""
    signature = stripe.WebhookSignature._compute_signature(f"{at_s}.{body.decode()}", secret)
    return f"t={at_s},v1={signature}"


def test_every_state_of_a_dispute_has_its_word_and_a_new_one_moves_no_money():
    told = ["warning_needs_response", "warning_under_review", "needs_response", "under_review", "won", "lost"]
    states = [dispute_state_of(status) for status in [*told, "warning_closed", "of_tomorrow"]]
    assert states == ["inquiry", "inquiry", "open", "open", "won", "lost", "closed", "inquiry"]


def test_what_stripes_library_signs_is_believed_under_each_of_two_live_secrets():
    for secret in ("whsec_old", "whsec_new"):
        assert signature_holds(signed(BODY, secret, NOW_S), BODY, ("whsec_old", "whsec_new"), NOW_S)
    both = f"{signed(BODY, 'whsec_gone', NOW_S)},v1={signed(BODY, 'whsec_new', NOW_S).partition('v1=')[2]}"
    assert signature_holds(both, BODY, ("whsec_new",), NOW_S)


@pytest.mark.parametrize("late_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_an_old_signature_is_not_believed(late_s):
    header = signed(BODY, "whsec_a", NOW_S)
    assert not signature_holds(header, BODY, ("whsec_a",), NOW_S + late_s)
    assert signature_holds(header, BODY, ("whsec_a",), NOW_S + late_s - (1 if late_s > 0 else -1))


@pytest.mark.parametrize(
    "change",
    [
        lambda header, body: (header, body + b" "),
        lambda header, body: (header, body.replace(b" ", b"")),
        lambda header, body: (header[:-1] + ("0" if header[-1] != "0" else "1"), body),
        lambda header, body: (header.replace("v1=", "v0="), body),
        lambda header, body: (header.replace(f"t={NOW_S}", f"t={NOW_S + 1}"), body),
        lambda header, body: (header + f",t={NOW_S}", body),
        lambda header, body: (header.replace(f"t={NOW_S}", "t=٣"), body),
        lambda header, body: (header[:0], body),
        lambda header, body: (header + ",v1=" * 5000, body),
    ],
)
def test_whatever_is_not_signed_is_not_believed(change):
    header, body = change(signed(BODY, "whsec_a", NOW_S), BODY)
    assert not signature_holds(header, body, ("whsec_a", "whsec_b"), NOW_S)


def test_without_a_secret_nobody_is_believed():
    assert not signature_holds(signed(BODY, "", NOW_S), BODY, (), NOW_S)
