"""What the watch page asks for when its buyer presses "Buy now": by the short way, and as on the long way in all else.

The request is Chromium's, byte for byte, on a real uvicorn over the real stores.
"""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app import clock
from app.accounts.hints import DEVICE_COOKIE
from app.checkout import till
from app.flash_sales.door import door_keys
from app.http.credentials import SESSION_COOKIE, csrf_token
from app.http.headers import SecurityHeaders
from app.http.quick import QuickDoor, QuickWay, short_way_of
from tests.protocol.callers import Caller
from tests.protocol.test_request_protocol import served
from tests.storage.stock_world import World, open_world
from tests.waiting import eventually

GUARD_S = 60
PATH = "/api/buy-now"
AGREED = {"total_minor": 1000}
OLD = {"total_minor": 999}
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


@pytest.fixture
async def shop(pg, valkey, monkeypatch):
    async with opened(pg, valkey, monkeypatch) as made:
        yield made


async def test_the_pages_own_request_takes_the_short_way_and_becomes_an_order_in_its_wave(shop):
    """It never did: its buyer's session was not looked up lately, it names a card and says what it agreed to."""
    pool, buyer = await shop.pool(), await shop.world.buyer()
    card = await shop.keeps(buyer)
    status, order = await shop.press(buyer, pool, card, agreed=AGREED)
    assert (status, order["state"], order["total_minor"]) == (201, "authorised", 1000)
    assert +shop.ways == {"at once": 1}
    await shop.world.settle_all()
    await shop.world.check(pool)


async def test_a_browser_that_writes_the_body_behind_the_head_takes_it_too(shop):
    """So a request of two kilobytes may come, with a few more cookies, say."""
    pool, buyer = await shop.pool(), await shop.world.buyer()
    cookies = f"{OTHERS}; _gcl_au={'1.' * 300}"
    body = {"pool": pool, "quantity": 1, "method": "works", "show": shop.world.show}
    data = chromium(buyer, shop.port, body, "k", cookies=cookies)
    head, _, sent = data.partition(b"\r\n\r\n")
    status, _ = await shop.ask(head + b"\r\n\r\n", sent)
    assert (status, +shop.ways) == (201, {"at once": 1})


async def test_a_crowd_behind_one_network_with_a_limit_takes_it_and_none_gets_more(shop):
    """A large sale has such a limit unless its host says otherwise: all who came from outside went another way."""
    pool = await shop.knows((await shop.world.sale(9, per_address_limit=3, per_buyer_limit=1))["pool"])
    buyers = await shop.world.buyers(6)
    here, there = ["X-Forwarded-For: 198.51.100.7"], ["X-Forwarded-For: 192.0.2.1"]
    told = await asyncio.gather(*(shop.press(one, pool, lines=here) for one in buyers[:5]))
    told.append(await shop.press(buyers[5], pool, lines=there))
    assert Counter(body.get("code", "order") for _, body in told) == {"order": 4, "address_limit": 2}
    assert (shop.ways["at once"], shop.ways["by task"], shop.ways["long"]) == (6, 0, 0)
    # A decline gives its place in the network back.
    late, another = await shop.world.buyer(), ["X-Forwarded-For: 203.0.113.77"]
    assert (await shop.press(late, pool, "declines", lines=another))[0] == 402
    networks = door_keys(pool)[2]

    async def given_back() -> bool:
        return not await shop.world.valkey.hexists(networks, "203.0.113.0/24")

    await eventually(given_back, GUARD_S, "its units count no more")
    assert (await shop.press(late, pool, lines=another))[0] == 201
    counted = await shop.world.valkey.hgetall(networks)
    assert sorted(int(units) for units in counted.values()) == [1, 1, 3]
    await shop.world.settle_all()
    await shop.world.check(pool)


async def test_who_holds_and_pays_in_two_steps_goes_past_the_routes_too(shop):
    pool, buyer = await shop.pool(), await shop.world.buyer()

    async def post(path: str, **body) -> dict:
        status, told = await shop.ask(chromium(buyer, shop.port, body, clock.new_id(), path=path))
        assert status == 201, told
        return told

    hold = await post("/api/holds", pool=pool, quantity=1, show=shop.world.show)
    order = await post("/api/orders", hold=hold["id"], method="works", keep=True)
    assert +shop.ways == {"by task": 2}
    assert (await buyer.get("/api/holds")).json()["holds"] == []
    assert [one["id"] for one in (await buyer.get("/api/orders")).json()["orders"]] == [order["id"]]
    assert (await buyer.ask("PUT", "/api/orders", {})).status_code == 405


