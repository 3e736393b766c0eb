"""A flash sale from its creation to its end: who may, what moves where, and what everybody sees."""

import asyncio
import itertools

import msgspec
import pytest

from app import clock
from app.checkout.settle import settle
from app.flash_sales import rounds, sale_store
from app.flash_sales.edge import commands
from app.flash_sales.moment import from_ms, valkey_now_ms
from app.person import Person, Standing
from app.rooms.command import Order
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.waiting import eventually


async def move_time(world, sale: str, by_ms: int) -> None:
    """Shifts the sale's window into the past, which is as good as waiting."""
    await world.pg.execute(
        """UPDATE flash_sales SET starts_at = starts_at - make_interval(secs => $2),
                                  ends_at = ends_at - make_interval(secs => $2) WHERE id = $1""",
        sale,
        by_ms / 1000,
    )
    pool = await world.pg.fetchval("SELECT id FROM pools WHERE flash_sale_id = $1", sale)
    await world.sales.gate.sync(pool)


def path(world, *more: str) -> str:
    return "/".join([f"/api/shows/{world.show}/flash-sales", *more])


async def create(world, **wanted):
    body = {"allotment": 3, "per_buyer_limit": 2, "duration_s": 60, "price_minor": 600}
    return await world.host.post(path(world), {name: value for name, value in (body | wanted).items() if value})


async def states(world, sale: str) -> list[str]:
    return [event.state for _, event in world.rooms.events if getattr(event, "sale", None) == sale]


