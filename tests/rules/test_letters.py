"""Letters to buyers: what is in them, and that nothing of a name or a title gets into a header."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from app.checkout.letter_rules import KINDS, Occasion, one_line, write_letter
from app.checkout.shipment_rules import Shipment
from app.checkout.views import Charges, OrderLine, OrderView

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
CHARGES = Charges(2400, 0, 499, 463, 1900, True, 2899, "Post", 1)
ORDER = OrderView("o1", "paid", None, "s1", 2899, "EUR", NOW, [OrderLine("Mug, Slate", 1, 2400)], charges=CHARGES)


def occasion(**changes) -> Occasion:
    whole = {"kind": "confirmed", "order": ORDER, "shop": "Clay", "buyer": "Ada", "email": "ada@example.com", "at": NOW}
    return Occasion(**{**whole, "page": "https://shop.example/orders/o1", **changes})


def read(letter):
    return message_from_bytes(letter.as_bytes(), policy=default)


@pytest.mark.parametrize("kind", KINDS)
def test_a_letter_says_what_happened_what_it_cost_and_where_to_look(kind):
    letter = read(write_letter(occasion(kind=kind, refund_minor=500), sender="orders@shop.example", name=f"{kind}-o1"))
    assert letter["To"] == "ada@example.com"
    assert letter["From"] == "Clay <orders@shop.example>"
    assert letter["Message-ID"] == f"<{kind}-o1@shop.example>"
    text = letter.get_content()
    assert "28.99 EUR" in text
    assert "Shipping, Post: 4.99 EUR" in text
    assert "Tax, 19 %, included: 4.63 EUR" in text
    assert "https://shop.example/orders/o1" in text
    assert ("5.00 EUR of your order went back" in text) == (kind == "refunded")


def test_the_policy_that_was_agreed_to_and_the_parcel_are_told():
    confirmed = write_letter(occasion(policy="Thirty days.\n.\nNo boots."), sender="o@shop.example", name="n")
    assert read(confirmed).get_content().splitlines()[-3:] == ["Thirty days.", ".", "No boots."]
    order = OrderView(
        "o1", "paid", None, "s1", 1, "JPY", NOW, [], shipment=Shipment("DHL", "00 34", "https://p.example/1")
    )
    shipped = read(write_letter(occasion(kind="shipped", order=order), sender="o@shop.example", name="n")).get_content()
    assert "DHL 00 34" in shipped
    assert "https://p.example/1" in shipped
    assert "Total: 1 JPY" in shipped


@pytest.mark.parametrize(
    "name",
    [
        "Clay\r\nBcc: everybody@example.com",
        "Clay\nX: y",
        "Clay\u2028Bcc: a@b.example",
        "Clay\x00",
        "Clay\u202eyalC",
        '"Clay" <evil@example.com>, a',
        "=?utf-8?q?=0d=0aBcc:_a@b.example?=",
        "x" * 500,
        "\ud800",
        "",
    ],
)
def test_no_name_adds_a_header_or_a_recipient(name):
    lines = [OrderLine(name or "x", 1, 2400)]
    order = OrderView("o1", "paid", None, "s1", 2899, "EUR", NOW, lines, charges=CHARGES)
    letter = read(write_letter(occasion(shop=name, buyer=name, order=order), sender="o@shop.example", name="n"))
    plain = write_letter(occasion(), sender="o@shop.example", name="n")
    assert sorted(letter.keys()) == sorted(plain.keys())
    assert [one.addr_spec for one in letter["To"].addresses] == ["ada@example.com"]
    assert [one.addr_spec for one in letter["From"].addresses] == ["o@shop.example"]


@pytest.mark.parametrize(
    "email",
    [
        *("", "ada", "ada@example.com\r\nBcc: a@b.example", "ada@example.com, b@example.com", "a b@example.com"),
        *("ädä@example.com", '"a b"@example.com', "ada@exa mple.com", "<ada@example.com>", "ada@example.com\x00"),
    ],
)
def test_there_is_no_writing_to_what_is_no_plain_address(email):
    assert write_letter(occasion(email=email), sender="o@shop.example", name="n") is None


def test_a_header_line_is_one_printable_line():
    assert one_line(" a\r\n\tb\u2029c ") == "a b c"
    assert one_line("\x00") == "Hawker"