# What happens in a shop, each on both ways. Asks, and gives what it was told.


async def buys(shop, buyer):
    pool = await shop.pool()
    return pool, [await shop.press(buyer, pool), await shop.press(buyer, pool, agreed=AGREED, keep=True)]


async def pays_with_own_card(shop, buyer):
    pool, card = await shop.pool(), await shop.keeps(buyer)
    return pool, [await shop.press(buyer, pool, card, keep=keep, agreed=AGREED) for keep in (False, True)]


async def is_not_agreed(shop, buyer):
    pool = await shop.pool()
    said = [OLD, {**AGREED, "policy": 1}, {**AGREED, "shipping": "post"}, AGREED]
    return pool, [await shop.press(buyer, pool, agreed=one, key="k") for one in said]


async def has_a_policy(shop, buyer):
    pool, told, first = await shop.pool(), [], {**AGREED, "policy": 1}
    for policy in ("Keep it.", "Send it back.", ""):
        await shop.asks(return_policy=policy)
        told.append(await shop.press(buyer, pool))
        told += [await shop.press(buyer, pool, agreed={**AGREED, "policy": version}) for version in (0, 2)]
        # What was bought under the first stays bought, whatever was changed meanwhile.
        told.append(await shop.press(buyer, pool, key="first", agreed=first))
    return pool, told


async def has_conditions(shop, buyer):
    pool = await shop.pool()
    await shop.asks(shipping=[{"id": "post", "name": "Post", "price_minor": 500}])
    told = [await shop.press(buyer, pool), await shop.press(buyer, pool, agreed=AGREED)]
    return pool, [*told, await shop.press(buyer, pool, agreed={"total_minor": 1500, "shipping": "post"})]


async def names_no_card_of_theirs(shop, buyer):
    pool, stranger = await shop.pool(), await shop.world.buyer()
    strangers, own = await shop.keeps(stranger), await shop.keeps(buyer)
    answers = [await shop.press(buyer, pool, strangers), await shop.press(buyer, pool, "saved_nothing")]
    answers.append(await shop.press(buyer, pool, own, key="k"))
    await shop.world.pg.execute("UPDATE saved_cards SET exp_year = 2020 WHERE id = $1", own.removeprefix("saved_"))
    answers += [await shop.press(buyer, pool, own), await shop.press(buyer, pool, own, key="k")]
    await shop.world.pg.execute("UPDATE simulated_cards SET detached_at = now() WHERE account_id = $1", buyer.account)
    await shop.world.pg.execute("UPDATE saved_cards SET exp_year = 2099 WHERE id = $1", own.removeprefix("saved_"))
    return pool, [*answers, await shop.press(buyer, pool, own), await shop.press(buyer, pool, own, key="k")]


async def fails_to_pay(shop, buyer):
    pool = await shop.pool(1)
    told = [await shop.press(buyer, pool, "declines", key="k", agreed=AGREED) for _ in range(2)]
    return pool, [*told, await shop.press(buyer, pool, key="k"), await shop.press(buyer, pool)]


async def is_asked_by_the_bank(shop, buyer):
    pool, card = await shop.pool(1), await shop.keeps(buyer, "challenges")
    told = [await shop.press(buyer, pool, card, key="k", agreed=AGREED) for _ in range(2)]
    payment = told[0][1]["details"]["payment"]
    assert (await buyer.post(f"/api/payments/{payment}/bank", {"approve": True})).status_code == 204
    assert (await buyer.post(f"/api/payments/{payment}/look")).status_code == 204
    return pool, [*told, await shop.press(buyer, pool, card, key="k", agreed=AGREED)]


async def uses_a_key_again(shop, buyer):
    pool, other = await shop.pool(), await shop.pool()
    told = list(await asyncio.gather(*(shop.press(buyer, pool, key="k", agreed=AGREED) for _ in range(3))))
    assert {status for status, _ in told} <= {201, 409, 504}
    told = [max(told, key=lambda one: one[0] == 201)]  # the others may have come while it was worked on
    for said in ({"agreed": AGREED}, {}, {"quantity": 2}, {"method": "declines"}, {"agreed": OLD}):
        told.append(await shop.press(buyer, pool, **{"key": "k", **said}))
    return pool, [*told, await shop.press(buyer, other, key="k", agreed=AGREED)]


