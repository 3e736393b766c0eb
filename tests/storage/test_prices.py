"""Campaigns and product discounts on the real gate: what a unit costs before, during and after, and who is told."""

import asyncio

import pytest

from app.catalog.campaigns import OPEN_MAX, NewCampaign, campaigns_of, end_campaign, make_campaign
from app.catalog.products import find_product, update_product
from app.catalog.views import Discount, ProductEdit, VariantEdit
from app.flash_sales.gate_wire import gate_keys
from app.flash_sales.price_rounds import move_prices
from app.flash_sales.sources import SaleSource
from app.refusal import Refusal
from tests.storage.stock_world import open_world

FAR_MS = 3_600_000


async def now_ms(world) -> int:
    return await world.pg.fetchval("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")


async def campaign(world, *, starts_in=None, lasts=FAR_MS, percent=20, name="Tea week", products=None):
    now = await now_ms(world)
    starts = None if starts_in is None else now + starts_in
    new = NewCampaign(world.shop, name, percent, now + (starts_in or 0) + lasts, starts, products)
    return await make_campaign(world.pg, world.host.account, new)


async def price(world, pool: str) -> int:
    """What the next unit costs somebody new."""
    answer = await world.take(await world.buyer(), pool)
    assert answer.status_code == 201, answer.text
    return answer.json()["unit_price_minor"]


async def edge(world, column: str, table: str = "campaigns") -> None:
    """Makes the edge come now, which is as good as waiting; then the worker's round."""
    now = f"UPDATE {table} SET {column} = clock_timestamp() WHERE shop_id = $1 AND {column} IS NOT NULL"
    await world.pg.execute(now, world.shop)
    await move_prices(world.sales)


async def told(world, pool: str):
    await world.sales.voice.drain()
    state = world.rooms.value(world.show, f"pool:{pool}")
    return state.price_minor, state.list_minor, state.campaign


async def edit(world, pool: str, *, price_minor=1000, discount=None) -> None:
    """The host saves the product's form."""
    variant, product = await world.pg.fetchrow(
        "SELECT v.id, v.product_id FROM pools p JOIN variants v ON v.id = p.variant_id WHERE p.id = $1", pool
    )
    changed = ProductEdit("Bowl", [VariantEdit(price_minor, id=variant)], discount=discount)
    assert not isinstance(await update_product(world.pg, product, changed), Refusal)
    assert (await find_product(world.pg, product)).discount == discount
    await SaleSource(world.sales).stock_changed([pool])


