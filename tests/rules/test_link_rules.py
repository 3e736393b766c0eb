"""Sites that may be named where links are off, and all that only looks like one of them."""

import pytest

from app.chat.fold_rules import fold
from app.chat.link_rules import clean_site, has_foreign_link

SITES = ("example.org", "shop.example")


@pytest.mark.parametrize(
    ("text", "is_foreign"),
    [
        ("no address at all.", False),
        ("see example.org", False),
        ("see https://example.org/sale?size=4#top, and (www.example.org)!", False),
        ("EXAMPLE.ORG is it", False),
        ("https://a.b.shop.example/x", False),
        ("see evil.com", True),
        ("example.org and evil.com", True),
        ("notexample.org", True),
        ("example.org.evil.com", True),
        ("https://example.org@evil.com", True),
        ("https://evil.com/example.org", True),
        ("https://example.org/?to=https://evil.com", True),
        ("https://example.org/evil.com", True),
        ("example.org,evil.com", True),
        ("https://ex\u0430mple.org", True),
        ("https://example.org:8443/x", True),
        ("ftp://example.org/x", True),
        ("evil dot com", True),
        ("evil dot example.org com", False),
    ],
)
def test_only_what_is_plainly_an_address_of_the_site_is_allowed(text, is_foreign):
    assert has_foreign_link(text, fold(text), SITES) is is_foreign
    assert has_foreign_link(text, fold(text), ()) is (text != "no address at all.")


@pytest.mark.parametrize(
    ("typed", "site"),
    [
        (" https://Example.org/ ", "example.org"),
        ("sub.example.org", "sub.example.org"),
        ("xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("example.org/page", None),
        ("org", None),
        ("*.example.org", None),
        ("ex\u00e4mple.org", None),
        ("", None),
        ("a." * 60 + "org", None),
    ],
)
def test_a_site_is_a_name_alone(typed, site):
    assert clean_site(typed) == site
