"""Many packets per system call: the same packet to many viewers, or many packets to one, each under its viewer's key.

Owns the buffers and the one call of sendmmsg(2), by cffi without a compiler. libsrtp encrypts in place where the kernel
reads, so nothing is done per viewer in Python. A run of packets of one length goes as one message that the kernel cuts
up (UDP_SEGMENT, udp(7)): a frame crosses the network stack once per viewer. Its packets lie one behind the other, each
with room for its trailer, so that it is one copy in and one piece for the kernel. Where there is no sendmmsg,
`available` says so and fan.py's plain fan does the same work packet by packet.
"""

import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, Final

import pylibsrtp
from cffi import FFI
from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp

from app.streams.relay.fan import Peer, Portion
from app.streams.relay.limits import RUN_MAX
from app.streams.relay.udp import Address, UdpPort

BATCH: Final = 64  # messages to a system call
_SLOTS: Final = 256  # packets that are encrypted for one: more at once would not stay in the cache
_SLOT_BYTES: Final = 1_536
_INT_BYTES: Final = 4
_NAME_BYTES: Final = 28  # sockaddr_in6, the longer of the two
_LAYOUTS_MAX: Final = 512  # of some KiB each
_SOL_UDP: Final = 17
_UDP_SEGMENT: Final = 103
_CONTROL: Final = struct.Struct("=QiiH")  # a struct cmsghdr and the length of a segment
_CONTROL_BYTES: Final = 24
_CANNOT_SEGMENT: Final = frozenset({errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT})
_FULL: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR})

_FFI: Final = FFI()
_FFI.cdef(
    """
    struct iovec { void *base; size_t size; };
    struct msghdr {
        void *name; unsigned int name_size; struct iovec *parts; size_t parts_count;
        void *control; size_t control_size; int flags;
    };
    struct mmsghdr { struct msghdr header; unsigned int sent; };
    int sendmmsg(int descriptor, struct mmsghdr *messages, unsigned int count, int flags);
    """
)


def _find_sendmmsg() -> Callable[..., int] | None:
    """The call, where the layouts above hold: Linux and 64 bits."""
    if sys.platform != "linux" or _FFI.sizeof("void *") != 8:
        return None
    try:
        found: Callable[..., int] = _FFI.dlopen(None).sendmmsg
    except AttributeError:
        return None
    return found


_sendmmsg: Final = _find_sendmmsg()
_protect: Final = srtp.srtp_protect  # found once: a library's attributes are looked up slowly
_copy: Final = srtp_ffi.memmove


def available() -> bool:
    """Whether this machine can send many packets at once."""
    return _sendmmsg is not None


class Line:
    """One session's end of the port: its sending keys, and where its packets go."""

    __slots__ = ("_keys", "address", "key", "name", "name_size", "overhead")

    def __init__(self, keys: pylibsrtp.Session, overhead: int, address: Address) -> None:
        """`overhead`: by how many bytes a packet grows under these keys."""
        self._keys = keys  # `key` is a pointer into it
        self.overhead = overhead
        self.key = keys._srtp[0]  # noqa: SLF001
        self.name = _FFI.new("char[]", _NAME_BYTES)
        self.name_size = 0
        self.address = address
        self.move(address)

    def move(self, address: Address) -> None:
        """From here on its packets go to `address`, in all batches that it is in."""
        self.address = address
        host, port = address[:2]
        if ":" in host:
            tail = struct.pack("!HI", port, 0) + socket.inet_pton(socket.AF_INET6, host)
            packed = struct.pack("=H", socket.AF_INET6) + tail + struct.pack("=I", *address[3:] or (0,))
        else:
            packed = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
        self.name_size = len(packed)
        _FFI.memmove(self.name, packed, len(packed))


