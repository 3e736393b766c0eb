"""What viewers are sent, in which portions: nothing holds up the loop for long, nobody misses or doubles a packet."""

import struct

import pytest

from app.streams.relay.audience import Audience, Viewer
from app.streams.relay.history import History
from app.streams.relay.ingest import Ingest
from app.streams.relay.limits import OUTBOX_MAX, RUN_MAX
from app.streams.relay.offer import Codec
from app.streams.relay.rewrite import Placed
from tests.rules.test_media_room import Ear

VP8, OPUS = Codec("VP8", 96, rtx=97), Codec("opus", 111)
TRACKS = Ingest({"video": VP8, "audio": OPUS}, {}).tracks


class CountingFan:
    """A fan that sends to one viewer a step, and remembers the runs."""

    runs: list[list[bytes]] = []  # noqa: RUF012 each test begins with an empty one

    def __init__(self) -> None:
        self.peers: list[Ear] = []
        self.octets = 0

    def __len__(self) -> int:
        return len(self.peers)

    def add(self, peer: Ear) -> None:
        self.peers.append(peer)

    def discard(self, peer: Ear) -> None:
        if peer in self.peers:
            last = self.peers.pop()
            if last is not peer:
                self.peers[self.peers.index(peer)] = last

    def send(self, packets):
        CountingFan.runs.append(list(packets))
        for place in range(len(self.peers)):
            self.peers[place].rtp += packets
            yield len(packets)


class Hall:
    """An audience, and packets for it."""

    def __init__(self) -> None:
        CountingFan.runs = []
        self.history = History(2_048)
        self.audience = Audience(self.history, CountingFan)
        self.place = 0

    def viewer(self, name: str) -> Ear:
        ear = Ear()
        self.audience.expect(name, Viewer(ear, {"video": (VP8,), "audio": (OPUS,)}), TRACKS)
        self.audience.admit(name, 0.0)
        return ear

    def put(self, size: int = 500, *, key: bool = False, kind: str = "video", marker: bool = True) -> None:
        self.place += 1
        data = struct.pack("!BBHII", 0x80, 0x80 * marker, self.place, self.place, 1) + bytes(size)
        placed = Placed(self.place, data, 96, key)
        if kind == "video":
            self.history.put(placed, 0.0)
        self.audience.put(kind, placed)

    def send_all(self) -> None:
        while self.audience.fan_out(1):
            pass

    @staticmethod
    def places(ear: Ear) -> list[int]:
        return [struct.unpack_from("!H", one, 2)[0] for one in ear.rtp]


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_a_turn_ends_when_about_so_many_packets_have_gone_out(hall: Hall):
    ears = [hall.viewer(str(number)) for number in range(10)]
    hall.put(key=True)
    assert hall.audience.fan_out(4)
    assert sum(len(ear.rtp) for ear in ears) == 4
    hall.send_all()
    assert all(hall.places(ear) == [1] for ear in ears)


def test_packets_of_one_length_go_as_one_run_which_a_shorter_one_ends(hall: Hall):
    hall.viewer("a")
    for size in (500, 500, 300, 500, 400, 600):
        hall.put(size)
    hall.put(600, key=True)
    hall.audience.begin_at("a", 0)
    hall.send_all()
    hall.put(500)
    for _ in range(RUN_MAX):
        hall.put(500)
    hall.send_all()
    lengths = [[len(one) - 12 for one in run] for run in CountingFan.runs]
    assert lengths == [[600], [500] * RUN_MAX, [500]]


def test_sound_goes_before_the_picture_that_waits(hall: Hall):
    ear = hall.viewer("a")
    hall.put(key=True)
    for _ in range(3 * RUN_MAX):
        hall.put()
    hall.audience.fan_out(1)
    hall.put(60, kind="audio")
    hall.send_all()
    assert hall.places(ear).index(hall.place) <= RUN_MAX


def test_a_joiner_who_comes_while_a_run_is_half_sent_gets_all_from_the_groups_beginning_once(hall: Hall):
    for number in range(5):
        hall.viewer(str(number))
    hall.put(key=True)
    hall.put(400)
    hall.audience.fan_out(3)
    ear = hall.viewer("late")
    hall.audience.begin_at("late", hall.history.group)
    hall.put(400)
    while hall.audience.pace(100) or hall.audience.fan_out(1):
        pass
    hall.put(300)
    hall.send_all()
    assert hall.places(ear) == [1, 2, 3, 4]


def test_who_leaves_while_a_run_is_half_sent_costs_nobody_a_packet(hall: Hall):
    ears = {name: hall.viewer(name) for name in "abcdef"}
    hall.put(key=True)
    hall.audience.fan_out(3)
    hall.audience.leave("a")
    hall.put(400)
    hall.send_all()
    for name in "bcdef":
        assert hall.places(ears[name]) == [1, 2]


def test_what_waits_is_bounded_and_what_gave_way_is_counted(hall: Hall):
    for _ in range(OUTBOX_MAX + 3):
        hall.put()
    assert hall.audience.dropped == 3


def test_joiners_share_what_may_be_sent_in_one_interval(hall: Hall):
    hall.put(key=True)
    for _ in range(300):
        hall.put(400)
    hall.send_all()
    ears = [hall.viewer(str(number)) for number in range(4)]
    for number in range(4):
        hall.audience.begin_at(str(number), hall.history.group)
    before = [len(ear.rtp) for ear in ears]
    hall.audience.pace(64)
    assert sum(len(ear.rtp) for ear in ears) - sum(before) == 64
    while hall.audience.pace(64):
        pass
    assert all(hall.places(ear) == list(range(1, 302)) for ear in ears)


def test_a_frame_waits_for_its_end_when_there_is_time_and_goes_without_it_when_there_is_none(hall: Hall):
    ear = hall.viewer("a")
    hall.put(key=True, marker=False)
    hall.put(60, kind="audio")
    assert not hall.audience.fan_out(100, patient=True), "nothing more can go now"
    assert hall.places(ear) == [2], "sound does not wait for pictures"
    assert hall.audience.waits
    hall.put(400, marker=True)
    hall.audience.fan_out(100, patient=True)
    assert hall.places(ear) == [2, 1, 3]
    hall.put(marker=False)
    hall.audience.fan_out(100)
    assert hall.places(ear) == [2, 1, 3, 4]
    for _ in range(RUN_MAX):
        hall.put(marker=False)
    hall.audience.fan_out(100, patient=True)
    assert len(hall.places(ear)) == 4 + RUN_MAX, "as many as go at once need not wait for more"
