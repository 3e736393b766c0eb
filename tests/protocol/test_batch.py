"""Many packets per system call: over real sockets, under real keys, beside the plain way that needs no sendmmsg."""

import errno
import os
import socket
import struct

import pylibsrtp
import pytest

from app.streams.relay import batch
from app.streams.relay.batch import BATCH, Batch, BatchFan, Line
from app.streams.relay.fan import PlainFan, Portion
from app.streams.relay.limits import RUN_MAX
from app.streams.relay.relay import Relay
from app.streams.relay.udp import UdpPort
from tests.waiting import eventually_true

PROFILES = {
    pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM: (28, 16),
    pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80: (30, 10),
}
GCM, CM = PROFILES


def packet(sequence: int, size: int = 1_000) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, sequence, 3_000, 7) + bytes(size - 12)


class Far:
    """A viewer at the far end: a socket, its keys, and as a peer what a session is to a fan."""

    def __init__(self, port: UdpPort, profile: int = GCM) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        size, overhead = PROFILES[profile]
        key = os.urandom(size)
        sending, receiving = pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND
        self._out = pylibsrtp.Session(pylibsrtp.Policy(key, sending, srtp_profile=profile))
        self._in = pylibsrtp.Session(pylibsrtp.Policy(key, receiving, srtp_profile=profile))
        self._port = port
        self.line = Line(self._out, overhead, self.socket.getsockname())

    def send_rtp(self, plain: bytes) -> None:
        self._port.send(self._out.protect(plain), self.line.address)

    def heard(self) -> list[bytes]:
        """All that has come since it was asked last, decrypted."""
        packets = []
        while True:
            try:
                packets.append(self._in.unprotect(self.socket.recv(2_048)))
            except BlockingIOError:
                return packets


@pytest.fixture
async def port():
    opened = UdpPort(lambda *_: None)
    opened.open("127.0.0.1", 0)
    yield opened
    opened.close()


def send(fan, *packets: bytes) -> int:
    return sum(fan.send(packets))


@pytest.fixture(params=["batch", "plain"])
def fan(request, port: UdpPort):
    return BatchFan(Batch(port)) if request.param == "batch" else PlainFan()


async def test_everybody_gets_every_packet_under_keys_of_their_own(port: UdpPort, fan):
    viewers = [Far(port, CM if number % 3 else GCM) for number in range(BATCH + 7)]
    for viewer in viewers:
        fan.add(viewer)
    runs = [(packet(1),), tuple(packet(number) for number in (2, 3, 4)), (packet(5), packet(6, 99)), (packet(7, 60),)]
    runs.append(tuple(packet(number) for number in range(8, 8 + RUN_MAX)))  # more than are encrypted for one call
    for run in runs:
        assert send(fan, *run) == len(run) * len(viewers)
    expected = [one for run in runs for one in run]
    for viewer in viewers:
        assert viewer.heard() == expected
    assert (port.sent, port.dropped) == (len(expected) * len(viewers), 0)


async def test_who_leaves_gets_nothing_more_and_everybody_else_does(port: UdpPort, fan):
    viewers = [Far(port) for _ in range(2 * BATCH + 1)]
    for viewer in viewers:
        fan.add(viewer)
        fan.add(viewer)  # twice is once
    send(fan, packet(1), packet(2))  # so that what is laid out for runs has to follow, too
    gone = [viewers[0], viewers[BATCH], viewers[-1], viewers[5]]
    for viewer in gone:
        fan.discard(viewer)
        fan.discard(viewer)
    assert len(fan) == len(viewers) - len(gone)
    late = Far(port)
    fan.add(late)
    send(fan, packet(3), packet(4))
    send(fan, packet(5))
    for viewer in viewers:
        assert len(viewer.heard()) == (2 if viewer in gone else 5)
    assert late.heard() == [packet(3), packet(4), packet(5)]


