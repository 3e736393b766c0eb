"""Whose page a request comes from, and whose address it has."""

import pytest

from app.http.origin_rules import (
    address_group,
    client_address,
    client_scheme,
    host_believable,
    networks,
    origin_allowed,
)

OWN = {"scheme": "https", "host": "shop.example"}


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "https://evil.example/shop.example",
        "https://shop.example@evil.example",
        "https://shop.example:8443",
        "http://shop.example",
        "https://shop.example https://evil.example",
        "https://shop.example/",
        "https://shop.example\n",
        "file://shop.example",
        "shop.example",
        "https://SHOP.example.",
    ],
)
def test_a_page_of_another_site_is_told_apart(origin: str):
    assert not origin_allowed(origin, **OWN)
    assert not origin_allowed(origin, **OWN, allowed=("https://other.example",))


@pytest.mark.parametrize("origin", [None, "https://shop.example", "https://Shop.Example", "https://shop.example:443"])
def test_our_own_pages_and_no_origin_at_all_pass(origin: str | None):
    assert origin_allowed(origin, **OWN)


def test_only_whole_listed_origins_pass_beside_our_own():
    allowed = ("https://other.example", "http://localhost:5173/")
    assert origin_allowed("https://other.example", **OWN, allowed=allowed)
    assert origin_allowed("http://localhost:5173", **OWN, allowed=allowed)
    assert not origin_allowed("http://other.example", **OWN, allowed=allowed)
    assert not origin_allowed("http://localhost:51730", **OWN, allowed=allowed)
    assert not origin_allowed("null", **OWN, allowed=("null",))


def test_a_host_with_a_port_is_the_same_host_only_with_that_port():
    own = {"scheme": "http", "host": "127.0.0.1:8000"}
    assert origin_allowed("http://127.0.0.1:8000", **own)
    assert not origin_allowed("http://127.0.0.1", **own)
    assert not origin_allowed("http://127.0.0.1:80000", **own)
    assert origin_allowed("http://[::1]:8000", scheme="http", host="[::1]:8000")


def test_a_broken_host_header_owns_nothing():
    assert not origin_allowed("https://evil.example", scheme="https", host="evil.example/")
    assert not origin_allowed("https://evil.example", scheme="https", host="")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not trusted: whatever it says
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the left part is the client's own invention
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("::ffff:10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_trusted_proxies_may_name_the_client(peer: str, forwarded: str | None, client: str):
    assert client_address(peer, forwarded, networks(["10.0.0.0/8"])) == client


def test_only_trusted_proxies_may_say_https():
    trusted = networks(["10.0.0.0/8"])
    assert client_scheme("http", "https", "10.0.0.1", trusted) == "https"
    assert client_scheme("http", "https", "203.0.113.9", trusted) == "http"
    assert client_scheme("https", None, "203.0.113.9", trusted) == "https"
    assert client_scheme("http", "gopher", "10.0.0.1", trusted) == "http"


@pytest.mark.parametrize(
    ("host", "peer", "believable"),
    [
        ("127.0.0.1:8000", "127.0.0.1", True),
        ("localhost:8000", "127.0.0.1", True),
        ("shop.localhost", "127.0.0.1", True),
        ("[::1]:8000", "::1", True),
        ("127.0.0.2", "127.0.0.1", True),
        ("evil.test", "127.0.0.1", False),
        ("evil.test", "::1", False),
        ("localhost.evil.test", "127.0.0.1", False),
        ("notlocalhost", "127.0.0.1", False),
        ("192.168.1.5", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("192.168.1.5:8000", "192.168.1.9", True),
        ("shop.example", "10.0.0.7", True),  # a proxy, trusted or not: it has its own name for us
        ("shop.example", "127.0.0.9", True),  # a trusted proxy on this machine
        ("shop.example", "", True),  # a unix socket has no address: only a proxy of ours opens it
    ],
)
def test_a_foreign_name_for_this_machine_does_not_stand_for_us(host, peer, believable):
    """A page of evil.test, made to resolve to 127.0.0.1, signed in as the demo's host."""
    assert host_believable(host, peer, networks(["127.0.0.9"])) is believable


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("127.0.0.1", None),
        ("127.1.2.3", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
    ],
)
def test_an_ipv6_network_counts_as_one_and_loopback_is_not_counted(address: str, group: str | None):
    assert address_group(address) == group
