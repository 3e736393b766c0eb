"""One caller takes neither everybody's seats nor everybody's time."""

from app.streams.media_rate_rules import BURST, CALLERS_MAX, PER_S, MediaRate
from app.streams.relay.callers import Callers, caller_of
from app.streams.relay.limits import SESSIONS_PER_CALLER_MAX, UNCONNECTED_PER_CALLER_MAX, VIEWERS_PER_ROOM_MAX


def test_a_caller_may_ask_in_a_burst_and_then_at_a_pace():
    rate = MediaRate()
    assert not any(rate.refuse("a", 0) for _ in range(BURST))
    refused = rate.refuse("a", 0)
    assert refused.code == "too_many_tries"
    assert rate.refuse("b", 0) is None, "another caller has a bucket of its own"
    assert rate.refuse("a", refused.retry_after_ms - 2) is not None
    assert rate.refuse("a", refused.retry_after_ms) is None
    assert sum(rate.refuse("a", 2_000) is None for _ in range(BURST)) in range(2 * PER_S - 2, 2 * PER_S + 1)


def test_being_refused_does_not_make_the_wait_longer():
    rate = MediaRate(burst=1, per_s=1)
    assert rate.refuse("a", 0) is None
    assert [rate.refuse("a", at_ms) is None for at_ms in (100, 500, 900, 1_000)] == [False, False, False, True]


def test_the_buckets_are_bounded_and_the_least_active_go_first():
    rate = MediaRate(burst=1, per_s=1)
    for number in range(CALLERS_MAX + 5):
        rate.refuse(str(number), 0)
    assert len(rate._left) == CALLERS_MAX
    assert rate.refuse(str(CALLERS_MAX), 0) is not None


def test_a_caller_is_an_address_or_its_ipv6_line():
    assert caller_of("192.0.2.7") == caller_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert caller_of("2001:db8:1:2:3::4") == caller_of("2001:db8:1:2::9") != caller_of("2001:db8:1:3::9")
    assert caller_of("testclient") == caller_of("") == ""


def test_sessions_that_do_not_connect_are_few_per_caller():
    callers = Callers()
    for _ in range(UNCONNECTED_PER_CALLER_MAX):
        assert callers.refuse("a") is None
        callers.enter("a")
    assert callers.refuse("a").code == "too_many_tries"
    assert callers.refuse("b") is None
    callers.connect("a")
    assert callers.refuse("a") is None
    callers.enter("a")
    callers.leave("a", connected=False)
    assert callers.refuse("a") is None


def test_no_caller_fills_a_room():
    callers, sessions = Callers(), 0
    while callers.refuse("a") is None:
        callers.enter("a")
        callers.connect("a")
        sessions += 1
    assert sessions == SESSIONS_PER_CALLER_MAX < VIEWERS_PER_ROOM_MAX
    for _ in range(sessions):
        callers.leave("a", connected=True)
    assert callers.refuse("a") is None
    assert not callers._all
    assert not callers._unconnected


def test_who_is_nobody_is_not_counted():
    callers = Callers()
    for _ in range(2 * SESSIONS_PER_CALLER_MAX):
        assert callers.refuse("") is None
        callers.enter("")
