"""Who may publish where somebody publishes already: the whole table."""

import pytest

from app.streams.candidate_rules import offered_addresses, speaks_ipv6
from app.streams.relay.publish_rules import ACCOUNT, STREAM_KEY, SYNTHETIC, Present, refuse_publisher

ANN, BEN = ACCOUNT + "ann", ACCOUNT + "ben"
SENDS, SILENT = 0.1, 1.5


@pytest.mark.parametrize(
    ("owner", "present", "takeover", "may"),
    [
        (ANN, None, False, True),
        (SYNTHETIC, None, False, True),
        (ANN, (SYNTHETIC, SENDS), False, True),
        (STREAM_KEY, (SYNTHETIC, SENDS), False, True),
        (SYNTHETIC, (SYNTHETIC, SENDS), False, True),
        (SYNTHETIC, (ANN, SENDS), True, False),
        (SYNTHETIC, (ANN, SILENT), True, False),
        (ANN, (ANN, SENDS), False, False),
        (ANN, (ANN, SENDS), True, True),
        (ANN, (ANN, SILENT), False, True),
        (STREAM_KEY, (STREAM_KEY, SENDS), False, False),
        (STREAM_KEY, (STREAM_KEY, SILENT), False, True),
        (STREAM_KEY, (ANN, SENDS), True, True),
        (ANN, (STREAM_KEY, SENDS), True, True),
        (ANN, (STREAM_KEY, SENDS), False, False),
        (BEN, (ANN, SENDS), True, False),
        (BEN, (ANN, SILENT), True, False),
    ],
)
def test_the_table(owner: str, present: tuple[str, float] | None, takeover: bool, may: bool):
    refused = refuse_publisher(owner, None if present is None else Present(*present), takeover=takeover)
    assert (refused is None) is may
    if refused is not None:
        assert refused.code == "publisher_present"
        assert refused.retry_after_ms > 0


def test_the_synthetic_host_waits_a_while_after_a_person_left():
    assert refuse_publisher(SYNTHETIC, None, takeover=False, vacant_s=1.0).retry_after_ms == 4_000
    assert refuse_publisher(SYNTHETIC, None, takeover=False, vacant_s=5.0) is None
    assert refuse_publisher(ANN, None, takeover=False, vacant_s=0.0) is None


@pytest.mark.parametrize(
    ("published", "client", "server", "host", "offered"),
    [
        ("", "127.0.0.1", "127.0.0.1", "localhost:8000", ("127.0.0.1",)),
        ("", "::1", "::1", "[::1]:8000", ("127.0.0.1",)),
        ("", "192.0.2.9", "192.0.2.1", "192.0.2.1:8000", ("192.0.2.1",)),
        ("", "192.0.2.1", "192.0.2.1", "shop.example", ("192.0.2.1",)),
        ("", "127.0.0.1", "127.0.0.1", "192.0.2.1:8000", ("127.0.0.1", "192.0.2.1")),
        ("", "::ffff:192.0.2.9", "::ffff:192.0.2.1", "x", ("192.0.2.1",)),
        ("", "", "", "shop.example", ("127.0.0.1",)),
        ("", "192.0.2.9", "0.0.0.0", "0.0.0.0", ("127.0.0.1",)),
        ("198.51.100.4", "127.0.0.1", "127.0.0.1", "x", ("198.51.100.4",)),
        ("198.51.100.4, 203.0.113.4", "192.0.2.9", "192.0.2.1", "x", ("198.51.100.4", "203.0.113.4")),
    ],
)
def test_the_offered_addresses(published: str, client: str, server: str, host: str, offered: tuple[str, ...]):
    assert offered_addresses(published, client=client, server=server, host=host) == offered


@pytest.mark.parametrize(
    ("client", "server", "host", "offered"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost:8000", ("127.0.0.1",)),
        ("::1", "::1", "[::1]:8000", ("::1",)),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "localhost", ("127.0.0.1",)),
        ("2001:db8::9", "2001:db8::1", "[2001:db8::1]:8000", ("2001:db8::1",)),
        ("192.0.2.9", "::ffff:192.0.2.1", "[2001:db8::1]", ("192.0.2.1", "2001:db8::1")),
        ("fe80::9%eth0", "fe80::1%eth0", "shop.example", ("127.0.0.1",)),
        ("2001:db8::9", "::", "x", ("127.0.0.1",)),
    ],
)
def test_ipv6_is_offered_where_the_port_speaks_it(client: str, server: str, host: str, offered: tuple[str, ...]):
    assert offered_addresses("", client=client, server=server, host=host, ipv6=True) == offered


def test_the_port_speaks_ipv6_once_it_is_bound_or_published_there():
    assert speaks_ipv6("", "::1")
    assert speaks_ipv6("198.51.100.4,2001:db8::1", "0.0.0.0")
    assert not speaks_ipv6("198.51.100.4", "127.0.0.1")
