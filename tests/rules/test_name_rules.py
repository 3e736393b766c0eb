"""What people may be called, and which names count as the same."""
# ruff: noqa: RUF001 - look-alikes are the subject

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.name_rules import NAME_LENGTH_MAX, clean_email, clean_name, fold_name, is_reserved
from app.refusal import Refusal


@pytest.mark.parametrize(
    ("name", "lookalike"),
    [
        ("Bill", "BiII"),
        ("Paula", "Раulа"),  # Cyrillic
        ("Anna", "ΑΝΝΑ"),  # Greek capitals
        ("Otto", "0tt0"),
        ("Max Power", "max_power"),
        ("Maxim", "Ｍａｘｉｍ"),  # full width
        ("Hela", "Ηela"),  # Greek Eta
        ("straße", "STRASSE"),
    ],
)
def test_names_that_look_alike_fold_alike(name: str, lookalike: str):
    assert fold_name(name) == fold_name(lookalike)


def test_names_that_differ_to_the_eye_stay_apart():
    names = ["Anna", "Anne", "Hanna", "Ana", "Guest 12", "Guest 21", "林", "森"]
    assert len({fold_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["Host", "The Hоst", "supp0rt", "Sup.port", "HAWKER", "süpport", "Ηost", "a d m i n"])
def test_a_name_of_office_is_reserved_however_it_is_drawn(name: str):
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["Hosta", "Modesty", "Guest 12", "Stafford"])
def test_a_name_that_merely_begins_like_an_office_is_free(name: str):
    assert not is_reserved(name)


@pytest.mark.parametrize(
    "name",
    ["", "   ", "a\u202eb", "a\u200bb", "\u2066x", "---", "e" + "\u0301" * 9, "a" * 41, "\ud800", "a\u0007"],
)
def test_names_that_hide_or_say_nothing_are_refused(name: str):
    assert isinstance(clean_name(name), Refusal)


@given(st.text(max_size=60))
def test_a_clean_name_is_short_normal_and_stays_clean(name: str):
    clean = clean_name(name)
    if not isinstance(clean, Refusal):
        assert 1 <= len(clean) <= NAME_LENGTH_MAX
        assert unicodedata.is_normalized("NFC", clean)
        assert clean_name(clean) == clean
        assert fold_name(clean)


@given(st.text(max_size=40))
def test_folding_ignores_case_and_form(name: str):
    assert fold_name(unicodedata.normalize("NFD", name)) == fold_name(unicodedata.normalize("NFC", name))


@pytest.mark.parametrize("email", ["", "a", "a@", "@b", "a b@c", "a@b@c", "a@" + "b" * 300, "a@b..c", "a@.b"])
def test_what_is_no_address_is_refused(email: str):
    assert isinstance(clean_email(email), Refusal)


def test_addresses_are_compared_without_case():
    assert clean_email(" Anna@Example.ORG ") == "anna@example.org"