async def test_who_comes_while_a_run_is_half_sent_costs_nobody_the_other_half(port: UdpPort, fan):
    """The first viewer with other keys than all before ended the run for everybody behind."""
    viewers = [Far(port) for _ in range(BATCH + 1)]
    for viewer in viewers:
        fan.add(viewer)
    portions = fan.send([packet(1)])
    next(portions)
    late = Far(port, CM)
    fan.add(late)
    for _ in portions:
        pass
    assert [viewer.heard() for viewer in viewers] == [[packet(1)]] * len(viewers)
    send(fan, packet(2))
    assert packet(2) in late.heard()


async def test_a_viewer_who_moved_gets_the_next_packet_at_the_new_place(port: UdpPort):
    fan, moved = BatchFan(Batch(port)), Far(port)
    for viewer in (Far(port), moved, Far(port)):
        fan.add(viewer)
    send(fan, packet(1))
    assert len(moved.heard()) == 1
    moved.socket.close()
    moved.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    moved.socket.bind(("127.0.0.1", 0))
    moved.socket.setblocking(False)
    moved.line.move(moved.socket.getsockname())
    send(fan, packet(2))
    assert moved.heard() == [packet(2)]


async def test_a_burst_comes_in_order_whatever_the_sizes(port: UdpPort):
    viewer = Far(port)
    packets = [packet(number, 100 + number * 7) for number in range(1, 150)]
    Batch(port).burst(viewer.line, packets)
    Batch(port).burst(viewer.line, packets[:1][:0])
    assert viewer.heard() == packets


async def test_a_portion_that_many_are_sent_comes_to_each_in_order_under_their_own_keys(port: UdpPort):
    batch_of_all, viewers = Batch(port), [Far(port, CM if number % 2 else GCM) for number in range(5)]
    sizes = [700] * 11 + [300, 900, 1_200, 1_200, 80, 90] + [640] * 3
    portion = Portion(packet(number, size) for number, size in enumerate(sizes, 1))
    for viewer in viewers:
        batch_of_all.burst(viewer.line, portion)
    batch_of_all.burst(viewers[0].line, Portion([packet(50)]))
    batch_of_all.burst(viewers[0].line, Portion([]))
    viewers[1]._out.protect(packet(20_000))
    batch_of_all.burst(viewers[1].line, portion)  # too old by now: left out
    heard = [viewer.heard() for viewer in viewers]
    assert heard == [[*portion, packet(50)], *[portion] * 4]
    assert port.sent == 5 * len(sizes) + 1
    assert port.unprotected == len(sizes)