async def test_a_campaign_changes_the_price_from_its_start_to_its_end_and_a_hold_keeps_that_of_its_grant(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        assert await price(world, pool) == 1000
        made = await campaign(world, starts_in=FAR_MS)
        await move_prices(world.sales)
        assert (made.state, await price(world, pool), await told(world, pool)) == ("planned", 1000, (1000, 1000, ""))
        await edge(world, "starts_at")
        assert await told(world, pool) == (800, 1000, "Tea week")
        buyer = await world.buyer()
        held = (await world.take(buyer, pool)).json()
        assert held["unit_price_minor"] == 800
        await edge(world, "ends_at")
        assert await told(world, pool) == (1000, 1000, "")
        assert await price(world, pool) == 1000
        order = await world.order(buyer, held["id"])
        assert (order.status_code, order.json()["total_minor"]) == (201, 800)


async def test_the_host_ends_a_campaign_and_calls_off_one_that_is_to_come(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        running, planned = await campaign(world), await campaign(world, starts_in=FAR_MS, name="Later")
        await world.gate(pool)
        await move_prices(world.sales)
        assert await price(world, pool) == 800
        for one in (running, planned):
            assert (await end_campaign(pg, world.shop, one.id)).state == "over"
        await edge(world, "starts_at")
        assert await price(world, pool) == 1000
        assert [one.state for one in (await campaigns_of(pg, world.shop)).campaigns] == ["over", "over"]


async def test_only_the_chosen_products_are_cheaper_and_a_flash_sale_is_untouched(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(3)
        (_, chosen), (_, other) = await world.variant(9), await world.variant(9)
        product = await pg.fetchval(
            "SELECT v.product_id FROM pools p JOIN variants v ON v.id = p.variant_id WHERE p.id = $1", chosen
        )
        await campaign(world, percent=50, products=[product])
        await campaign(world, percent=10)
        for pool in (chosen, other, sale["pool"]):
            await world.gate(pool)
        await move_prices(world.sales)
        assert [await price(world, pool) for pool in (chosen, other, sale["pool"])] == [500, 900, 600]
        assert await told(world, sale["pool"]) == (600, 1000, "")


async def test_a_discount_counts_within_its_window_and_yields_to_a_campaign(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        await world.gate(pool)
        now = await now_ms(world)
        await edit(
            world, pool, discount=Discount(amount_minor=1, starts_at_ms=now + FAR_MS, ends_at_ms=now + 2 * FAR_MS)
        )
        assert await price(world, pool) == 1000
        await edge(world, "discount_starts_at", "products")
        assert (await price(world, pool), await told(world, pool)) == (999, (999, 1000, ""))
        made = await campaign(world, percent=5)
        await move_prices(world.sales)
        assert await price(world, pool) == 950
        await end_campaign(pg, world.shop, made.id)
        await edge(world, "discount_ends_at", "products")
        assert await price(world, pool) == 1000


async def test_a_list_price_edited_during_a_campaign_is_what_its_percentage_is_taken_of(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        await campaign(world)
        assert await price(world, pool) == 800
        await edit(world, pool, price_minor=1999, discount=Discount(percent=50))
        assert (await price(world, pool), await told(world, pool)) == (1599, (1599, 1999, "Tea week"))
        await edge(world, "ends_at")
        assert await price(world, pool) == 999


async def test_two_workers_at_an_edge_leave_one_price(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey, rooms=world.rooms, stage=False) as second:
        pools = [(await world.variant(9))[1] for _ in range(6)]
        for pool in pools:
            await world.gate(pool)
        await campaign(world)
        await asyncio.gather(*(move_prices(one.sales) for one in (world, second) for _ in range(2)))
        assert {await price(world, pool) for pool in pools} == {800}
        assert {await told(world, pool) for pool in pools} == {(800, 1000, "Tea week")}
        version = (await world.gate(pools[0])).version
        await move_prices(second.sales)
        assert (await world.gate(pools[0])).version == version


async def test_a_wipe_of_valkey_during_a_campaign_changes_no_price(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        await campaign(world)
        assert await price(world, pool) == 800
        await valkey.flushall()
        assert await price(world, pool) == 800
        await valkey.flushall()
        await edge(world, "ends_at")
        assert not await valkey.exists(gate_keys(pool).config)
        assert await price(world, pool) == 1000


async def test_an_edge_that_passed_while_no_worker_ran_is_carried_to_the_gate_by_the_next_round(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        await move_prices(world.sales)
        assert await price(world, pool) == 1000
        await campaign(world)
        await pg.execute(
            "UPDATE campaigns SET starts_at = starts_at - interval '1 hour' WHERE shop_id = $1", world.shop
        )
        await pg.execute("UPDATE price_rounds SET seen_until = seen_until - interval '2 hours'")
        await move_prices(world.sales)
        assert await price(world, pool) == 800


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"lasts": -1}, "malformed"),
        ({"lasts": 367 * 24 * FAR_MS}, "malformed"),
        ({"name": " \u200b "}, "text_invalid"),
        ({"products": ["nothing"]}, "unknown_product"),
    ],
)
async def test_a_campaign_that_cannot_be_is_refused(pg, valkey, wanted, code):
    async with open_world(pg, valkey) as world:
        assert (await campaign(world, **wanted)).code == code
        assert (await campaigns_of(pg, world.shop)).campaigns == []


async def test_a_shop_has_so_many_campaigns_and_ends_its_own_alone(pg, valkey):
    async with open_world(pg, valkey) as world:
        made = [await campaign(world) for _ in range(OPEN_MAX)]
        assert (await campaign(world)).code == "too_many"
        assert (await end_campaign(pg, "another", made[0].id)).code == "not_found"
        await end_campaign(pg, world.shop, made[0].id)
        assert (await campaign(world)).state == "running"
