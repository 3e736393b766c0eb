"""Stripe as the provider, through its own library, against localstripe behind a proxy that breaks things."""

import asyncio

import pytest
import pytest_asyncio

from app import clock
from app.checkout.provider import Answer, Patience, Payment, ProviderAway, Refund
from app.checkout.stripe_provider import StripeProvider
from tests.protocol import stripe_side
from tests.protocol.stripe_side import authenticate, card, intents, refunds


@pytest_asyncio.fixture
async def provider(pg, proxy):
    opened = StripeProvider(pg, stripe_side.SECRET_KEY, proxy.url)
    yield opened
    await opened.aclose()


def payment(method: str, amount_minor=1234, currency="EUR") -> Payment:
    return Payment(clock.new_id(), method, amount_minor, currency, "ann")


def books(localstripe: str, attempt: str) -> list[dict]:
    return [one for one in intents(localstripe) if one["metadata"].get("payment") == attempt]


async def test_a_card_is_authorised_captured_and_refunded_in_parts(provider, localstripe):
    one = payment(card(localstripe))
    assert await provider.look(one.attempt) is Answer.UNKNOWN
    assert await provider.authorise(one) is Answer.AUTHORISED
    (intent,) = books(localstripe, one.attempt)
    assert (intent["amount"], intent["currency"], intent["capture_method"]) == (1234, "eur", "manual")
    assert intent["metadata"] == {"payment": one.attempt, "account": "ann"}
    for _ in range(2):
        assert await provider.capture(one.attempt, "order") is Answer.CAPTURED
    for id_, amount in (("r1", 1000), ("r2", 234), ("r1", 1000)):
        assert await provider.refund(Refund(f"{one.attempt}{id_}", one.attempt, amount, "EUR")) is Answer.REFUNDED
    given = [refund["amount"] for refund in refunds(localstripe) if refund["payment_intent"] == intent["id"]]
    assert sorted(given) == [234, 1000]


async def test_a_card_that_is_declined_or_does_not_exist(provider, localstripe):
    one = payment(card(localstripe, stripe_side.DECLINES))
    assert await provider.authorise(one) is Answer.DECLINED
    assert await provider.look(one.attempt) is Answer.DECLINED
    assert await provider.authorise(payment("pm_nobody")) is Answer.DECLINED


async def test_a_card_is_asked_about_before_any_money_is(provider, localstripe):
    asked = []

    async def may_try(card_told: str) -> bool:
        asked.append(card_told)
        return len(asked) == 1

    first, second = payment(card(localstripe)), payment(card(localstripe))
    assert await provider.authorise(first, may_try) is Answer.AUTHORISED
    assert await provider.authorise(second, may_try) is Answer.BARRED
    assert asked == [await provider.card(first.attempt)] * 2  # the same card, typed twice
    assert [one["status"] for one in books(localstripe, second.attempt)] == ["requires_confirmation"]
    assert await provider.void(second.attempt) is Answer.VOIDED
    assert [one["status"] for one in books(localstripe, second.attempt)] == ["canceled"]


@pytest.mark.parametrize("success", [True, False])
async def test_a_bank_that_asks(provider, localstripe, success):
    one = payment(card(localstripe, stripe_side.CHALLENGES))
    assert await provider.authorise(one) is Answer.CHALLENGE
    secret = await provider.challenge(one.attempt)
    await asyncio.to_thread(authenticate, localstripe, secret, success=success)
    assert await provider.look(one.attempt) is (Answer.AUTHORISED if success else Answer.DECLINED)


