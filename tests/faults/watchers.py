"""People at a room's sockets, by the thousand, who come back as the page does and write down what they saw and said.

What one heard at an offset all must have heard there; a gap, a double or a snapshot instead of what was missed is a
fault. Who speaks repeats under the same id whatever was not answered, and now and then what was.
"""

import asyncio
import random
import struct
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

BACKOFF_MIN_S = 0.25
BACKOFF_MAX_S = 15.0
PER_SOURCE = 5000  # of an address' 28,000 ports
HEAD = (
    "GET /ws/shows/demo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{cookie}\r\n"
)
TEXT, CLOSE, PING = 0x81, 0x88, 0x89
_decode = msgspec.json.Decoder().decode


def masked(opcode: int, data: bytes) -> bytes:
    """A frame under the mask 0."""
    size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
    return bytes((opcode,)) + size + bytes(4) + data


@dataclass
class Book:
    """What everybody saw, and what went wrong."""

    texts: dict[int, str] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lines_lost: int = 0

    @property
    def top(self) -> int:
        return max(self.texts, default=0)


class Line(asyncio.Protocol):
    """One connection of a watcher."""

    def __init__(self, watcher: "Watcher") -> None:
        self.watcher = watcher
        self.transport: asyncio.Transport | None = None
        self.upgraded = False
        self.held = b""
        self.after_s = 0.0

    def connection_made(self, transport) -> None:
        self.transport = transport
        cookie = f"Cookie: {self.watcher.cookie}\r\n" if self.watcher.cookie else ""
        transport.write(HEAD.format(port=self.watcher.port, cookie=cookie).encode())

    def connection_lost(self, exc) -> None:
        del exc
        self.watcher.lost(self.after_s)

    def data_received(self, data: bytes) -> None:
        data = self.held + data
        if not self.upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self.held = head
                return
            if b" 101 " not in head[:20]:
                self.transport.abort()
                return
            self.upgraded = True
            self.say(self.watcher.join())
        self.held = self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        at = 0
        while len(data) >= at + 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(data[start : start + width]), start + width
            if len(data) < start + size:
                break
            self._frame(data[at], data[start : start + size])
            at = start + size
        return data[at:]

    def _frame(self, opcode: int, body: bytes) -> None:
        if opcode == TEXT:
            self.watcher.heard(_decode(body))
        elif opcode == PING:
            self.transport.write(masked(0x8A, body))
        elif opcode == CLOSE:
            code, reason = int.from_bytes(body[:2]), body[2:].decode()
            self.watcher.book.faults += [f"closed for good: {code} {reason}"] if 4000 <= code < 4100 else []
            self.after_s = int(reason) / 1000 if code in {1012, 1013} else 0.0
            self.transport.close()

    def say(self, what: dict) -> None:
        self.transport.write(masked(TEXT, msgspec.json.encode(what)))


class Watcher:
    """One page: joins, resumes, comes back with full jitter."""

    def __init__(self, port: int, book: Book, dice: random.Random, number: int, cookie: str = "") -> None:
        self.port, self.book, self.dice, self.cookie = port, book, dice, cookie
        self.source = f"127.0.0.{2 + number // PER_SOURCE}"
        self.epoch: str | None = None
        self.offset: int | None = None
        self.is_in = False
        self.joins = 0
        self._failures = 0
        self._line: Line | None = None
        self._wanted = True
        self._dialling: asyncio.Task | None = None
        self.come()

    def come(self) -> None:
        if self._wanted:
            self._line = Line(self)
            self._dialling = asyncio.create_task(self._dial(self._line))

    async def _dial(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: line, "127.0.0.1", self.port, local_addr=(self.source, 0))
        except OSError:
            self.lost(0)

    def join(self) -> dict:
        return {"op": "join", "epoch": self.epoch, "since": self.offset}

    def lost(self, after_s: float) -> None:
        self.is_in = False
        self.book.lines_lost += 1
        wait_s = after_s + self.dice.random() * min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2**self._failures)
        self._failures = min(10, self._failures + 1)
        asyncio.get_running_loop().call_later(wait_s, self.come)

    def drop(self) -> None:
        """The network is cut."""
        if self._line is not None and self._line.transport is not None:
            self._line.transport.abort()

    def leave(self) -> None:
        self._wanted = False
        self.drop()

    def heard(self, frame: dict) -> None:
        if "joined" in frame:
            self._joined(frame["joined"])
        elif "m" in frame:
            self._events(frame["o"], frame["m"])

    def _joined(self, joined: dict) -> None:
        if self.epoch is None:
            self.epoch, self.offset = joined["e"], joined["first"] - 1
        elif not joined["recovered"]:
            self.book.faults.append(f"a snapshot instead of what came after {self.offset}")
            self.epoch, self.offset = joined["e"], joined["first"] - 1
        self._events(joined["first"], joined["m"])
        self.is_in, self._failures = True, 0
        self.joins += 1

    def _events(self, first: int, events: list[dict]) -> None:
        for offset, event in enumerate(events, first):
            if offset != self.offset + 1:
                self.book.faults.append(f"{offset} after {self.offset}")
            self.offset = offset
            text = event.get("text", "")
            if self.book.texts.setdefault(offset, text) != text:
                self.book.faults.append(f"{text} and {self.book.texts[offset]} both at {offset}")


class Speaker(Watcher):
    """Who speaks, too. Each text ends up with an offset, after however many tries."""

    def __init__(self, *args, **options) -> None:
        self._unanswered: dict[str, tuple[dict, asyncio.Future]] = {}
        self._count = 0
        super().__init__(*args, **options)

    async def speak(self, stop: asyncio.Event, per_s: float) -> None:
        """Until told to stop; then until all is answered."""
        waiting = set()
        while not stop.is_set():
            waiting.add(asyncio.create_task(self._say_once_or_twice()))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.dice.uniform(0, 2 / per_s))
        await asyncio.gather(*waiting)

    async def _say_once_or_twice(self) -> None:
        self._count += 1
        text = f"{self.cookie[-8:]} says {self._count}"
        offset = await self._say(text)
        self.book.said[text] = offset
        if self.dice.random() < 0.3 and await self._say(text) != offset:
            self.book.faults.append(f"{text} was at {offset}, and then elsewhere")

    async def _say(self, text: str) -> int:
        frame = {"op": "chat.post", "id": text.replace(" ", "-"), "text": text}
        answered = asyncio.get_running_loop().create_future()
        self._unanswered[frame["id"]] = (frame, answered)
        if self.is_in:
            self._line.say(frame)
        return await answered

    def heard(self, frame: dict) -> None:
        super().heard(frame)
        if "joined" in frame:
            for said, _ in self._unanswered.values():
                self._line.say(said)
        elif "re" in frame and frame["re"] in self._unanswered:
            self._answered(frame)

    def _answered(self, frame: dict) -> None:
        error = frame.get("error")
        if error is None:
            _, answered = self._unanswered.pop(frame["re"])
            answered.set_result(frame["o"])
        elif error["retry_after_ms"] is None:
            self.book.faults.append(f"{frame['re']} was refused: {error['code']}")
        else:
            asyncio.get_running_loop().call_later(error["retry_after_ms"] / 1000, self._again, frame["re"])

    def _again(self, command_id: str) -> None:
        if self.is_in and command_id in self._unanswered:
            self._line.say(self._unanswered[command_id][0])
