"""The buyers of the HTTP half, a process: keep-alive connections that send the next purchase once the last is answered.

Told {"port", "count", "secrets", "pool"} on standard input; says {"seconds", "ok"} when all are answered.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from app.http.credentials import SESSION_COOKIE, csrf_token

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "


class Buyer(asyncio.Protocol):
    """One connection and one person."""

    def __init__(self, shop: "Shop", secret: str) -> None:
        self.shop = shop
        body = json.dumps({"pool": shop.pool, "quantity": 1, "method": "works", "show": "show"}).encode()
        self.head = (
            f"POST /api/buy-now HTTP/1.1\r\nhost: 127.0.0.1:{shop.port}\r\ncookie: {SESSION_COOKIE}={secret}\r\n"
            f"x-csrf-token: {csrf_token(secret)}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nidempotency-key: "
        ).encode()
        self.tail = HEAD_END + body
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.next()

    def next(self) -> None:
        n = self.shop.take()
        if n is not None:
            self.transport.write(self.head + b"key-of-a-buyer-%d-%d" % (self.shop.run, n) + self.tail)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(HEAD_END)
        if head < 0:
            return
        at = self.buffer.find(LENGTH) + len(LENGTH)
        size = head + len(HEAD_END) + int(self.buffer[at : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) < size:
            return
        self.shop.answered(self.buffer)
        self.buffer = self.buffer[size:]
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        self.shop.lost()


class Shop:
    """What all buyers share."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.port, self.count, self.pool = task["port"], task["count"], task["pool"]
        self.run = time.time_ns()
        self.sent = self.done = self.ok = 0
        self.over = asyncio.Event()

    def take(self) -> int | None:
        if self.sent >= self.count:
            return None
        self.sent += 1
        return self.sent

    def answered(self, answer: bytes) -> None:
        self.done += 1
        if answer.startswith(b"HTTP/1.1 201"):
            self.ok += 1
        elif self.done - self.ok <= 3:
            sys.stderr.write(answer.decode(errors="replace") + "\n")
        if self.done == self.count:
            self.over.set()

    def lost(self) -> None:
        if self.done < self.count:
            self.over.set()


async def main() -> None:
    loop = asyncio.get_running_loop()
    for line in iter(sys.stdin.readline, ""):
        task = json.loads(line)
        shop = Shop(task)
        began = time.perf_counter()
        made = []
        for secret in task["secrets"]:
            buyer = Buyer(shop, secret)
            made.append(await loop.create_connection(lambda buyer=buyer: buyer, "127.0.0.1", shop.port))
        await shop.over.wait()
        seconds = time.perf_counter() - began
        for transport, _ in made:
            transport.close()
        print(json.dumps({"seconds": seconds, "ok": shop.ok}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