@pytest.mark.parametrize("fault", ["cut after", "cut before", "hang", "double"])
@pytest.mark.parametrize("step", ["/payment_intents", "/confirm"])
async def test_an_authorisation_whose_answer_is_lost_is_found_or_never_took_money(
    provider, proxy, localstripe, step, fault
):
    one = payment(card(localstripe))
    proxy.plan.append((step, fault))
    patient = Patience(provider, 1.0)
    answer = await patient.authorise(one)
    assert answer is (Answer.AUTHORISED if fault == "double" else Answer.SILENT)
    reserved = [intent for intent in books(localstripe, one.attempt) if intent["status"] == "requires_capture"]
    happened = (step == "/confirm" and fault != "cut before") or fault == "double"
    assert len(reserved) == happened
    assert await patient.look(one.attempt) is (Answer.AUTHORISED if happened else Answer.UNKNOWN)
    # Whoever died may still be alive, and go on after it was given up.
    assert await patient.void(one.attempt) is Answer.VOIDED
    assert await patient.authorise(one) is Answer.VOIDED
    assert not [found for found in books(localstripe, one.attempt) if found["status"] == "requires_capture"]


@pytest.mark.parametrize("fault", ["cut after", "cut before", "hang", "double"])
async def test_a_capture_whose_answer_is_lost_is_made_once(provider, proxy, localstripe, fault):
    one = payment(card(localstripe))
    assert await provider.authorise(one) is Answer.AUTHORISED
    proxy.plan.append(("/capture", fault))
    patient = Patience(provider, 1.0)
    assert await patient.capture(one.attempt, "order") is (Answer.CAPTURED if fault == "double" else Answer.SILENT)
    proxy._kept.clear()  # a day later Stripe has forgotten the key
    assert await patient.capture(one.attempt, "order") is Answer.CAPTURED
    (intent,) = books(localstripe, one.attempt)
    assert intent["status"] == "succeeded"


@pytest.mark.parametrize("fault", ["cut after", "cut before", "hang", "double"])
async def test_a_refund_whose_answer_is_lost_is_made_once(provider, proxy, localstripe, fault):
    one = payment(card(localstripe))
    assert await provider.authorise(one) is Answer.AUTHORISED
    assert await provider.capture(one.attempt, "order") is Answer.CAPTURED
    back = Refund(one.attempt, one.attempt, 400, "EUR")
    proxy.plan += [("/refunds", "none"), ("/refunds", fault)]
    patient = Patience(provider, 1.0)
    assert await patient.refund(back) is (Answer.REFUNDED if fault == "double" else Answer.SILENT)
    proxy._kept.clear()
    assert await patient.refund(back) is Answer.REFUNDED
    (intent,) = books(localstripe, one.attempt)
    given = [refund["amount"] for refund in refunds(localstripe) if refund["payment_intent"] == intent["id"]]
    assert given == [400]


async def test_a_voided_payment_is_not_captured(provider, localstripe):
    one = payment(card(localstripe))
    assert await provider.authorise(one) is Answer.AUTHORISED
    assert await provider.void(one.attempt) is Answer.VOIDED
    assert await provider.capture(one.attempt, "order") is Answer.VOIDED
    assert await provider.void(one.attempt) is Answer.VOIDED


async def test_a_captured_payment_is_not_voided(provider, localstripe):
    one = payment(card(localstripe))
    assert await provider.authorise(one) is Answer.AUTHORISED
    assert await provider.capture(one.attempt, "order") is Answer.CAPTURED
    assert await provider.void(one.attempt) is Answer.CAPTURED


async def test_a_wrong_key_is_an_outage_and_no_refusal(pg, localstripe):
    """The operator mends it; until then no buyer is told that their card was declined."""
    stranger = StripeProvider(pg, "nothing", localstripe)
    with pytest.raises(ProviderAway):
        await stranger.authorise(payment(card(localstripe)))
    await stranger.aclose()


async def test_currencies_without_and_with_three_decimals(provider, localstripe):
    for amount, currency, units in ((500, "JPY", 500), (500, "ISK", 50_000), (12_340, "KWD", 12_340)):
        one = payment(card(localstripe), amount, currency)
        assert provider.takes(amount, currency)
        assert await provider.authorise(one) is Answer.AUTHORISED
        (intent,) = books(localstripe, one.attempt)
        assert (intent["amount"], intent["currency"]) == (units, currency.lower())
    assert not provider.takes(12_345, "KWD")
    assert provider.knows("pm_1Abc")
    assert not any(map(provider.knows, ("works", "pm_", "pm_1;", "4242424242424242", "")))
