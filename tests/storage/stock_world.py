"""A small world for the tests of stock and checkout: a shop, a show, variants, buyers, and the HTTP application."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import msgspec
from redis.asyncio import Redis

from app import clock
from app.accounts import edge as accounts_edge
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.parts import build_accounts
from app.checkout import edge as checkout_edge
from app.checkout.parts import Checkout, open_checkout
from app.checkout.provider import Provider
from app.flash_sales import edge as sales_edge
from app.flash_sales.parts import FlashSales, open_flash_sales
from app.flash_sales.sources import SaleSource
from app.http.edge import build_asgi, build_routes
from app.rooms.bus import Spoken
from app.settings import Settings
from tests.protocol.callers import Caller, somebody
from tests.waiting import eventually

HANG_GUARD_S = 30


@dataclass
class HeardRooms:
    """Stands in for the rooms: keeps what was said, with the rule that only newer versions count."""

    events: list[tuple[str, msgspec.Struct]] = field(default_factory=list)
    states: dict[tuple[str, str], tuple[int, msgspec.Struct | None]] = field(default_factory=dict)
    published: list[tuple[str, str, int, float]] = field(default_factory=list)
    hints: list[tuple[str, str, msgspec.Struct]] = field(default_factory=list)

    async def append(self, room, event) -> Spoken:
        self.events.append((room, event))
        return Spoken("e", len(self.events))

    async def set_state(self, room, key, version, value) -> bool:
        if version <= self.states.get((room, key), (-1, None))[0]:
            return False
        self.states[room, key] = (version, value)
        self.published.append((room, key, version, clock.monotonic_s()))
        return True

    async def tell(self, show, person, hint) -> None:
        self.hints.append((show, person, hint))

    def value(self, room, key):
        return self.states.get((room, key), (0, None))[1]


@dataclass
class World:
    """One process of Hawker, as far as stock goes."""

    pg: asyncpg.Pool
    valkey: Redis
    rooms: HeardRooms
    settings: Settings
    accounts: object
    sales: FlashSales
    checkout: Checkout
    app: object
    host: Caller = None
    shop: str = ""
    show: str = ""

    async def buyer(self) -> Caller:
        return await somebody(self.app, self.accounts, f"Buyer {clock.new_id()}")

    async def buyers(self, count: int) -> list[Caller]:
        return [await self.buyer() for _ in range(count)]

    async def variant(self, stock: int, price_minor: int = 1000) -> tuple[str, str]:
        """A variant of a product in the show's line-up: its id and its ordinary pool."""
        product, variant, pool = clock.new_id(), clock.new_id(), clock.new_id()
        await self.pg.execute("INSERT INTO products (id, shop_id, title) VALUES ($1, $2, 'Bowl')", product, self.shop)
        await self.pg.execute(
            "INSERT INTO variants (id, product_id, title, position, price_minor, received)"
            " VALUES ($1, $2, 'Blue', 0, $3, $4)",
            variant,
            product,
            price_minor,
            stock,
        )
        await self.pg.execute("INSERT INTO pools (id, variant_id, allotment) VALUES ($1, $2, $3)", pool, variant, stock)
        await self.pg.execute("INSERT INTO lineup VALUES ($1, $2, 0)", self.show, product)
        return variant, pool

    async def sale(self, allotment: int, **wanted) -> dict:
        """A running flash sale of `allotment` units."""
        variant, _ = await self.variant(allotment)
        body = {"variant": variant, "price_minor": 600, "allotment": allotment, "per_buyer_limit": 5, "duration_s": 600}
        answer = await self.host.post(f"/api/shows/{self.show}/flash-sales", body | wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def take(self, buyer: Caller, pool: str, quantity=1, key: str | None = None, **extra):
        headers = {"Idempotency-Key": key or clock.new_id()}
        return await buyer.post("/api/holds", {"pool": pool, "quantity": quantity, **extra}, headers=headers)

    async def order(self, buyer: Caller, hold: str, method="works", key: str | None = None):
        headers = {"Idempotency-Key": key or clock.new_id()}
        return await buyer.post("/api/orders", {"hold": hold, "method": method}, headers=headers)

    async def buy_now(self, buyer: Caller, pool: str, quantity=1, method="works", key: str | None = None):
        headers = {"Idempotency-Key": key or clock.new_id()}
        return await buyer.post("/api/buy-now", {"pool": pool, "quantity": quantity, "method": method}, headers=headers)

    async def held(self, buyer: Caller, pool: str, quantity=1) -> str:
        answer = await self.take(buyer, pool, quantity)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def pool_row(self, pool: str):
        return await self.pg.fetchrow("SELECT * FROM pools WHERE id = $1", pool)

    async def gate(self, pool: str):
        return (await self.sales.gate.look(pool)).result

    async def check(self, pool: str) -> None:
        """The invariants of DESIGN's list that one pool can show. What no answer waits for, capture and gate, is waited
        for here.
        """
        row = await self.pool_row(pool)
        units = await self.pg.fetchval(
            "SELECT coalesce(sum(l.quantity - l.returned), 0) FROM order_lines l WHERE l.pool_id = $1",
            pool,
        )
        assert units == row["sold"] <= row["allotment"]
        over = await self.pg.fetch(
            """SELECT o.account_id FROM order_lines l JOIN orders o ON o.id = l.order_id
                 JOIN pools p ON p.id = l.pool_id JOIN flash_sales s ON s.id = p.flash_sale_id WHERE l.pool_id = $1
                GROUP BY o.account_id, s.per_buyer_limit HAVING sum(l.quantity - l.returned) > s.per_buyer_limit""",
            pool,
        )
        assert over == []
        await eventually(lambda: self._captured_once(pool), what="a capture for each order that is paid")
        await eventually(lambda: self._gate_agrees(pool, units, row["allotment"]), what="the gate's counts")

    async def _captured_once(self, pool: str) -> bool:
        return not await self.pg.fetchval(
            """SELECT count(*) FROM orders o JOIN payment_attempts a ON a.id = o.id
                 JOIN simulated_payments s ON s.attempt_id = a.id
                WHERE a.pool_id = $1 AND (s.captures > 1 OR (o.state IN ('paid', 'refunded')) <> (s.captures = 1))""",
            pool,
        )

    async def _gate_agrees(self, pool: str, units: int, allotment: int) -> bool:
        gate = await self.gate(pool)
        live = sum(record.quantity for record in await self.live_holds(pool))
        return (gate.sold, gate.held, gate.left) == (units, live, allotment - units - live)

    async def live_holds(self, pool: str):
        from app.flash_sales.gate_wire import HoldRecord, gate_keys

        packed = [one for key in gate_keys(pool).holds for one in await self.valkey.hvals(key)]
        records = [msgspec.msgpack.decode(one, type=HoldRecord) for one in packed]
        return [record for record in records if record.state == "held"]

    async def settle_all(self) -> None:
        """Runs the outbox until nothing is due."""
        await self.checkout.outbox.close()
        await self.pg.execute("UPDATE outbox SET next_try_at = now() WHERE done_at IS NULL")
        await self.checkout.outbox.run()


@asynccontextmanager
async def open_world(pg, valkey, *, rooms=None, provider: Provider | None = None, stage=True, **settings):
    """A process. With `stage` also a shop with a host and a live show."""
    set_up = Settings(**{"hint_key": "a key", **settings})
    rooms = rooms or HeardRooms()
    sales = open_flash_sales(pg, valkey, rooms, set_up)
    accounts = build_accounts(pg, valkey, set_up, sign_out_listeners=(SaleSource(sales),))
    checkout = open_checkout(pg, valkey, sales, rooms, set_up, provider=provider)
    endpoints = [
        *accounts_edge.endpoints(accounts),
        *sales_edge.endpoints(sales),
        *checkout_edge.endpoints(checkout, sales),
    ]
    app = build_asgi(build_routes(endpoints, AccountsGatekeeper(accounts), set_up))
    world = World(pg, valkey, rooms, set_up, accounts, sales, checkout, app)
    if stage:
        await _stage(world)
    try:
        yield world
    finally:
        async with asyncio.timeout(HANG_GUARD_S):
            await checkout.close()
            await sales.close()


async def _stage(world: World) -> None:
    world.host = await world.buyer()
    world.shop, world.show = clock.new_id(), clock.new_id()
    await world.pg.execute("INSERT INTO shops (id, name, currency) VALUES ($1, 'Clay', 'EUR')", world.shop)
    await world.pg.execute(
        "INSERT INTO shop_members (shop_id, account_id, role) VALUES ($1, $2, 'host')", world.shop, world.host.account
    )
    await world.pg.execute(
        "INSERT INTO shows (id, shop_id, title, state) VALUES ($1, $2, 'Tonight', 'live')", world.show, world.shop
    )