class Chunk:
    """Up to BATCH lines that get the same packets. They encrypt with the same overhead."""

    __slots__ = ("_keys", "_runs", "_singles", "lines")

    def __init__(self, batch: "Batch") -> None:
        self.lines: list[Line] = []
        self._keys: dict[int, list[Any]] = {}  # by the length of a run, each line's so many times
        self._singles, self._runs = _FFI.new("struct mmsghdr[]", BATCH), _FFI.new("struct mmsghdr[]", BATCH)
        for place in range(BATCH):
            for messages in (self._singles, self._runs):
                header = messages[place].header
                header.parts, header.parts_count = batch.parts + place, 1
            header.control, header.control_size = batch.control, _CONTROL_BYTES

    def put(self, place: int, line: Line) -> None:
        """Sets or appends a line."""
        self.lines[place : place + 1] = [line]
        for run, keys in self._keys.items():
            keys[place * run : (place + 1) * run] = [line.key] * run
        for messages in (self._singles, self._runs):
            header = messages[place].header
            header.name, header.name_size = line.name, line.name_size

    def pop(self) -> Line:
        """Takes the last line out."""
        line = self.lines.pop()
        for run, keys in self._keys.items():
            del keys[len(self.lines) * run :]
        return line

    def messages(self, run: int) -> Any:
        """One to each line, of so many packets."""
        return self._singles if run == 1 else self._runs

    def keys(self, run: int) -> list[Any]:
        """Under which each packet of those messages is encrypted."""
        keys = self._keys.get(run)
        if keys is None:
            keys = self._keys[run] = [line.key for line in self.lines for _ in range(run)]
        return keys


