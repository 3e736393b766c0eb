"""A viewer's session, driven at random beside a model of what the viewer has: never a gap, never a double."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from app.rooms.session import IllegalStepError, Phase, Session, Window, share_since

RING = 60
"""More than a snapshot, so that both kinds of share occur."""


class Watcher:
    """A viewer and what its page has: everything from `start` to `has` of `epoch`, or nothing."""

    def __init__(self):
        self.session = Session()
        self.epoch, self.has, self.state = None, None, 0

    def take(self, epoch, first, last, *, recovered, state):
        if recovered:
            assert epoch == self.epoch, "continued under another epoch"
            assert first == self.has + 1, "a gap or a double"
        self.epoch, self.has, self.state = epoch, last, state


class Rooms(RuleBasedStateMachine):
    watchers = Bundle("watchers")

    def __init__(self):
        super().__init__()
        self.epoch, self.top, self.flushed, self.state = 1, 0, 0, 0
        self.all: list[Watcher] = []

    @property
    def window(self):
        return Window(str(self.epoch), max(1, self.top - RING + 1), self.flushed)

    @rule(count=st.integers(1, 90))
    def say(self, count):
        for _ in range(count):
            if self.top - self.flushed >= RING:
                self.flush()
            self.top += 1

    @rule()
    def set_state(self):
        self.state += 1
        self.flush()

    @rule()
    def flush(self):
        first, self.flushed = self.flushed + 1, self.top
        for one in self.all:
            if one.session.phase is Phase.LIVE:
                one.take(str(self.epoch), first, self.top, recovered=True, state=self.state)

    @rule(top=st.integers(0, 5))
    def lose_everything(self, top):
        self.epoch, self.top, self.flushed = self.epoch + 1, top, top
        for one in self.all:
            if one.session.phase is Phase.LIVE:
                share = share_since(self.window, None, None)
                one.take(str(self.epoch), share.first, share.last, recovered=False, state=self.state)

    @rule(target=watchers, since=st.none() | st.integers(-3, 200), fresh=st.booleans(), portion=st.integers(1, 40))
    def join(self, since, fresh, portion):
        one = Watcher()
        one.epoch, one.has = (None if fresh else str(self.epoch)), since
        share = share_since(self.window, one.epoch, since)
        last = min(share.last, share.first + portion - 1) if share.recovered else share.last
        one.session.join(self.window, last)
        one.take(str(self.epoch), share.first, last, recovered=share.recovered, state=self.state)
        self.all.append(one)
        return one

    @rule(one=watchers)
    def stall(self, one):
        one.session.stall(str(self.epoch), self.flushed)

    @rule(one=watchers, portion=st.integers(1, 40), stalls=st.booleans())
    def feed(self, one, portion, stalls):
        while one.session.phase is Phase.DEMOTED:
            share = one.session.owed(self.window)
            if share is None:
                one.session.caught_up()
                assert one.has == self.flushed
                return
            last = min(share.last, share.first + portion - 1) if share.recovered else share.last
            one.session.gave(self.window, last)
            one.take(str(self.epoch), share.first, last, recovered=share.recovered, state=self.state)
            if stalls:
                one.session.stall(str(self.epoch), self.flushed)
                return

    @rule(one=watchers)
    def leave(self, one):
        was_open = one.session.phase is not Phase.CLOSED
        assert one.session.leave() is was_open

    @invariant()
    def the_live_have_everything(self):
        for one in self.all:
            if one.session.phase is Phase.LIVE:
                assert (one.epoch, one.has, one.state) == (str(self.epoch), self.flushed, self.state)


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_a_step_that_the_phase_does_not_know_is_an_error():
    session = Session()
    session.leave()
    with pytest.raises(IllegalStepError):
        session.join(Window("e", 1, 0), 0)


@pytest.mark.parametrize(
    ("epoch", "since", "expected"),
    [
        ("e", 100, (101, 100, True)),
        ("e", 50, (51, 100, True)),
        ("e", 40, (41, 100, True)),
        ("e", 39, (51, 100, False)),
        ("e", 101, (51, 100, False)),
        ("e", -1, (51, 100, False)),
        ("e", None, (51, 100, False)),
        ("other", 100, (51, 100, False)),
        (None, None, (51, 100, False)),
    ],
)
def test_who_can_be_continued_is_and_who_cannot_gets_the_last_fifty(epoch, since, expected):
    share = share_since(Window("e", 41, 100), epoch, since)
    assert (share.first, share.last, share.recovered) == expected