@pytest.mark.parametrize(("error", "segments"), [(errno.EAGAIN, True), (errno.EIO, False)])
async def test_what_of_a_portion_the_kernel_does_not_take_is_sent_behind_it(port, monkeypatch, error: int, segments):
    batch_of_all, viewer = Batch(port), Far(port)
    portion = Portion(packet(number, 500 + number // 3) for number in range(1, 25))
    monkeypatch.setattr(batch, "_sendmmsg", Refusing(error, 2))
    batch_of_all.burst(viewer.line, portion)
    monkeypatch.undo()
    assert batch_of_all.segments is segments
    again = Portion(packet(number) for number in range(30, 40))
    batch_of_all.burst(viewer.line, again)
    assert viewer.heard() == [*portion, *again]


class Refusing:
    """sendmmsg as of a kernel that takes only so many messages before it says `error`."""

    def __init__(self, error: int, takes: int) -> None:
        self.error = error
        self.takes = takes
        self.inner = batch._sendmmsg

    def __call__(self, descriptor, messages, count, flags) -> int:
        if not self.takes:
            # libffi keeps errno where it found it: a call that fails sets it as the kernel would.
            batch._FFI.errno = self.error
            return -1
        count = min(count, self.takes)
        self.takes -= count
        return self.inner(descriptor, messages, count, flags)


@pytest.mark.parametrize("run", [1, 4])
async def test_a_full_socket_buffer_makes_packets_wait_and_loses_none(port: UdpPort, monkeypatch, run: int):
    """What did not fit had to be dropped, or everything else had to wait for it."""
    fan, viewers = BatchFan(Batch(port)), [Far(port) for _ in range(BATCH)]
    for viewer in viewers:
        fan.add(viewer)
    full = Refusing(errno.EAGAIN, 3)
    monkeypatch.setattr(batch, "_sendmmsg", full)
    real, port._socket = port._socket, Blocked(port._socket)
    packets = [packet(number) for number in range(1, 1 + 2 * run)]
    send(fan, *packets[:run])
    assert port.waits
    send(fan, *packets[run:])  # behind the others
    port._socket = real
    heard = {viewer: [] for viewer in viewers}

    def all_there() -> bool:
        for viewer in viewers:
            heard[viewer] += viewer.heard()
        return all(heard[viewer] == packets for viewer in viewers)

    await eventually_true(all_there, what="every packet, in order")
    assert not port.waits
    assert port.dropped == 0


class Blocked:
    """A socket whose buffer is full."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def sendto(self, *_) -> int:
        raise BlockingIOError

    def fileno(self) -> int:
        return self._inner.fileno()


async def test_one_viewer_whose_way_is_too_narrow_does_not_cost_the_others_their_runs(port: UdpPort, monkeypatch):
    fan, viewers = BatchFan(Batch(port)), [Far(port) for _ in range(3)]
    for viewer in viewers:
        fan.add(viewer)
    send(fan, packet(1), packet(2))
    monkeypatch.setattr(batch, "_sendmmsg", Refusing(errno.EINVAL, 1))
    send(fan, packet(3), packet(4))
    assert fan._batch.segments
    for viewer in viewers:
        assert viewer.heard() == [packet(number) for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("error", [errno.EIO, errno.EINVAL])
async def test_a_device_that_cannot_cut_messages_up_is_sent_packets(port: UdpPort, monkeypatch, error: int):
    fan, viewers = BatchFan(Batch(port)), [Far(port) for _ in range(3)]
    for viewer in viewers:
        fan.add(viewer)
    monkeypatch.setattr(batch, "_sendmmsg", Refusing(error, 0))
    send(fan, packet(1), packet(2))
    monkeypatch.undo()
    assert not fan._batch.segments
    send(fan, packet(3), packet(4))
    for viewer in viewers:
        assert viewer.heard() == [packet(number) for number in (1, 2, 3, 4)]


async def test_an_address_that_cannot_be_reached_costs_its_own_packets_alone(port: UdpPort):
    fan, viewers = BatchFan(Batch(port)), [Far(port) for _ in range(3)]
    for viewer in viewers:
        fan.add(viewer)
    viewers[1].line.move(("255.255.255.255", 9))  # EACCES: no broadcasting
    send(fan, packet(1))
    send(fan, packet(2), packet(3))
    assert [len(viewer.heard()) for viewer in viewers] == [3, 0, 3]
    assert port.dropped == 3


async def test_a_packet_too_old_for_a_viewers_keys_is_left_out_for_that_viewer(port: UdpPort):
    fan, viewers = BatchFan(Batch(port)), [Far(port) for _ in range(3)]
    for viewer in viewers:
        fan.add(viewer)
    viewers[1]._out.protect(packet(20_000))
    send(fan, packet(1))
    assert [len(viewer.heard()) for viewer in viewers] == [1, 0, 1]
    assert port.unprotected == 1


@pytest.mark.parametrize("name", ["darwin", "freebsd14"])
def test_where_there_is_no_sendmmsg_it_is_not_looked_for(monkeypatch, name: str):
    monkeypatch.setattr("sys.platform", name)
    assert batch._find_sendmmsg() is None


async def test_a_relay_without_sendmmsg_sends_plainly(monkeypatch):
    assert isinstance(Relay(lambda *_: None)._new_fan(), BatchFan)
    monkeypatch.setattr(batch, "_sendmmsg", None)
    assert isinstance(Relay(lambda *_: None)._new_fan(), PlainFan)