class _Layout:
    """Where runs lie in the slab, of packets of `size` bytes, the last one of `last`, that all grow by `overhead`."""

    __slots__ = ("at_once", "ends", "lengths", "longest", "parts", "places", "slots", "stride")

    def __init__(self, slab: Any, size: int, last: int, run: int, overhead: int) -> None:
        self.longest, self.ends = run, range(run, BATCH * run + 1, run)  # packets up to and with each message
        self.stride = size + overhead
        assert self.stride <= _SLOT_BYTES - 64
        apart = _SLOT_BYTES if run == 1 else -(-run * self.stride // 64) * 64  # bytes from one line's run to the next's
        self.at_once = BATCH // -(-BATCH * run // _SLOTS)
        self.places = [slab + line * apart for line in range(self.at_once)]
        self.slots = [place + number * self.stride for place in self.places for number in range(run)]
        self.lengths = struct.pack(f"{self.at_once * run}i", *([size] * (run - 1) + [last]) * self.at_once)
        base, whole = int(_FFI.cast("uintptr_t", slab)), (run - 1) * self.stride + last + overhead
        parts = [(base + place % self.at_once * apart, whole) for place in range(BATCH)]
        self.parts = struct.pack(f"{2 * BATCH}Q", *(one for part in parts for one in part))


class _Portion:
    """Packets of any length as several runs to one line, and the messages that send them: the next joiner is sent the
    same ones.
    """

    __slots__ = ("_kept", "blob", "ends", "lengths", "longest", "messages", "name_size", "slots")

    def __init__(self, slab: Any, name: Any, packets: Sequence[bytes], overhead: int) -> None:
        base, at, start = int(_FFI.cast("uintptr_t", slab)), 0, 0
        self.slots: list[Any] = []
        self.ends: list[int] = []
        pieces, parts, controls = [], [], []
        while start < len(packets):
            end, stride = _end_of_run(packets, start), len(packets[start]) + overhead
            self.slots += [slab + at + number * stride for number in range(end - start)]
            run = b"".join([packet.ljust(stride, b"\0") for packet in packets[start:end]])
            pieces.append(run.ljust(-(-len(run) // 64) * 64, b"\0"))
            parts += [base + at, (end - start - 1) * stride + len(packets[end - 1]) + overhead]
            controls.append(_CONTROL.pack(18, _SOL_UDP, _UDP_SEGMENT, stride).ljust(_CONTROL_BYTES, b"\0"))
            at += len(pieces[-1])
            self.ends.append(end)
            start = end
        self.blob = b"".join(pieces)
        self.lengths = struct.pack(f"{len(packets)}i", *map(len, packets))
        self.messages = _FFI.new("struct mmsghdr[]", len(self.ends))
        iovecs = _FFI.new("struct iovec[]", len(self.ends))
        _FFI.memmove(iovecs, struct.pack(f"{len(parts)}Q", *parts), len(parts) * 8)
        control = _FFI.new("char[]", b"".join(controls))
        self._kept = iovecs, control, name  # the messages point at them
        self.longest, self.name_size = 1, 0
        for number, end in enumerate(self.ends):
            size = end - (self.ends[number - 1] if number else 0)
            header = self.messages[number].header
            header.name, header.parts, header.parts_count = name, iovecs + number, 1
            if size > 1:
                header.control, header.control_size = control + number * _CONTROL_BYTES, _CONTROL_BYTES
            self.longest = max(self.longest, size)

    def address(self, name_size: int) -> None:
        """Makes the messages' names as long as that."""
        if self.name_size != name_size:
            self.name_size = name_size
            for number in range(len(self.ends)):
                self.messages[number].header.name_size = name_size


def _end_of_run(packets: Sequence[bytes], start: int) -> int:
    """Where the run ends that begins at `start`: all as long as its first, the last perhaps shorter."""
    end, size = start + 1, len(packets[start])
    while end < len(packets) and end - start < RUN_MAX and len(packets[end - 1]) == size >= len(packets[end]):
        end += 1
    return end


class Batch:
    """The buffers of one port. Every call leaves them free again."""

    def __init__(self, port: UdpPort) -> None:
        self._port = port
        self._slab = _FFI.new("char[]", _SLOTS * _SLOT_BYTES)
        self.parts = _FFI.new("struct iovec[]", BATCH)
        self.control = _FFI.new("char[]", _CONTROL_BYTES)
        self.segments = True  # until the kernel or the device says that it cannot
        self._segmented = False  # whether it has been seen to
        self._lengths = _FFI.new("int[]", _SLOTS)  # of the packets; libsrtp makes them those of the encrypted ones
        first = int(_FFI.cast("uintptr_t", self._lengths))
        self._length_at = [srtp_ffi.cast("int *", first + place * _INT_BYTES) for place in range(_SLOTS)]
        self._layouts: dict[tuple[int, int, int, int], _Layout] = {}
        self._burst = Chunk(self)
        self._name = _FFI.new("char[]", _NAME_BYTES)  # of the line that a portion goes to

    def fan(self, packets: Sequence[bytes], chunk: Chunk) -> None:
        """A run of packets to all lines of a chunk. All are as long as the first, but for the last, which may be
        shorter: so they are one message to each, which the kernel cuts into packets again.
        """
        if len(packets) > 1 and not self.segments:
            for packet in packets:
                self.fan((packet,), chunk)
            return
        run = len(packets)
        layout = self._layout(len(packets[0]), len(packets[-1]), run, chunk.lines[0].overhead)
        if run > 1:
            _copy(self.control, _CONTROL.pack(18, _SOL_UDP, _UDP_SEGMENT, layout.stride), 18)
        _copy(self.parts, layout.parts, len(layout.parts))
        joined = b"".join([packet.ljust(layout.stride, b"\0") for packet in packets])
        messages, keys, at_once = chunk.messages(run), chunk.keys(run), layout.at_once
        for start in range(0, len(chunk.lines), at_once):
            count = min(at_once, len(chunk.lines) - start)
            _copy(self._lengths, layout.lengths, count * run * _INT_BYTES)
            deque(map(_copy, layout.places[:count], repeat(joined), repeat(len(joined))), maxlen=0)
            statuses = list(map(_protect, keys[start * run : (start + count) * run], layout.slots, self._length_at))
            self._send(messages + start, chunk.lines[start : start + count], layout, statuses)

    def burst(self, line: Line, packets: Sequence[bytes]) -> None:
        """Many packets of any length to one line, in order and in runs. What was made of a Portion is kept with it."""
        if isinstance(packets, Portion) and self.segments and 0 < len(packets) <= BATCH:
            self._send_portion(line, packets)
            return
        self._burst.put(0, line)
        start = 0
        while start < len(packets):
            end = _end_of_run(packets, start)
            self.fan(packets[start:end], self._burst)
            start = end

    def _send_portion(self, line: Line, packets: Portion) -> None:
        made = packets.made.get((self, line.overhead))
        if made is None:
            made = packets.made[self, line.overhead] = _Portion(self._slab, self._name, packets, line.overhead)
        made.address(line.name_size)
        _copy(self._name, line.name, line.name_size)
        _copy(self._slab, made.blob, len(made.blob))
        _copy(self._lengths, made.lengths, len(made.lengths))
        statuses = list(map(_protect, repeat(line.key), made.slots, self._length_at))
        self._send(made.messages, [line] * len(made.ends), made, statuses)

    def _layout(self, size: int, last: int, run: int, overhead: int) -> _Layout:
        key = size, last, run, overhead
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _LAYOUTS_MAX:
                self._layouts.clear()
            layout = self._layouts[key] = _Layout(self._slab, *key)
        return layout

    def _send(self, messages: Any, lines: list[Line], laid: _Layout | _Portion, statuses: list[int]) -> None:
        """Sends what was protected, a message to each line; the port's queue takes what the socket has no room for."""
        count, done, ends = len(lines), 0, laid.ends
        if any(statuses) or self._port.waits:
            self._send_singly(lines, laid, statuses, 0)
            return
        assert _sendmmsg is not None
        while done < count:
            sent = _sendmmsg(self._port.descriptor, messages + done, count - done, 0)
            if sent > 0:
                self._port.sent += ends[done + sent - 1] - (ends[done - 1] if done else 0)
                done += sent
                self._segmented |= laid.longest > 1
                continue
            error = _FFI.errno
            # A kernel that does not know of it says EINVAL, and so does one whose way to one viewer is too narrow.
            if laid.longest > 1 and (error in _CANNOT_SEGMENT or (error == errno.EINVAL and not self._segmented)):
                self.segments = False
            if error in _FULL or laid.longest > 1:
                self._send_singly(lines, laid, statuses, done)
                return
            done += 1  # its network is away; consent will tell when it is for good
            self._port.dropped += 1

    def _send_singly(self, lines: list[Line], laid: _Layout | _Portion, statuses: list[int], done: int) -> None:
        """The slow way, but for the first `done` messages: what libsrtp refused (too old for its window) is left out,
        what the kernel refused waits.
        """
        first = laid.ends[done - 1] if done else 0
        for line, end in zip(lines[done:], laid.ends[done:], strict=False):
            for place in range(first, end):
                if statuses[place]:
                    self._port.unprotected += 1
                    continue
                packet = bytes(_FFI.buffer(laid.slots[place], self._lengths[place]))
                self._port.send(packet, line.address)
            first = end


class BatchFan:
    """Packets for BATCH viewers at a time. Whoever leaves is replaced by the last, so chunks stay full."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._chunks: dict[int, list[Chunk]] = {}  # by overhead
        self._places: dict[Line, int] = {}
        self.octets = 0

    def __len__(self) -> int:
        return len(self._places)

    def add(self, peer: Peer) -> None:
        """See Fan. The peer has shaken hands."""
        line: Line = peer.line
        if line in self._places:
            return
        chunks = self._chunks.setdefault(line.overhead, [])
        if not chunks or len(chunks[-1].lines) == BATCH:
            chunks.append(Chunk(self._batch))
        self._places[line] = (len(chunks) - 1) * BATCH + len(chunks[-1].lines)
        chunks[-1].put(len(chunks[-1].lines), line)

    def discard(self, peer: Peer) -> None:
        """See Fan."""
        line: Line | None = peer.line
        place = None if line is None else self._places.pop(line, None)
        if line is None or place is None:
            return
        chunks = self._chunks[line.overhead]
        last = chunks[-1].pop()
        if last is not line:
            self._places[last] = place
            chunks[place // BATCH].put(place % BATCH, last)
        if not chunks[-1].lines:
            chunks.pop()

    def send(self, packets: Sequence[bytes]) -> Iterator[int]:
        """See Fan. A portion is a chunk."""
        for chunks in list(self._chunks.values()):  # between portions somebody may come with keys unlike all others'
            for chunk in chunks:
                self._batch.fan(packets, chunk)
                yield len(chunk.lines) * len(packets)
