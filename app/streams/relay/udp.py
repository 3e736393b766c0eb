"""The relay's one UDP port: reads datagrams in bounded turns, and sends them without ever losing one silently.

Owns the socket and the queue of what it has no room for. It looks into no datagram. batch.py sends past `send`, many
packets at a time, for as long as nothing `waits` here.
"""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from app.streams.relay.limits import DATAGRAM_BYTES_MAX, PACKETS_PER_TURN_MAX, SEND_QUEUE_MAX

_BUFFER_BYTES: Final = 4 * 1024 * 1024
_GONE: Final = frozenset(
    {
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL),
        *(errno.EPERM, errno.EACCES, errno.EINVAL, errno.EMSGSIZE, errno.ECONNREFUSED),
    }
)

# As the kernel tells it: host and port; where IPv6 is spoken a flow and a scope as well, and a host of IPv4 is then one
# like ::ffff:192.0.2.1.
Address = tuple[str, int] | tuple[str, int, int, int]


class UdpPort:
    """Open from open() to close(); `receive` is called for each datagram."""

    def __init__(self, receive: Callable[[bytes, Address], None]) -> None:
        self._receive = receive
        self._turned: Callable[[], None] = lambda: None
        self._queue: deque[tuple[bytes, Address]] = deque()
        self._socket: socket.socket | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._watched = False  # by the loop, for what comes
        self.received = self.sent = self.dropped = self.unprotected = 0

    def when_turned(self, act: Callable[[], None]) -> None:
        """Has `act` called after each turn of reading and whenever the queue has become empty: then there is time and
        room to send.
        """
        self._turned = act

    @property
    def descriptor(self) -> int:
        """The socket's; -1 once it is closed."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def waits(self) -> bool:
        """Whether datagrams wait for room in the socket's buffer. Whoever can wait should: the queue has an end."""
        return bool(self._queue)

    def open(self, host: str, port: int) -> int:
        """Binds, and returns the port (useful when 0 was asked for). OSError when it is taken. `::` is every address of
        this machine, of IPv4 too.
        """
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if ":" in host:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)
        self._watched = True
        return int(sock.getsockname()[1])

    def close(self) -> None:
        """Lets go of the port; what is queued is dropped."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket.fileno())
            loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._queue.clear()

    def rest(self, seconds: float) -> None:
        """Leaves what comes in the socket for so long: to wake for each datagram of several that come together costs
        more than to read them.
        """
        if self._socket is None or self._resting is not None:
            return
        loop = asyncio.get_running_loop()
        if self._watched:
            loop.remove_reader(self._socket.fileno())
            self._watched = False
        self._resting = loop.call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._resting = None
        try:
            if self._read():
                self._turned()  # which may have it rest again
        finally:
            if self._socket is not None and self._resting is None:
                asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)
                self._watched = True

    def _readable(self) -> None:
        self._read()
        self._turned()

    def _read(self) -> int:
        """Reads a turn; how many datagrams came."""
        for count in range(PACKETS_PER_TURN_MAX):
            if self._socket is None:
                return count
            try:
                data, address = self._socket.recvfrom(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return count
            except OSError as error:  # an ICMP answer to something sent before
                if error.errno not in _GONE:
                    raise
                continue
            self.received += 1
            if data:
                self._receive(data, address)
        return PACKETS_PER_TURN_MAX

    def send(self, data: bytes, address: Address) -> None:
        """Sends a datagram, in order behind what waits already. A full queue drops it, and counts that."""
        if self._socket is None:
            return
        if not self._queue and self._sent(data, address):
            return
        if len(self._queue) >= SEND_QUEUE_MAX:
            self.dropped += 1
            return
        if not self._queue:
            asyncio.get_running_loop().add_writer(self._socket.fileno(), self._writable)
        self._queue.append((data, address))

    def _sent(self, data: bytes, address: Address) -> bool:
        assert self._socket is not None
        try:
            self._socket.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return False
            if error.errno not in _GONE:
                raise
            self.dropped += 1  # its network is away; consent will tell when it is for good
            return True
        self.sent += 1
        return True

    def _writable(self) -> None:
        while self._queue and self._sent(*self._queue[0]):
            self._queue.popleft()
        if not self._queue and self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
            self._turned()
