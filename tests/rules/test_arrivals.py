"""Who has to go when too many connections have not said yet what they want."""

from app.http.arrivals import Arrivals
from app.http.origin_rules import networks


class Line:
    aborted = False

    def abort(self):
        self.aborted = True


def test_an_address_may_owe_so_many_heads_and_others_are_not_hurt():
    arrivals = Arrivals(headless_per_address=2)
    lines = [Line() for _ in range(2)]
    assert all(arrivals.owes_head(line, "203.0.113.7") for line in lines)
    assert not arrivals.owes_head(Line(), "203.0.113.7")
    assert arrivals.owes_head(Line(), "203.0.113.8")
    arrivals.owes_nothing(lines[0])
    arrivals.owes_nothing(lines[0])
    assert arrivals.owes_head(Line(), "203.0.113.7")
    assert not arrivals.owes_head(Line(), "203.0.113.7")


def test_the_addresses_of_one_ipv6_network_owe_together():
    arrivals = Arrivals(headless_per_address=1)
    assert arrivals.owes_head(Line(), "2001:db8::1")
    assert not arrivals.owes_head(Line(), "2001:db8::2")
    assert arrivals.owes_head(Line(), "2001:db8:0:1::1")


def test_proxies_and_this_machine_are_bounded_in_all_only():
    arrivals = Arrivals(networks(["198.51.100.0/24"]), headless_per_address=1, headless_max=6)
    lines = [Line() for _ in range(7)]
    for line, peer in zip(lines, ["198.51.100.1"] * 3 + ["127.0.0.1"] * 2 + [""] * 2, strict=True):
        assert arrivals.owes_head(line, peer)
    assert [line.aborted for line in lines] == [True, *[False] * 6]
    assert arrivals.headless == 6