async def test_a_sale_counts_down_runs_sells_out_and_ends(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        sale = (await create(world, variant=variant, countdown_s=60, allotment=2)).json()
        assert (sale["state"], sale["list_minor"], sale["price_minor"]) == ("countdown", 1000, 600)
        pool, buyer = sale["pool"], await world.buyer()
        early = await world.take(buyer, pool)
        assert problem(early) == (409, "not_started")
        assert 0 < early.json()["retry_after_ms"] <= 60_000
        await move_time(world, sale["id"], 60_000)
        await rounds.move_sales(world.sales)
        assert (await world.order(buyer, await world.held(buyer, pool, 2))).status_code == 201
        await rounds.move_sales(world.sales)
        await move_time(world, sale["id"], 60_000)
        await rounds.move_sales(world.sales)
        other = await world.buyer()
        assert problem(await world.take(other, pool)) == (409, "ended")
        assert await states(world, sale["id"]) == ["countdown", "running", "sold_out", "ended"]
        assert world.rooms.value(world.show, f"sale:{sale['id']}").state == "ended"
        await world.settle_all()
        await world.check(ordinary)
        row = await world.pool_row(ordinary)
        assert (row["allotment"], row["sold"]) == (3, 0)


async def test_an_ended_sale_gives_units_back_free_ones_at_once_and_held_ones_when_their_hold_ends(pg, valkey):
    """One open hold kept all that was left of a sale from the shelf: the page said "sold out" for two minutes."""
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        sale = (await create(world, variant=variant)).json()
        pool = sale["pool"]
        first, second = await world.buyers(2)
        paid, left_open = await world.held(first, pool), await world.held(second, pool)
        ended = await world.host.post(path(world, sale["id"], "end"))
        assert ended.json()["state"] == "ended"
        assert (await world.pool_row(ordinary))["allotment"] == 3
        assert (await world.gate(ordinary)).left == 3
        assert ((await world.gate(pool)).left, (await world.gate(pool)).held) == (0, 2)
        third = await world.buyer()
        assert problem(await world.take(third, pool)) == (409, "ended")
        assert (await world.order(first, paid)).status_code == 201
        await rounds.move_sales(world.sales)
        assert (await world.pool_row(pool))["closed_at"] is None
        assert (await second.ask("DELETE", f"/api/holds/{left_open}")).status_code == 204
        await rounds.move_sales(world.sales)
        assert (await world.pool_row(pool))["closed_at"] is not None
        assert (await world.pool_row(ordinary))["allotment"] == 4
        assert (await world.gate(ordinary)).left == 4
        await world.settle_all()
        await world.check(pool)
        await world.check(ordinary)


async def test_a_cancelled_sale_releases_holds_and_voids_payments_in_flight(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, settle_after_s=0) as world:
        variant, ordinary = await world.variant(5)
        sale = (await create(world, variant=variant)).json()
        pool = sale["pool"]
        first, second = await world.buyers(2)
        await world.held(first, pool)
        key = clock.new_id()
        paying = await world.held(second, pool)
        assert problem(await world.order(second, paying, "hangs", key)) == (504, "payment_pending")
        assert (await world.host.post(path(world, sale["id"], "cancel"))).json()["state"] == "cancelled"
        assert (await first.get("/api/holds")).json()["holds"] == []
        assert (await world.pool_row(pool))["closed_at"] is None
        await pg.execute("UPDATE simulated_payments SET answers_at = now()")
        await settle(world.checkout)
        await world.settle_all()
        assert problem(await world.order(second, paying, "hangs", key)) == (409, "ended")
        await rounds.move_sales(world.sales)
        assert (await world.pool_row(ordinary))["allotment"] == 5
        await world.check(ordinary)
        again = await world.host.post(path(world, sale["id"], "end"))
        assert problem(again) == (409, "sale_state")


async def test_a_provider_that_hangs_is_not_waited_for_once_the_sale_is_called_off(pg, valkey):
    """The unit stayed away, and its buyer in doubt, for as long as any payment may take."""
    async with open_world(pg, valkey, payment_timeout_s=0.2, settle_after_s=0) as world:
        variant, ordinary = await world.variant(5)
        sale = (await create(world, variant=variant)).json()
        buyer, key = await world.buyer(), clock.new_id()
        paying = await world.held(buyer, sale["pool"])
        assert problem(await world.order(buyer, paying, "hangs", key)) == (504, "payment_pending")
        await settle(world.checkout)
        assert (await world.gate(sale["pool"])).held == 1
        assert (await world.host.post(path(world, sale["id"], "cancel"))).status_code == 200
        await settle(world.checkout)
        await world.settle_all()
        assert problem(await world.order(buyer, paying, "hangs", key)) == (409, "hold_ended")
        await rounds.move_sales(world.sales)
        assert (await world.pool_row(ordinary))["allotment"] == 5
        await world.check(ordinary)


async def test_held_units_of_ordinary_stock_cannot_go_into_a_sale(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        buyer = await world.buyer()
        hold = await world.held(buyer, ordinary, 3)
        assert problem(await create(world, variant=variant, allotment=3)) == (409, "stock_short")
        assert problem(await create(world, variant=variant, allotment=6)) == (409, "stock_short")
        assert (await create(world, variant=variant, allotment=2)).status_code == 201
        assert problem(await world.take(buyer, ordinary)) == (409, "all_held")
        assert (await world.order(buyer, hold)).status_code == 201
        await world.settle_all()
        await world.check(ordinary)


async def test_sales_made_and_holds_taken_at_once_never_share_a_unit(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(12)
        buyers = await world.buyers(20)
        answers = await asyncio.gather(
            *(world.take(buyer, ordinary) for buyer in buyers),
            *(create(world, variant=variant, allotment=4) for _ in range(4)),
        )
        made = [answer.status_code for answer in answers]
        assert made[:20].count(201) + 4 * made[20:].count(201) <= 12
        assert set(made) <= {201, 409}
        await world.check(ordinary)


async def test_percent_off_is_a_price_of_the_server(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(5, price_minor=999)
        sale = (await create(world, variant=variant, price_minor=None, percent_off=50)).json()
        assert (sale["price_minor"], sale["list_minor"]) == (499, 999)
        hold = (await world.take(await world.buyer(), sale["pool"])).json()
        assert hold["unit_price_minor"] == 499


async def test_a_grant_keeps_its_price_when_the_price_changes(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, pool = await world.variant(5, price_minor=1000)
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)
        await pg.execute("UPDATE variants SET price_minor = 2000 WHERE id = $1", variant)
        await world.sales.gate.sync(pool)
        assert (await world.take(other, pool)).json()["unit_price_minor"] == 2000
        assert (await world.order(buyer, hold)).json()["total_minor"] == 1000


@pytest.mark.parametrize("quantity", [0, -1, 1.5, "2", True, 10**12, None])
async def test_a_quantity_that_is_not_a_small_whole_number_is_refused(pg, valkey, quantity):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(5)
        assert problem(await world.take(await world.buyer(), pool, quantity)) == (400, "malformed")
        assert (await world.gate(pool)).held == 0


async def test_bad_requests_are_refused_by_name_and_change_nothing(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(5)
        buyer, other = await world.buyers(2)
        assert problem(await world.take(buyer, pool, price_minor=1)) == (400, "unknown_field")
        assert problem(await world.take(buyer, "nopool")) == (404, "not_found")
        assert problem(await world.take(buyer, pool, show="noshow")) == (404, "not_found")
        assert problem(await buyer.post("/api/holds", {"pool": pool, "quantity": 1})) == (400, "idempotency_key")
        async with open_world(pg, valkey) as elsewhere:
            assert problem(await world.take(buyer, pool, show=elsewhere.show)) == (404, "not_found")
        hold = await world.held(buyer, pool)
        assert problem(await world.order(other, hold)) == (404, "not_found")
        assert problem(await other.ask("DELETE", f"/api/holds/{hold}")) == (404, "not_found")
        assert problem(await world.order(buyer, hold, "magic")) == (400, "method_unknown")
        assert problem(await world.order(buyer, "nonsense")) == (404, "not_found")
        body = {"hold": hold, "method": "works", "price_minor": 1}
        headers = {"Idempotency-Key": "k"}
        assert problem(await buyer.post("/api/orders", body, headers=headers)) == (400, "unknown_field")
        assert problem(await buyer.get(path(world).replace(world.show, "noshow"))) == (404, "not_found")
        placed = (await world.order(buyer, hold)).json()
        assert problem(await other.get(f"/api/orders/{placed['id']}")) == (404, "not_found")
        assert problem(await buyer.get(f"/api/shows/{world.show}/orders"))[0] in {403, 404}
        mine = (await world.host.get(f"/api/shows/{world.show}/orders")).json()["orders"]
        assert mine == []  # bought outside of any show
        await world.settle_all()
        await world.check(pool)


async def test_the_host_sees_the_shows_orders_with_their_buyers(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(2)
        buyer = await world.buyer()
        placed = (await world.order(buyer, await world.held(buyer, sale["pool"]))).json()
        orders = (await world.host.get(f"/api/shows/{world.show}/orders")).json()["orders"]
        assert [(one["id"], one["buyer"][:5]) for one in orders] == [(placed["id"], "Buyer")]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"price_minor": 1000}, "price_invalid"),
        ({"percent_off": 10}, "price_invalid"),
        ({"price_minor": None}, "price_invalid"),
        ({"duration_s": 29}, "malformed"),
        ({"countdown_s": 301}, "malformed"),
        ({"countdown_s": 9}, "malformed"),
        ({"starts_at_ms": 1}, "malformed"),
        ({"allotment": -1}, "malformed"),
        ({"variant": "nothing"}, "not_found"),
    ],
)
async def test_a_sale_that_makes_no_sense_moves_no_stock(pg, valkey, wanted, code):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        assert problem(await create(world, **({"variant": variant} | wanted)))[1] == code
        assert (await world.pool_row(ordinary))["allotment"] == 5


async def test_overdue_holds_end_by_the_workers_round(pg, valkey):
    async with open_world(pg, valkey, hold_ttl_s=0) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        granted = (await world.sales.gate.read(hold)).hold

        async def is_overdue() -> bool:
            return await valkey_now_ms(valkey) > granted.expires_at_ms

        await eventually(is_overdue)
        await rounds.end_overdue_holds(world.sales)
        await world.sales.voice.drain()
        assert [(type(hint).__name__, hint.hold) for _, _, hint in world.rooms.hints] == [("HoldExpired", hold)]
        assert world.rooms.value(world.show, f"pool:{pool}").left == 1
        assert await valkey.zcard("pools:held") == 0


async def test_a_stampede_publishes_the_pools_state_at_most_once_per_50_ms(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(300, per_buyer_limit=99))["pool"]
        buyers = await world.buyers(10)
        await asyncio.gather(*(world.take(buyers[n % 10], pool) for n in range(400)))
        await world.sales.voice.drain()
        times = [at for _, key, _, at in world.rooms.published if key == f"pool:{pool}"]
        assert all(later - earlier >= 0.049 for earlier, later in itertools.pairwise(times))
        assert world.rooms.value(world.show, f"pool:{pool}").status == "all_held"


async def test_a_retired_sale_leaves_peoples_pages(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(2)
        await world.host.post(path(world, sale["id"], "end"))
        await rounds.retire_sales(world.sales)
        assert world.rooms.value(world.show, f"sale:{sale['id']}").state == "ended"
        await pg.execute(
            "UPDATE pools SET closed_at = $2 WHERE id = $1", sale["pool"], from_ms(clock.now_ms() - 40_000)
        )
        await rounds.retire_sales(world.sales)
        assert world.rooms.value(world.show, f"sale:{sale['id']}") is None
        assert world.rooms.value(world.show, f"pool:{sale['pool']}") is None


async def test_the_rooms_socket_takes_and_releases_holds_by_the_same_actions(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        ops = {command.op: command for command in commands(world.sales)}

        async def say(op: str, **body):
            command = ops[op]
            person = Person(buyer.account, "Buyer")
            decoded = msgspec.convert(body, command.body)
            return await command.action(Order(world.show, person, Standing.VIEWER, "c1", decoded, "", clock.now_ms()))

        hold = await say("hold.take", pool=pool, quantity=1)
        assert (await say("hold.take", pool=pool, quantity=1)).id == hold.id
        assert [one["id"] for one in (await buyer.get("/api/holds")).json()["holds"]] == [hold.id]
        assert await say("hold.release", hold=hold.id) is None
        assert await say("hold.release", hold=hold.id) is None
        assert (await buyer.get("/api/holds")).json()["holds"] == []
        assert [type(hint).__name__ for _, _, hint in world.rooms.hints] == ["HoldReleased"]
        assert (await say("hold.release", hold="x-y")).code == "not_found"


class Explaining:
    """In the place of the pool: keeps how Postgres would run the query, and finds nothing."""

    def __init__(self, pg) -> None:
        self.pg = pg
        self.plan = ""

    async def fetch(self, query, *parameters):
        self.plan = "\n".join(row[0] for row in await self.pg.fetch("EXPLAIN " + query, *parameters))
        return []


@pytest.mark.parametrize("query", [sale_store.unfinished_sales, sale_store.gone_sales])
async def test_a_round_does_not_read_the_sales_of_all_time(pg, valkey, query):
    """Five times a second every sale that ever was went through the worker's hands."""
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(1)
        await pg.execute(
            """INSERT INTO flash_sales (id, show_id, variant_id, state, price_minor, compare_at_minor, per_buyer_limit,
                                        starts_at, ends_at, created_by)
               SELECT $1 || n, $2, $1, 'ended', 600, 1000, 1, now(), now() + interval '1 minute', $3
                 FROM generate_series(1, 20000) n""",
            variant,
            world.show,
            world.host.account,
        )
        await pg.execute(
            """INSERT INTO pools (id, variant_id, flash_sale_id, allotment, closed_at)
               SELECT id, variant_id, id, 0, now() - interval '1 day' FROM flash_sales WHERE variant_id = $1""",
            variant,
        )
        await pg.execute("ANALYZE pools, flash_sales")
        explaining = Explaining(pg)
        await query(explaining)
        assert "Seq Scan on pools p" not in explaining.plan, explaining.plan
        assert "Seq Scan on flash_sales" not in explaining.plan, explaining.plan