async def wants_more_than_there_is(shop, buyer):
    pool = await shop.knows((await shop.world.sale(4, per_buyer_limit=2))["pool"])
    other = await shop.world.buyer()
    told = [await shop.press(buyer, pool, quantity=3), await shop.press(buyer, pool, quantity=2)]
    await shop.world.held(other, pool)
    third = await shop.world.buyer()
    told += [await shop.press(buyer, pool), await shop.press(third, pool, quantity=2)]
    told += [await shop.press(third, pool), await shop.press(await shop.world.buyer(), pool)]
    for hold in (await other.get("/api/holds")).json()["holds"]:
        assert (await other.ask("DELETE", f"/api/holds/{hold['id']}")).status_code == 204
    return pool, [*told, await shop.press(other, pool), await shop.press(await shop.world.buyer(), pool)]


async def is_turned_away(shop, buyer):
    pool = await shop.pool()
    told = [await shop.press(buyer, pool, "nonsense"), await shop.press(buyer, clock.new_id())]
    told += [await shop.press(buyer, pool, show="elsewhere"), await shop.press(buyer, pool, quantity=0)]
    told.append(await shop.press(buyer, pool, price_minor=1))
    await shop.world.pg.execute(
        "INSERT INTO sanctions (id, kind, account_id, shop_id, by_account_id) VALUES ($1, 'ban', $2, $3, $4)",
        clock.new_id(),
        buyer.account,
        shop.world.shop,
        shop.world.host.account,
    )
    return pool, [*told, await shop.press(buyer, pool, agreed=AGREED)]


CASES = [
    buys,
    pays_with_own_card,
    is_not_agreed,
    has_a_policy,
    has_conditions,
    names_no_card_of_theirs,
    fails_to_pay,
    is_asked_by_the_bank,
    uses_a_key_again,
    wants_more_than_there_is,
    is_turned_away,
]


async def left_behind(world: World, buyer: Caller, pool: str) -> dict:
    """What is there afterwards, without the ids."""
    await world.settle_all()
    await world.check(pool)

    async def rows(statement: str):
        return [tuple(row) for row in await world.pg.fetch(statement, buyer.account)]

    gate = await world.gate(pool)
    return {
        "orders": await rows("SELECT state, total_minor FROM orders WHERE account_id = $1 ORDER BY id"),
        "attempts": await rows(
            """SELECT state, refusal, split_part(method, '_', 2), quantity, amount_minor, idempotency_key IS NOT NULL
                 FROM payment_attempts WHERE account_id = $1 ORDER BY id"""
        ),
        "totals": await rows(
            """SELECT t.goods_minor, t.total_minor, t.policy_version > 0 FROM payment_totals t
                 JOIN payment_attempts a ON a.id = t.attempt_id WHERE a.account_id = $1 ORDER BY a.id"""
        ),
        "books": await rows(
            """SELECT s.state, s.captures FROM simulated_payments s JOIN payment_attempts a ON a.id = s.attempt_id
                WHERE a.account_id = $1 ORDER BY a.id"""
        ),
        "tries": await rows(
            """SELECT kind, declined_at IS NOT NULL FROM payment_tries t JOIN payment_attempts a ON a.id = t.attempt_id
                WHERE a.account_id = $1 ORDER BY a.id, kind"""
        ),
        "gate": (gate.sold, gate.held, gate.left),
        "holds": len((await buyer.get("/api/holds")).json()["holds"]),
    }


def without_ids(told: list[tuple[int, dict]]) -> list:
    """What was told, with each id named by when it first came up."""
    names: dict[str, str] = {}

    def named(value):
        return names.setdefault(value, f"id {len(names)}")

    def plainly(body: dict) -> dict:
        if body.get("code") == "payment_challenge":
            return {**body, "details": {name: named(value) for name, value in body["details"].items()}}
        return {
            name: named(value) if name in {"id", "created_at", "shop", "show"} else value
            for name, value in body.items()
        }

    return [(status, plainly(body)) for status, body in told]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_both_ways_give_the_same_answers_and_leave_the_same_behind(pg, valkey, monkeypatch, case):
    seen = []
    for path in (PATH, f"{PATH}?by=the-long-way"):
        with monkeypatch.context() as patched:
            async with opened(pg, valkey, patched) as shop:
                shop.path = path
                buyer = await shop.world.buyer()
                pool, told = await case(shop, buyer)
                seen.append((without_ids(told), await left_behind(shop.world, buyer, pool)))
                assert (shop.ways["at once"] > 0, shop.ways["long"] > 0) == (path == PATH, path != PATH)
    assert seen[0] == seen[1]
