"""Cells that no spreadsheet runs, and tracking addresses that are links and nothing else: tables of cases."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checkout.csv_rules import plain_amount
from app.checkout.shipment_rules import Shipment, clean_shipment
from app.http.csv_rules import csv_row
from app.refusal import Refusal


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@A",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u00a0=1",
        "\ufeff=1",
        '=cmd|"/c calc"!A1',
        "\x00=1",
    ],
)
def test_what_a_spreadsheet_would_run_is_text(cell):
    ((read,),) = csv.reader(io.StringIO(csv_row([cell]), newline=""))
    assert read.startswith("'")


@pytest.mark.parametrize("cell", ["Bowl, Blue", 'a "b" c', "1-2", "a=b", "", "Zeile\nzwei", "12.50", "ünï"])
def test_every_other_cell_comes_back_as_it_was(cell):
    ((read, last),) = csv.reader(io.StringIO(csv_row([cell, "x"]), newline=""))
    assert (read, last) == (cell, "x")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_a_row_is_one_row_whatever_is_in_it(cells):
    rows = list(csv.reader(io.StringIO(csv_row(cells), newline="")))
    assert len(rows) == 1
    assert len(rows[0]) == len(cells)
    assert not any(cell[:1] in {"=", "+", "-", "@", "\t", "\r"} for cell in rows[0])


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1, "EUR", "0.01"), (12345, "USD", "123.45"), (500, "JPY", "500"), (1005, "KWD", "1.005"), (0, "EUR", "0.00")],
)
def test_amounts_have_as_many_decimals_as_their_currency(minor, currency, text):
    assert plain_amount(minor, currency) == text


@pytest.mark.parametrize(
    "url",
    [
        "http://parcel.example/1",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://localhost/x",
        "https://user@parcel.example/",
        "https://parcel.example:8443/",
        "https://parcel.example:x/",
        "https://parcel.example/a b",
        "https://parcel.example/\n",
        'https://parcel.example/"><script>',
        "https://pärcel.example/",
        "//parcel.example",
        "HTTPS://parcel.example/1",
        "https://[::1/",
    ],
)
def test_a_tracking_address_is_a_plain_https_link(url):
    assert isinstance(clean_shipment(Shipment(url=url)), Refusal)


def test_a_parcel_says_at_least_something_that_can_be_printed():
    whole = Shipment("DHL", "00 34", "https://parcel.example/track?n=0034#now")
    assert clean_shipment(whole) == whole
    assert clean_shipment(Shipment("  DHL ")) == Shipment("DHL")
    for bad in (Shipment(), Shipment("  "), Shipment("D\x07HL"), Shipment(number="\u202e1")):
        assert isinstance(clean_shipment(bad), Refusal)
