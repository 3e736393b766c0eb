"""The smallest WebRTC client that a server takes for one: a UDP socket, binding requests, DTLS, and its SRTP keys.

Owns the client's half of ICE against a lite agent. What it is sent after the handshake is for bench/relay/loops.c.
"""

import asyncio
import re
import secrets
import socket

from aioice import stun

from app.streams.relay.dtls import Certificate, Handshake
from app.streams.relay.repair import Reception
from app.streams.relay.rtcp import report_reception

RECEIVE_BYTES = 1 << 21
ASK_AGAIN_S = 0.3
CONNECT_GUARD_S = 20
CODECS = {
    "audio": ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"],
    "video": [
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 goog-remb",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
    ],
}
FORMATS = {"audio": "111", "video": "96 97"}


def open_socket(source: str) -> socket.socket:
    """A UDP socket at an address of this machine."""
    made = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    made.bind((source, 0))
    return made


class Peer:
    """connect() it to what an answer (or Janus's offer) says."""

    def __init__(self, certificate: Certificate, source: str) -> None:
        self.certificate = certificate
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self.socket = open_socket(source)
        self.handshake: Handshake | None = None
        self.session = ""
        self.theirs = ("", "")
        self._bound = asyncio.Event()

    def describe(
        self, direction: str, setup: str, order: tuple[str, ...] = ("audio", "video"), mids: str = "01"
    ) -> str:
        """An offer or answer."""
        host, port = self.socket.getsockname()[:2]
        lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
        for kind, mid in zip(order, mids, strict=True):
            lines += [
                f"m={kind} 9 UDP/TLS/RTP/SAVPF {FORMATS[kind]}",
                "c=IN IP4 0.0.0.0",
                "a=rtcp-mux",
                f"a=mid:{mid}",
                f"a={direction}",
                f"a=ice-ufrag:{self.ufrag}",
                f"a=ice-pwd:{self.password}",
                f"a=fingerprint:{' '.join(self.certificate.sha256)}",
                f"a=setup:{setup}",
                *CODECS[kind],
                f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
                "a=end-of-candidates",
            ]
        return "\r\n".join(lines) + "\r\n"

    async def connect(self, remote: str) -> None:
        """ICE and DTLS with the far end that `remote` (SDP) describes. TimeoutError when it does not answer."""
        first = {
            name: re.search(rf"^a={name}:(\S+)(?: (\S+))?", remote, re.MULTILINE) for name in ("ice-ufrag", "ice-pwd")
        }
        self.theirs = tuple(match[1] for match in first.values() if match)
        candidate = re.search(
            r"^a=candidate:\S+ 1 udp \d+ ([\d.a-f:]+) (\d+) typ host", remote, re.MULTILINE | re.IGNORECASE
        )
        fingerprint = re.search(r"^a=fingerprint:(\S+) (\S+)", remote, re.MULTILINE)
        assert candidate is not None, remote
        assert fingerprint is not None, remote
        self.socket.connect((candidate[1], int(candidate[2])))
        self.handshake = Handshake(self.certificate, ((fingerprint[1], fingerprint[2]),), self.send, begins=True)
        loop = asyncio.get_running_loop()
        loop.add_reader(self.socket, self._readable)
        try:
            async with asyncio.timeout(CONNECT_GUARD_S):
                checking = asyncio.create_task(self._check_on())
                await self._bound.wait()
                assert await self.handshake.run(), "no handshake"
                self.handshake.proven()  # the server spoke last
        finally:
            checking.cancel()
            loop.remove_reader(self.socket)

    async def _check_on(self) -> None:
        while True:
            self.check(nominate=True)
            await asyncio.sleep(ASK_AGAIN_S)

    def check(self, *, nominate: bool = False) -> None:
        """A binding request; later ones say that we still want what we are sent."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self.theirs[0]}:{self.ufrag}"
        request.attributes["PRIORITY"] = 2130706431
        request.attributes["ICE-CONTROLLING"] = (1 << 64) - 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self.theirs[1].encode())
        self.send(bytes(request))

    def report(self, streams: dict[int, Reception], now_s: float) -> None:
        """A receiver report, as browsers send one a second."""
        assert self.handshake is not None
        assert self.handshake.sending is not None
        self.send(self.handshake.sending.protect_rtcp(report_reception(streams, now_s)))

    def send(self, data: bytes) -> None:
        """A datagram to the far end."""
        try:
            self.socket.send(data)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def _readable(self) -> None:
        try:
            while True:
                data = self.socket.recv(2048)
                if data[0] < 4:
                    self._stun(data)
                elif data[0] < 64 and self.handshake is not None:
                    self.handshake.feed(data)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def _stun(self, data: bytes) -> None:
        message = stun.parse_message(data)
        if message.message_class is stun.Class.RESPONSE:
            self._bound.set()
        elif message.message_class is stun.Class.REQUEST:
            answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            answer.attributes["XOR-MAPPED-ADDRESS"] = self.socket.getpeername()
            answer.add_message_integrity(self.password.encode())
            self.send(bytes(answer))

    def close(self) -> None:
        """Lets go of the socket, without a word."""
        self.socket.close()
