"""A shop on a real uvicorn over the real stores, and a browser before it: which way its purchases take is counted."""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app import clock
from app.accounts.hints import DEVICE_COOKIE
from app.checkout import till
from app.http.credentials import SESSION_COOKIE, csrf_token
from app.http.headers import SecurityHeaders
from app.http.quick import QuickDoor, QuickWay, short_way_of
from tests.protocol.callers import Caller
from tests.protocol.test_request_protocol import served
from tests.storage.stock_world import World, open_world

GUARD_S = 60
PATH = "/api/buy-now"
DEVICE = f"{DEVICE_COOKIE}={'d' * 43}"
OTHERS = '_ga=GA1.1.1234567890.1700000000; consent=%7B%22all%22%3Atrue%7D; theme="dark"'


def chromium(caller: Caller, port: int, body: dict, key: str, *, path=PATH, cookies="", lines=()) -> bytes:
    """As Chromium writes the page's fetch, for `caller`; the device's cookie beside the session's, then `cookies`."""
    sent = json.dumps(body, separators=(",", ":")).encode()
    own = f"{SESSION_COOKIE}={caller.secret}; {DEVICE}"
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: keep-alive",
        f"Content-Length: {len(sent)}",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        'sec-ch-ua-platform: "Linux"',
        f"X-CSRF-Token: {csrf_token(caller.secret)}",
        f"Idempotency-Key: {key}",
        'sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"',
        "sec-ch-ua-mobile: ?0",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156 Safari/537.36",
        "Accept: application/json",
        "Content-Type: application/json",
        f"Origin: http://127.0.0.1:{port}",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        f"Referer: http://127.0.0.1:{port}/watch/demo",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9",
        f"Cookie: {f'{own}; {cookies}' if cookies else own}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + sent


@dataclass
class Shop:
    """A served world. `ways` counts how its purchases came: at once, by task, long; and left their wave."""

    world: World
    port: int
    ways: Counter = field(default_factory=Counter)
    path: str = PATH

    async def ask(self, *pieces: bytes) -> tuple[int, dict]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.timeout(GUARD_S):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(one for one in head.split(b"\r\n") if one.lower().startswith(b"content-length: "))
            body = await reader.readexactly(int(length.partition(b" ")[2]))
        writer.close()
        return int(head.split()[1]), json.loads(body)

    async def press(self, caller: Caller, pool: str, method="works", key=None, lines=(), **said) -> tuple[int, dict]:
        """The page's button, pressed by this person."""
        body = {"pool": pool, "quantity": 1, "method": method, "show": self.world.show, **said}
        return await self.ask(
            chromium(
                caller,
                self.port,
                body,
                clock.new_id() if key is None else key,
                path=self.path,
                cookies=OTHERS,
                lines=lines,
            )
        )

    async def pool(self, stock=9) -> str:
        """Ordinary stock, which this process has sold of before."""
        _, pool = await self.world.variant(stock)
        return await self.knows(pool)

    async def knows(self, pool: str) -> str:
        await self.world.sales.entrance_of(pool)
        await self.world.sales.sells(self.world.show, pool)
        return pool

    async def asks(self, **said) -> None:
        """The shop has these conditions from now on."""
        path = f"/api/shops/{self.world.shop}/conditions"
        version = (await self.world.host.get(path)).json()["version"]
        nothing = {"prices_include_tax": True, "shipping": [], "tax": [], "return_policy": ""}
        answer = await self.world.host.ask("PUT", path, {"version": version, **nothing, **said})
        assert answer.status_code == 200, answer.text
        self.world.checkout.conditions._known.clear()  # as after a moment

    async def keeps(self, caller: Caller, method="works") -> str:
        """How the caller names a card that they keep."""
        name = f"sim_{method}_{clock.new_id()}"
        await self.world.pg.execute(
            "INSERT INTO simulated_cards (id, attempt_id, account_id, kept_at) VALUES ($1, $1, $2, now())",
            name,
            caller.account,
        )
        card = clock.new_id()
        await self.world.pg.execute(
            """INSERT INTO saved_cards (id, account_id, mark, attempt_id, method, brand, last4, exp_month, exp_year)
               VALUES ($1, $2, $3, '', $4, 'simulated', '4242', 12, 2099)""",
            card,
            caller.account,
            method.encode(),
            name,
        )
        return f"saved_{card}"


@asynccontextmanager
async def opened(pg, valkey, monkeypatch, **settings):
    ways: Counter = Counter()
    begin, answer, call, leave = QuickWay.begin, QuickWay.answer, QuickDoor.__call__, till.LEFT_WAVE.inc

    def begun(self, *asked):
        there = begin(self, *asked)
        ways["at once"] += there
        return there

    def by_task(self, *asked):
        ways["by task"] += 1
        return answer(self, *asked)

    async def long(self, scope, *rest):
        ways["long"] += scope["path"] == PATH  # callers in this process ask other doors in the same way
        await call(self, scope, *rest)

    def left(count=1):
        ways["alone"] += count
        leave(count)

    for owner, name, counted in (
        (QuickWay, "begin", begun),
        (QuickWay, "answer", by_task),
        (QuickDoor, "__call__", long),
        (till.LEFT_WAVE, "inc", left),
    ):
        monkeypatch.setattr(owner, name, counted)
    async with open_world(pg, valkey, payment_declines_max=50, trusted_proxies=("127.0.0.1",), **settings) as world:
        app = SecurityHeaders(world.app, tls=False)
        async with served(app=app, short_way=short_way_of(app)) as port:
            yield Shop(world, port, ways)
