"""Addresses: what is refused, and which are one door."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.checkout.address_rules import ShipTo, clean_address, door_of
from app.refusal import Refusal

HOME = ShipTo("Ann Example", "12 Main Street, Apt. 3", "Springfield", "US", "12345")


def at(street, postal_code="12345", city="Springfield", country="US", **more):
    return ShipTo("Somebody Else", street, city, country, postal_code, **more)


@pytest.mark.parametrize(
    "same",
    [
        at("12 main st apt 3"),
        at("12 MAIN STREET", extra="Apartment #3"),
        at("Apt 3, 12 Main St."),
        at("12, Main  Street - Unit 3"),
        at("No. 12 Main Street Apt3"),
        at("12 Máin Street apt 3", city="Elsewhere"),
        at("12 Main Street Apt 3", postal_code="123 45"),
    ],
)
def test_one_door_written_in_many_ways_is_one(same):
    assert door_of(same) == door_of(HOME)


@pytest.mark.parametrize(
    "other",
    [
        at("12 Main Street Apt 4"),
        at("13 Main Street Apt 3"),
        at("12 Maine Street Apt 3"),
        at("12 Main Street Apt 3", postal_code="12346"),
        at("12 Main Street Apt 3", country="CA"),
        at("12 Main Street"),
    ],
)
def test_another_door_is_another(other):
    assert door_of(other) != door_of(HOME)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hauptstraße 5", "Hauptstr. 5"),
        ("Hauptstraße 5", "HAUPTSTRASSE 5"),
        ("Haupt Straße 5", "Hauptstr 5"),
        ("Rue de l'Église 7", "rue de l eglise 7"),
    ],
)
def test_other_languages_have_ways_too(one, other):
    assert door_of(at(one)) == door_of(at(other))


def test_without_a_postal_code_the_city_counts():
    assert door_of(at("1 Quay", "", "Cork")) != door_of(at("1 Quay", "", "Galway"))
    assert door_of(at("1 Quay", "", "CORK")) == door_of(at("1 Quay", "", "Cork"))


@pytest.mark.parametrize("field", ["name", "street", "city", "postal_code", "extra"])
@pytest.mark.parametrize("sign", ["\x00", "\n", "\t", "\x1b", "\u202e", "\u200b", "\u2028", "\ue000"])
def test_signs_that_cannot_be_printed_are_refused_in_every_line(field, sign):
    refused = clean_address(msgspec.structs.replace(HOME, **{field: f"a{sign}b"}))
    assert isinstance(refused, Refusal)
    assert refused.code == "address_invalid"


@pytest.mark.parametrize("field", ["name", "street", "city"])
@pytest.mark.parametrize("line", [" ", "...", "-"])
def test_a_line_of_nothing_is_refused(field, line):
    assert isinstance(clean_address(msgspec.structs.replace(HOME, **{field: line})), Refusal)


def test_spaces_are_put_in_order():
    cleaned = clean_address(msgspec.structs.replace(HOME, name="  Ann   Example "))
    assert isinstance(cleaned, ShipTo)
    assert cleaned.name == "Ann Example"


@given(st.text(min_size=1, max_size=120), st.text(max_size=16))
def test_whatever_is_written_has_a_door_or_a_refusal(street, postal_code):
    cleaned = clean_address(ShipTo("A", street, "B", "DE", postal_code))
    if isinstance(cleaned, ShipTo):
        assert door_of(cleaned) == door_of(clean_address(cleaned))
