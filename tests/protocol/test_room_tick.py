"""When a room's frames leave: at once, with the tick, or when they are full."""

import pytest

from app.person import Standing
from app.rooms.news import Told
from app.rooms.room import FULL_EVENTS, LocalRoom
from app.rooms.valkey_bus import RoomView
from app.rooms.viewer import Viewer
from tests.waiting import eventually_true, loop_turned

LONG_TICK_S = 0.5


class Page:
    """A wire that keeps what was written."""

    listener = None
    stalled = False

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def writer(self):
        return Page.write, self

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)


@pytest.fixture
def watched(monkeypatch):
    """A room with a tick that is long enough to be seen, one page in it, and its first frame given."""
    monkeypatch.setattr("app.rooms.room.TICK_S", LONG_TICK_S)
    room, page = LocalRoom("s"), Page()
    room.adopt(RoomView("e", 0, [], {}))
    room.join(Viewer(room, page, None, Standing.VIEWER), None, None, {})
    page.frames.clear()
    return room, page


def tell(room, count):
    for _ in range(count):
        assert room.apply(Told("e", room.ring.top + 1, b'{"t":"x"}'))


async def test_what_came_together_leaves_at_once_in_one_frame(watched):
    room, page = watched
    tell(room, 3)
    assert page.frames == []
    await loop_turned()
    assert [frame.count(b'"t"') for frame in page.frames] == [3]


async def test_the_next_ones_wait_for_the_tick(watched):
    room, page = watched
    tell(room, 1)
    await loop_turned()
    tell(room, FULL_EVENTS - 1)
    await loop_turned()
    assert len(page.frames) == 1
    await eventually_true(lambda: len(page.frames) == 2)
    assert page.frames[1].count(b'"t"') == FULL_EVENTS - 1


async def test_a_full_frame_does_not_wait_for_the_tick(watched):
    room, page = watched
    tell(room, 1)
    await loop_turned()
    tell(room, FULL_EVENTS - 1)
    await loop_turned()
    tell(room, 1)
    await loop_turned()
    assert [frame.count(b'"t"') for frame in page.frames] == [1, FULL_EVENTS]


async def test_what_overflows_a_full_frame_in_the_same_turn_still_leaves_with_it(watched):
    room, page = watched
    tell(room, 3 * FULL_EVENTS)
    await loop_turned()
    assert [frame.count(b'"t"') for frame in page.frames] == [3 * FULL_EVENTS]


async def test_after_a_full_frame_a_lone_message_waits_for_the_tick_again(watched):
    room, page = watched
    tell(room, 1)
    await loop_turned()
    tell(room, FULL_EVENTS)
    await loop_turned()
    tell(room, 1)
    await loop_turned()
    assert len(page.frames) == 2
    await eventually_true(lambda: len(page.frames) == 3)
    assert page.frames[2].count(b'"t"') == 1


async def test_who_spoke_last_is_served_first():
    """Of a thousand viewers the one who spoke was served at its place in the row, which for a newcomer was the last."""
    room, order = LocalRoom("s"), []

    class Ordered(Page):
        def writer(self):
            return lambda page, _: order.append(page), self

    room.adopt(RoomView("e", 0, [], {}))
    write = Ordered().writer()[0]
    pages = [Ordered() for _ in range(4)]
    viewers = [Viewer(room, page, None, Standing.VIEWER) for page in pages]
    for page, viewer in zip(pages, viewers, strict=True):
        page.writer = lambda page=page: (write, page)
        room.join(viewer, None, None, {})
    room.heard(viewers[2])
    room.heard(viewers[0])
    room.demote(viewers[1])
    room.heard(viewers[1])  # stalled: its place is not among the live ones
    tell(room, 1)
    await loop_turned()
    assert [pages.index(page) for page in order] == [0, 2, 3]
