"""Many packets per system call: the same packet to many viewers, or many packets to one, each under its viewer's key.

Owns the buffers and the one call of sendmmsg(2), by cffi without a compiler. libsrtp encrypts in place where the kernel
reads, and writes the final length where the kernel looks for it, so nothing is done per viewer in Python. Where there
is no sendmmsg, `available` says so and the plain fan (fan.py) does the same work packet by packet.
"""

import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any, Final

import pylibsrtp
from cffi import FFI
from pylibsrtp._binding import ffi as srtp_ffi
from pylibsrtp._binding import lib as srtp

from app.streams.relay.fan import Peer
from app.streams.relay.udp import Address, UdpPort

BATCH: Final = 64
_SLOT_BYTES: Final = 1_536
_IOVEC_BYTES: Final = 16
_NAME_BYTES: Final = 28  # sockaddr_in6, the longer of the two
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
    """The call, where the layouts above hold: Linux, 64 bits, little-endian (lengths are written as ints)."""
    if sys.platform != "linux" or sys.byteorder != "little" or _FFI.sizeof("void *") != 8:
        return None
    try:
        found: Callable[..., int] = _FFI.dlopen(None).sendmmsg
    except AttributeError:
        return None
    return found


_sendmmsg: Final = _find_sendmmsg()


def available() -> bool:
    """Whether this machine can send many packets at once."""
    return _sendmmsg is not None


class Line:
    """One session's end of the port: its sending keys, and where its packets go."""

    __slots__ = ("_keys", "address", "key", "name", "name_size")

    def __init__(self, keys: pylibsrtp.Session, address: Address) -> None:
        self._keys = keys  # `key` is a pointer into it
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
            host, _, scope = host.partition("%")
            tail = struct.pack("!HI", port, 0) + socket.inet_pton(socket.AF_INET6, host)
            packed = (
                struct.pack("=H", socket.AF_INET6)
                + tail
                + struct.pack("=I", socket.if_nametoindex(scope) if scope else 0)
            )
        else:
            packed = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
        self.name_size = len(packed)
        _FFI.memmove(self.name, packed, len(packed))


class Chunk:
    """Up to BATCH lines that are sent to with one call. `messages` names them; the packet's place is the batch's."""

    __slots__ = ("keys", "lines", "messages")

    def __init__(self, batch: "Batch") -> None:
        self.lines: list[Line] = []
        self.keys: list[Any] = []
        self.messages = _FFI.new("struct mmsghdr[]", BATCH)
        for place in range(BATCH):
            header = self.messages[place].header
            header.parts, header.parts_count = batch.parts + place, 1

    def put(self, place: int, line: Line) -> None:
        """Sets or appends a line."""
        if place == len(self.lines):
            self.lines.append(line)
            self.keys.append(line.key)
        else:
            self.lines[place], self.keys[place] = line, line.key
        header = self.messages[place].header
        header.name, header.name_size = line.name, line.name_size

    def pop(self) -> Line:
        """Takes the last line out."""
        self.keys.pop()
        return self.lines.pop()


class Batch:
    """The buffers of one port. Every call leaves them free again."""

    def __init__(self, port: UdpPort) -> None:
        self._port = port
        self._slab = _FFI.new("char[]", BATCH * _SLOT_BYTES)
        self.parts = _FFI.new("struct iovec[]", BATCH)
        self._slots = [self._slab + place * _SLOT_BYTES for place in range(BATCH)]
        first = int(_FFI.cast("uintptr_t", self.parts))
        # Where the kernel reads a packet's length libsrtp writes it: the lower half of the iovec's size.
        self._sizes = [srtp_ffi.cast("int *", first + place * _IOVEC_BYTES + 8) for place in range(BATCH)]
        self._bases = [int(_FFI.cast("uintptr_t", slot)) for slot in self._slots]
        self._plans: dict[int, bytes] = {}
        self._burst = Chunk(self)

    def fan(self, packet: bytes, chunk: Chunk) -> None:
        """One packet to all lines of a chunk."""
        count, size = len(chunk.lines), len(packet)
        _FFI.memmove(self.parts, self._plan(size), count * _IOVEC_BYTES)
        deque(map(_FFI.memmove, self._slots[:count], repeat(packet), repeat(size)), maxlen=0)
        self._send(chunk, list(map(srtp.srtp_protect, chunk.keys, self._slots, self._sizes)))

    def burst(self, line: Line, packets: Sequence[bytes]) -> None:
        """Many packets to one line, in order."""
        for start in range(0, len(packets), BATCH):
            some = packets[start : start + BATCH]
            chunk = self._burst
            while len(chunk.lines) > len(some):
                chunk.pop()
            for place, packet in enumerate(some):
                chunk.put(place, line)
                self.parts[place].base, self.parts[place].size = self._slots[place], len(packet)
                _FFI.memmove(self._slots[place], packet, len(packet))
            self._send(chunk, list(map(srtp.srtp_protect, chunk.keys, self._slots, self._sizes)))

    def _plan(self, size: int) -> bytes:
        """The iovecs of packets of `size` bytes, ready to be copied."""
        plan = self._plans.get(size)
        if plan is None:
            plan = struct.pack(f"{2 * BATCH}Q", *chain.from_iterable(zip(self._bases, repeat(size), strict=False)))
            self._plans[size] = plan
        return plan

    def _send(self, chunk: Chunk, statuses: list[int]) -> None:
        """Sends what was protected; the socket's queue takes what it has no room for."""
        count = len(chunk.lines)
        if any(statuses) or self._port.waits:
            self._send_singly(chunk, statuses, 0)
            return
        assert _sendmmsg is not None
        done = 0
        while done < count:
            sent = _sendmmsg(self._port.descriptor, chunk.messages + done, count - done, 0)
            if sent > 0:
                done += sent
                self._port.sent += sent
            elif _FFI.errno in _FULL:
                self._send_singly(chunk, statuses, done)
                return
            else:
                done += 1  # its network is away; consent will tell when it is for good
                self._port.dropped += 1

    def _send_singly(self, chunk: Chunk, statuses: list[int], done: int) -> None:
        """The slow way: what libsrtp refused (too old for its window) is left out, what the kernel refused waits."""
        for place in range(done, len(chunk.lines)):
            if statuses[place]:
                self._port.unprotected += 1
                continue
            packet = bytes(_FFI.buffer(self._slots[place], self.parts[place].size))
            self._port.send(packet, chunk.lines[place].address)


class BatchFan:
    """A packet for BATCH viewers at a time. Whoever leaves is replaced by the last, so chunks stay full."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._chunks: list[Chunk] = []
        self._places: dict[Line, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, peer: Peer) -> None:
        """See Fan. The peer has shaken hands."""
        line = peer.line
        assert line is not None
        if line in self._places:
            return
        place = self._places[line] = len(self._places)
        if place % BATCH == 0:
            self._chunks.append(Chunk(self._batch))
        self._chunks[-1].put(place % BATCH, line)

    def discard(self, peer: Peer) -> None:
        """See Fan."""
        place = self._places.pop(peer.line, None) if peer.line is not None else None
        if place is None:
            return
        last = self._chunks[-1].pop()
        if last is not peer.line:
            self._places[last] = place
            self._chunks[place // BATCH].put(place % BATCH, last)
        if not self._chunks[-1].lines:
            self._chunks.pop()

    def send(self, packet: bytes) -> None:
        """See Fan."""
        for chunk in self._chunks:
            self._batch.fan(packet, chunk)
