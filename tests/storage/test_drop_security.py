"""What an attacker tries at a drop: an early start, a price of their own, strange quantities, a clock set wrong."""

import msgspec
import pytest

from app import clock
from app.flash_sales import rounds
from app.flash_sales.edge import commands
from app.flash_sales.line_rounds import serve_lines
from app.person import Person, Standing
from app.rooms.dispatch import Asker, merge, run
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_sales import create, states

TWO_HOURS_MS = 7_200_000


async def on_socket(world, buyer, frame: dict) -> dict:
    """What the room's socket answers to that frame."""
    asker = Asker(world.show, Person(buyer.account, "Buyer"), Standing.VIEWER, "203.0.113.5")
    text = msgspec.json.encode({"op": "hold.take", "id": "1"} | frame).decode()
    return msgspec.json.decode(await run(merge(commands(world.sales)), text, asker))


@pytest.mark.parametrize("shift_ms", [-TWO_HOURS_MS, TWO_HOURS_MS])
async def test_a_sale_starts_by_valkeys_clock_whatever_the_workers_own_says(pg, valkey, monkeypatch, shift_ms):
    async with open_world(pg, valkey) as world:
        real_ms = clock.now_ms
        monkeypatch.setattr(clock, "now_ms", lambda: real_ms() + shift_ms)
        variant, _ = await world.variant(2)
        coming = (await create(world, variant=variant, countdown_s=60, allotment=1)).json()
        running = (await create(world, variant=variant, allotment=1)).json()
        await rounds.move_sales(world.sales)
        await serve_lines(world.sales)
        buyer = await world.buyer()
        early = await world.take(buyer, coming["pool"])
        assert problem(early) == (409, "not_started")
        assert 0 < early.json()["retry_after_ms"] <= 60_000
        assert abs(coming["starts_at_ms"] - 60_000 - real_ms()) < TWO_HOURS_MS / 2
        hold = (await world.take(buyer, running["pool"])).json()
        assert 0 < hold["expires_in_ms"] <= 120_000
        assert abs(hold["server_now_ms"] - real_ms()) < TWO_HOURS_MS / 2
        await rounds.end_overdue_holds(world.sales)
        assert [one["id"] for one in (await buyer.get("/api/holds")).json()["holds"]] == [hold["id"]]
        assert (await states(world, coming["id"]), await states(world, running["id"])) == (["countdown"], ["running"])


@pytest.mark.parametrize("extra", ["price_minor", "currency", "discount", "unit_price_minor", "now_ms", "starts_at_ms"])
async def test_price_currency_discount_and_time_come_from_the_server_alone(pg, valkey, extra):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(2)
        buyer = await world.buyer()
        assert problem(await world.take(buyer, sale["pool"], **{extra: 1})) == (400, "unknown_field")
        said = await on_socket(world, buyer, {"pool": sale["pool"], "quantity": 1, extra: 1})
        assert said["error"]["code"] == "unknown_field"
        hold = await world.held(buyer, sale["pool"])
        body, headers = {"hold": hold, "method": "works", extra: 1}, {"Idempotency-Key": clock.new_id()}
        assert problem(await buyer.post("/api/orders", body, headers=headers)) == (400, "unknown_field")
        order = (await world.order(buyer, hold)).json()
        assert (order["total_minor"], order["currency"]) == (sale["price_minor"], "EUR")


@pytest.mark.parametrize("quantity", [0, -1, 1.5, "2", True, 10**9, 10**12, 10**30, None, [1]])
async def test_on_the_socket_too_a_quantity_is_a_small_whole_number(pg, valkey, quantity):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(2)
        said = await on_socket(world, await world.buyer(), {"pool": sale["pool"], "quantity": quantity})
        assert said["error"]["code"] == "malformed"
        assert (await world.gate(sale["pool"])).held == 0


@pytest.mark.parametrize(
    "wanted",
    [
        {"price_minor": 0},
        {"price_minor": -5},
        {"price_minor": 10**13},
        {"price_minor": 600, "currency": "USD"},
        {"price_minor": 5.5},
        {"percent_off": 100, "price_minor": None},
        {"percent_off": True, "price_minor": None},
        {"allotment": 10**12},
        {"per_buyer_limit": 0},
        {"per_buyer_limit": 100},
        {"per_address_limit": -1},
        {"starts_at_ms": 2**60},
        {"duration_s": 1201},
        {"waiting_room": "yes", "countdown_s": 10},
    ],
)
async def test_a_hosts_sale_keeps_to_whole_numbers_within_their_bounds(pg, valkey, wanted):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        assert problem(await create(world, **({"variant": variant} | wanted)))[0] == 400
        assert (await world.pool_row(ordinary))["allotment"] == 5


async def test_a_key_is_its_persons_own_and_another_persons_same_key_is_another_wish(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        one, other = await world.buyers(2)
        first, second = await world.take(one, pool, key="same"), await world.take(other, pool, key="same")
        assert first.json()["id"] != second.json()["id"]
        assert problem(await world.take(one, pool, 2, key="same")) == (422, "idempotency_mismatch")
        assert problem(await other.ask("DELETE", f"/api/holds/{first.json()['id']}")) == (404, "not_found")


async def test_an_admission_of_somebody_else_and_a_stranger_pool_are_no_way_in(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        foreign = await elsewhere.sale(2)
        buyer = await world.buyer()
        joined = await buyer.post("/api/lines", {"pool": foreign["pool"], "show": world.show})
        assert problem(joined) == (404, "not_found")
        assert problem(await world.take(buyer, foreign["pool"], show=world.show)) == (404, "not_found")
        cancelled = await world.host.post(f"/api/shows/{world.show}/flash-sales/{foreign['id']}/cancel")
        assert problem(cancelled) == (404, "not_found")
