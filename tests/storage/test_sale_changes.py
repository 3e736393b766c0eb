"""What a host does with a sale that is there: starts it by hand or by the clock, lengthens it, fills it up."""

import asyncio

import pytest

from app.flash_sales import rounds
from app.flash_sales.moment import valkey_now_ms
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_sales import create, move_time, path, states


async def act(world, sale: dict, word: str, **body):
    return await world.host.post(path(world, sale["id"], word), body or None)


async def shelf(world, sale: dict, more: int) -> str:
    """The ordinary pool of the sale's variant, with so many units more."""
    pool = await world.pg.fetchval(
        "UPDATE pools SET allotment = allotment + $2 WHERE variant_id = $1 AND flash_sale_id IS NULL RETURNING id",
        sale["variant"],
        more,
    )
    await world.sales.gate.sync(pool)
    return pool


async def test_a_sale_set_for_a_time_is_scheduled_then_counts_down_then_runs_by_valkeys_clock(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(5)
        at = await valkey_now_ms(valkey) + 3_600_000
        sale = (await create(world, variant=variant, starts_at_ms=at, countdown_s=120)).json()
        assert (sale["state"], sale["starts_at_ms"], sale["countdown_s"]) == ("scheduled", at, 120)
        buyer = await world.buyer()
        for shift_s, state in ((0, "scheduled"), (3481, "countdown")):
            await move_time(world, sale["id"], shift_s * 1000)
            await rounds.move_sales(world.sales)
            assert world.rooms.value(world.show, f"sale:{sale['id']}").state == state
            assert problem(await world.take(buyer, sale["pool"])) == (409, "not_started")
        await move_time(world, sale["id"], 120_000)
        assert (await world.take(buyer, sale["pool"])).json()["unit_price_minor"] == 600
        await rounds.move_sales(world.sales)
        assert await states(world, sale["id"]) == ["scheduled", "countdown", "running"]


@pytest.mark.parametrize("ahead_ms", [60_000, 3_600_000])
async def test_the_host_starts_a_sale_that_is_to_come_and_it_lasts_as_long_as_it_would_have(pg, valkey, ahead_ms):
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(5)
        at = await valkey_now_ms(valkey) + ahead_ms
        sale = (await create(world, variant=variant, starts_at_ms=at, duration_s=60)).json()
        begun = (await act(world, sale, "start")).json()
        assert begun["state"] == "running"
        assert begun["starts_at_ms"] < at
        assert begun["ends_at_ms"] - begun["starts_at_ms"] == 60_000
        assert (await world.take(await world.buyer(), sale["pool"])).status_code == 201
        assert problem(await act(world, sale, "start")) == (409, "sale_state")


async def test_a_longer_sale_still_sells_when_its_first_end_has_passed(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(5)
        sale = (await create(world, variant=variant, duration_s=60)).json()
        longer = (await act(world, sale, "extend", by_s=300)).json()
        assert longer["ends_at_ms"] - sale["ends_at_ms"] == 300_000
        assert longer["version"] > sale["version"]
        await move_time(world, sale["id"], 100_000)
        await rounds.move_sales(world.sales)
        assert (await world.take(await world.buyer(), sale["pool"])).status_code == 201
        assert problem(await act(world, sale, "extend", by_s=1200)) == (409, "sale_state")
        await move_time(world, sale["id"], 300_000)
        assert problem(await act(world, sale, "extend", by_s=60)) == (409, "sale_state")
        await rounds.move_sales(world.sales)
        assert await states(world, sale["id"]) == ["running", "ended"]


async def test_an_end_that_was_moved_away_is_not_written_by_a_round_that_read_the_old_one(pg, valkey):
    """The worker had read the sale as over; the host's longer end was written in between."""
    async with open_world(pg, valkey) as world:
        variant, _ = await world.variant(5)
        sale = (await create(world, variant=variant, duration_s=60)).json()
        from app.flash_sales import sale_store
        from app.flash_sales.sale_rules import SaleEvent
        from app.flash_sales.sales import change

        read_before = await sale_store.read_sale(pg, world.show, sale["id"])
        await act(world, sale, "extend", by_s=60)
        assert not await change(world.sales, read_before, SaleEvent.END, sale["ends_at_ms"])
        assert (await world.take(await world.buyer(), sale["pool"])).status_code == 201


async def test_units_that_come_into_a_sold_out_sale_are_sold_and_no_unit_is_in_two_pools(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(1)
        ordinary = await shelf(world, sale, 5)
        buyer, other = await world.buyers(2)
        assert (await world.order(buyer, await world.held(buyer, sale["pool"]))).status_code == 201
        await rounds.move_sales(world.sales)
        assert problem(await world.take(other, sale["pool"])) == (409, "sold_out")
        fuller = (await act(world, sale, "stock", units=2)).json()
        assert (fuller["allotment"], fuller["version"] > sale["version"]) == (3, True)
        await rounds.move_sales(world.sales)
        assert await states(world, sale["id"]) == ["running", "sold_out", "running"]
        assert (await world.take(other, sale["pool"], 2)).status_code == 201
        assert (await world.gate(ordinary)).left == 3
        await world.settle_all()
        await world.check(sale["pool"])
        await world.check(ordinary)


async def test_units_are_added_only_from_what_is_free_on_the_shelf(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(1)
        ordinary = await shelf(world, sale, 5)
        await world.held(await world.buyer(), ordinary, 4)
        assert problem(await act(world, sale, "stock", units=2)) == (409, "stock_short")
        answers = await asyncio.gather(*(act(world, sale, "stock", units=1) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        await act(world, sale, "end")
        assert problem(await act(world, sale, "stock", units=1)) == (409, "sale_state")
        await world.check(ordinary)


async def test_two_sales_of_one_show_run_at_once_and_neither_cares_what_is_pinned(pg, valkey):
    async with open_world(pg, valkey) as world:
        first, second = await world.sale(1), await world.sale(1, price_minor=700)
        for sale in (first, second):
            product = await pg.fetchval("SELECT product_id FROM variants WHERE id = $1", sale["variant"])
            await pg.execute("UPDATE shows SET pinned_product_id = $2 WHERE id = $1", world.show, product)
            await rounds.move_sales(world.sales)
        buyer = await world.buyer()
        prices = [(await world.take(buyer, sale["pool"])).json()["unit_price_minor"] for sale in (first, second)]
        assert prices == [600, 700]
        listed = (await buyer.get(path(world))).json()["sales"]
        assert [sale["state"] for sale in listed] == ["running", "running"]
