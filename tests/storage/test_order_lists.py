"""Orders in lists: a buyer's history by pages, a shop's by filters and as CSV; each sees their own."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from app.checkout import order_lists
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_carts import order as order_cart
from tests.storage.test_carts import put
from tests.storage.test_conditions import ALL, HOME, ask
from tests.storage.test_refunds import bought


async def listed(world, query="") -> list[str]:
    answer = await world.host.get(f"/api/shops/{world.shop}/orders{query}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["orders"]]


async def table(world, query="") -> list[list[str]]:
    answer = await world.host.get(f"/api/shops/{world.shop}/orders.csv{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.text, newline="")))


async def parcel(world, order: str, **said):
    return await world.host.ask("PUT", f"/api/shops/{world.shop}/orders/{order}/shipment", said)


async def test_a_history_comes_in_pages_that_nothing_new_can_shift(pg, valkey, monkeypatch):
    monkeypatch.setattr(order_lists, "PAGE_MAX", 2)
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(50)
        buyer, other = await world.buyer(), await world.buyer()
        made = [await bought(world, buyer, pool) for _ in range(5)]
        # As if they had been committed together: the moment alone does not put them in order.
        await pg.execute("UPDATE orders SET created_at = now() WHERE id = ANY($1)", made)
        foreign = await bought(world, other, pool)
        seen, query = [], ""
        while query is not None:
            page = (await buyer.get(f"/api/orders{query}")).json()
            seen += [one["id"] for one in page["orders"]]
            query = f"?before={page['before']}" if page["before"] else None
            if len(seen) == 2:
                await bought(world, buyer, pool)
        assert seen == sorted(made, reverse=True)
        for cursor in (foreign, "nothing", "%00", "x" * 500):
            assert problem(await buyer.get(f"/api/orders?before={cursor}")) == (400, "malformed")


async def test_one_order_is_told_whole_to_its_buyer_and_to_nobody_else(pg, valkey):
    async with open_world(pg, valkey) as world:
        await ask(world, ALL)
        _, pool = await world.variant(5)
        buyer, other = await world.buyer(), await world.buyer()
        await put(world, buyer, pool)
        made = await order_cart(world, buyer, 1499, shipping="post", policy=1, ship_to=HOME)
        assert made.status_code == 201, made.text
        await world.settle_all()
        one = made.json()["id"]
        sent = await parcel(world, one, carrier="DHL", number="0034", url="https://parcel.example/0034")
        assert sent.status_code == 200, sent.text
        told = (await buyer.get(f"/api/orders/{one}")).json()
        assert told["shipment"] == {"carrier": "DHL", "number": "0034", "url": "https://parcel.example/0034"}
        assert (told["shop_name"], told["ship_to"]["city"], told["shipped"]) == ("Clay", "Berlin", True)
        assert problem(await other.get(f"/api/orders/{one}")) == (404, "not_found")
        assert problem(await world.host.get(f"/api/orders/{one}")) == (404, "not_found")
        assert problem(await buyer.post(f"/api/orders/{one}/cancel")) == (409, "order_state")


async def test_a_parcel_is_of_an_order_that_is_paid_and_can_be_put_right(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        _, pool = await world.variant(5)
        buyer = await world.buyer()
        one = await bought(world, buyer, pool)
        await pg.execute("UPDATE orders SET state = 'authorised' WHERE id = $1", one)
        assert problem(await parcel(world, one, carrier="DHL")) == (409, "order_state")
        await pg.execute("UPDATE orders SET state = 'paid' WHERE id = $1", one)
        for bad in ({"url": "http://x.example/"}, {"carrier": "\x07"}, {}):
            assert problem(await parcel(world, one, **bad)) == (400, "tracking_invalid")
        assert problem(await parcel(world, one, carrier=1)) == (400, "malformed")
        assert problem(await parcel(world, one, carrier="x" * 61)) == (400, "malformed")
        assert problem(await parcel(elsewhere, one, carrier="DHL")) == (404, "not_found")
        assert (await parcel(world, one, carrier="DLH")).status_code == 200
        first = await pg.fetchval("SELECT shipped_at FROM orders WHERE id = $1", one)
        assert (await parcel(world, one, carrier="DHL")).json()["shipment"]["carrier"] == "DHL"
        assert await pg.fetchval("SELECT shipped_at FROM orders WHERE id = $1", one) == first


async def test_a_shop_finds_its_orders_by_state_time_product_buyer_and_show(pg, valkey, monkeypatch):
    async with open_world(pg, valkey) as world, open_world(pg, valkey) as elsewhere:
        _, pool = await world.variant(50)
        sale = (await world.sale(5))["pool"]
        ana, ben = await world.buyer(), await world.buyer()
        await pg.execute("UPDATE accounts SET name = $2 WHERE id = $1", ana.account, "Ana 100%_")
        plain = await bought(world, ana, pool)
        shown = await bought(world, ben, sale)
        waiting = await bought(world, ben, pool)
        await pg.execute("UPDATE orders SET state = 'authorised' WHERE id = $1", waiting)
        foreign = (await elsewhere.variant(5))[1]
        await bought(elsewhere, ana, foreign)
        assert await listed(world) == [waiting, shown, plain]
        assert await listed(world, "?state=authorised") == [waiting]
        assert await listed(world, f"?show={world.show}") == [shown]
        assert await listed(world, f"?show={elsewhere.show}") == []
        assert await listed(world, "?buyer=ana%20100%25_") == [plain]
        assert await listed(world, "?buyer=%25") == [plain]
        assert await listed(world, "?product=bowl") == [waiting, shown, plain]
        assert await listed(world, "?product=b_wl") == []
        await pg.execute(
            "UPDATE orders SET created_at = $2 WHERE id = $1", plain, datetime(2026, 1, 31, 23, tzinfo=UTC)
        )
        assert await listed(world, "?since=2026-01-31&until=2026-02-01") == [plain]
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
        assert await listed(world, f"?since={tomorrow}") == []
        assert (await parcel(world, shown, carrier="DHL")).status_code == 200
        assert await listed(world, "?shipped=yes") == [shown]
        assert await listed(world, "?shipped=no&state=paid") == [plain]
        monkeypatch.setattr(order_lists, "PAGE_MAX", 1)
        monkeypatch.setattr("app.checkout.order_lists.shop_page.__defaults__", (1,))
        assert await listed(world) == [waiting]
        assert await listed(world, f"?before={waiting}") == [shown]
        assert await listed(world, f"?before={shown}") == [plain]


@pytest.mark.parametrize(
    "query",
    [
        *("state=lost", "shipped=maybe", "since=today", "since=0001-01-01", "until=9999-12-31T23:59:59-23:59"),
        *("before=none", "product=" + "x" * 121, "buyer=%00", "since=" + "1" * 50),
    ],
)
async def test_filters_that_are_none_are_refused(pg, valkey, query):
    async with open_world(pg, valkey) as world:
        assert problem(await world.host.get(f"/api/shops/{world.shop}/orders?{query}")) == (400, "malformed")


async def test_a_table_of_orders_has_a_row_a_line_and_runs_nothing(pg, valkey, monkeypatch):
    monkeypatch.setattr(order_lists, "CSV_PAGE", 2)
    async with open_world(pg, valkey) as world:
        await ask(world, ALL)
        (variant, pool), (_, other) = await world.variant(50), await world.variant(50)
        rename = "UPDATE products SET title = $2 WHERE id = (SELECT product_id FROM variants WHERE id = $1)"
        await pg.execute(rename, variant, '=HYPERLINK("x")')
        await world.sales.gate.sync(pool)
        orders = []
        for _ in range(3):
            buyer = await world.buyer()
            await put(world, buyer, pool, 2)
            await put(world, buyer, other)
            made = await order_cart(world, buyer, 3499, shipping="post", policy=1, ship_to={**HOME, "extra": "@home"})
            assert made.status_code == 201, made.text
            orders.append(made.json()["id"])
        await world.settle_all()
        await parcel(world, orders[0], number="-1")
        head, *rows = await table(world)
        assert [row[0] for row in rows] == [one for one in reversed(orders) for _ in range(2)]
        assert all(len(row) == len(head) for row in rows)
        last = dict(zip(head, rows[-2], strict=True))
        assert last["item"].startswith("'=HYPERLINK")
        assert (last["tracking number"], last["extra"], last["shipping"]) == ("'-1", "'@home", "4.99")
        assert (last["quantity"], last["unit price"], last["order total"]) == ("2", "10.00", "34.99")
        assert len(await table(world, "?shipped=yes")) == 3
        assert problem(await world.host.get(f"/api/shops/{world.shop}/orders.csv?state=x")) == (400, "malformed")
        stranger = await world.buyer()
        assert problem(await stranger.get(f"/api/shops/{world.shop}/orders.csv"))[0] in {403, 404}
