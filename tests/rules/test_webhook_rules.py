"""Where webhooks may go, when they are tried again, how they are signed."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from app.checkout.provider import DisputeState
from app.flash_sales.sale_rules import SaleState
from app.streams.show_rules import ShowState
from app.webhooks.deliver import headers
from app.webhooks.webhook_rules import (
    EVENT_TYPES,
    PAUSES_S,
    TRIES_MAX,
    check_url,
    is_public,
    is_received,
    is_to_suspend,
    pause_s,
)

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hooks",
        "https://shop.example:8443/hooks?a=b",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    ],
)
def test_an_address_of_the_internet_is_taken(url):
    assert check_url(url, private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "http://shop.example/",
        "ftp://shop.example/",
        "https://",
        "https:///path",
        "https://user@shop.example/",
        "https://user:word@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:0/",
        "https://shop.example:99999/",
        "https://shop.example:x/",
        "https://sh op.example/",
        "https://shop.example/\r\nX-Header: 1",
        "https://shop.example\\@elsewhere.example/",
        "https://shöp.example/",
        "https://[::1",
        "https://" + "a" * 2048,
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
    ],
)
def test_what_is_no_such_address_is_refused(url):
    refused = check_url(url, private=False)
    assert refused is not None
    assert refused.code == "url_invalid"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/", "http://hooks.internal/", "https://10.0.0.1/"])
def test_a_laptop_may_be_told_to_reach_itself(url):
    assert check_url(url, private=True) is None


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("239.0.0.1", False),
        ("ff0e::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
    ],
)
def test_an_address_in_the_clothes_of_another_is_judged_by_what_it_is(address, public):
    assert is_public(ip_address(address)) is public


def test_a_delivery_is_tried_for_three_days_and_then_no_more():
    pauses = [pause_s(tries, 0.0) for tries in range(1, TRIES_MAX + 1)]
    assert pauses == [*PAUSES_S, None]
    assert timedelta(days=3) < timedelta(seconds=sum(PAUSES_S)) < timedelta(days=4)
    assert PAUSES_S[0] <= pause_s(1, 0.999) < PAUSES_S[0] * 1.2 + 0.001


@pytest.mark.parametrize(("status", "received"), [(200, True), (204, True), (301, False), (404, False), (500, False)])
def test_only_2xx_is_received(status, received):
    assert is_received(status) is received


@pytest.mark.parametrize(
    ("status", "failing_for", "suspended"),
    [
        (410, timedelta(0), True),
        (500, timedelta(days=4, hours=23), False),
        (500, timedelta(days=5), True),
        (None, timedelta(days=6), True),
    ],
)
def test_an_endpoint_that_is_gone_or_fails_for_days_is_suspended(status, failing_for, suspended):
    assert is_to_suspend(status, NOW - failing_for, NOW) is suspended


def test_events_are_named_after_the_states_that_there_are():
    named = {f"dispute.{state}" for state in DisputeState}
    named |= {f"show.{state}" for state in ShowState} | {f"flash_sale.{state}" for state in SaleState}
    assert {one for one in EVENT_TYPES if not one.startswith("order.")} == named


def test_a_signature_is_that_of_the_specifications_example():
    """The example of the Standard Webhooks reference libraries."""
    signed = headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        1614265330_000,
        '{"test": 2432232314}',
    )
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed["webhook-timestamp"] == "1614265330"
