"""Shows over HTTP and what their room hears: states, line-up, pins, stream keys, moderators."""

import asyncio
import hashlib

import msgspec
import pytest

from app import clock
from app.accounts.register import create_shop
from app.flash_sales import sale_store
from app.flash_sales.parts import open_flash_sales
from app.flash_sales.sale_store import Sale
from app.flash_sales.sales import CreateSale, create_sale
from app.flash_sales.sources import SaleSource
from app.streams.announce import SayAgain
from tests.protocol.callers import Caller, problem, somebody
from tests.protocol.show_stage import Stage


@pytest.fixture
async def stage(pg, valkey):
    stage = await Stage(pg, valkey).open()
    yield stage
    stage.close()


async def test_a_new_show_is_scheduled_and_everybody_can_see_it(stage):
    show = await stage.show(scheduled_at="2026-12-24T18:00:00+01:00")
    seen = (await Caller(stage.app).get(f"/api/shows/{show}")).json()
    assert seen["shop"] == {"id": stage.shop, "name": "Shop", "currency": "EUR"}
    assert (seen["title"], seen["state"], seen["standing"]) == ("Tea at five", "scheduled", "viewer")
    assert (seen["scheduled_at"], seen["started_at"], seen["ended_at"]) == ("2026-12-24T17:00:00Z", None, None)
    assert (seen["pinned"], seen["lineup"], seen["viewers"]) == (None, [], 0)
    assert (await stage.host.get(f"/api/shows/{show}")).json()["standing"] == "host"
    listed = (await Caller(stage.app).get("/api/shows")).json()["shows"]
    assert show in [one["id"] for one in listed]
    assert all("lineup" not in one for one in listed)


async def test_a_show_goes_through_its_states_and_the_room_hears_each(stage):
    show = await stage.show()
    for act, state in (("start", "live"), ("pause", "paused"), ("resume", "live"), ("end", "ended")):
        answer = await stage.host.post(f"/api/shows/{show}/{act}")
        assert answer.status_code == 200
        assert answer.json()["state"] == state
    events, keys = await stage.told(show)
    assert [event["state"] for event in events if event["t"] == "show"] == ["live", "paused", "live", "ended"]
    assert keys["show"][1]["state"] == "ended"
    assert keys["show"][1]["started_at_ms"] <= clock.now_ms()
    assert stage.ends.sales == stage.ends.media == [show]


async def test_an_act_that_does_not_fit_is_a_conflict_and_changes_nothing(stage):
    show = await stage.show()
    for acts, wrong in (
        (("pause", "resume"), "scheduled"),
        (("start", "resume"), "live"),
        (("start", "pause"), "ended"),
    ):
        for act in acts:
            assert problem(await stage.host.post(f"/api/shows/{show}/{act}")) == (409, "show_state")
        assert (await stage.host.get(f"/api/shows/{show}")).json()["state"] == wrong
        following = {"scheduled": "start", "live": "end", "ended": None}[wrong]
        if following:
            await stage.host.post(f"/api/shows/{show}/{following}")


async def test_two_hosts_who_start_at_once_start_it_once(stage):
    show = await stage.show()
    answers = await asyncio.gather(*(stage.host.post(f"/api/shows/{show}/start") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    events, _ = await stage.told(show)
    assert [event["t"] for event in events] == ["show"]


async def test_the_title_can_change_until_the_end_and_the_room_hears_it(stage):
    show = await stage.show("start")
    path = f"/api/shows/{show}"
    assert (await stage.host.ask("PATCH", path, {"title": " Tea  at six "})).json()["title"] == "Tea at six"
    _, keys = await stage.told(show)
    assert keys["show"][1]["title"] == "Tea at six"
    assert problem(await stage.host.ask("PATCH", path, {"title": "\u202e"})) == (400, "text_invalid")
    assert problem(await stage.host.ask("PATCH", path, {"state": "ended"})) == (400, "unknown_field")
    assert problem(await stage.host.ask("PATCH", path, {"scheduled_at": "0001-01-01T00:00:00+14:00"}))[0] == 400
    assert problem(await stage.host.ask("PATCH", path, {"scheduled_at": "2026-12-24T18:00:00"}))[0] == 400
    await stage.host.post(f"{path}/end")
    assert problem(await stage.host.ask("PATCH", path, {"title": "Later"})) == (409, "show_ended")


async def test_the_line_up_keeps_its_order_and_takes_only_the_shops_products(stage, pg):
    show = await stage.show()
    path = f"/api/shows/{show}/lineup"
    for order in ([stage.cup["id"], stage.tea["id"]], [stage.tea["id"], stage.cup["id"]], []):
        answer = await stage.host.ask("PUT", path, {"products": order})
        assert [product["id"] for product in answer.json()["lineup"]] == order
    await stage.host.ask("PUT", path, {"products": [stage.cup["id"]]})
    other = await somebody(stage.app, stage.accounts, clock.new_id())
    other_shop = await create_shop(pg, name="Other", currency="EUR", host=other.account)
    theirs = await stage.product("Theirs", other, other_shop)
    for wrong in ([theirs["id"]], ["nothing"], [stage.cup["id"], stage.cup["id"]]):
        assert problem(await stage.host.ask("PUT", path, {"products": wrong})) == (400, "unknown_product")
    assert problem(await stage.host.ask("PUT", path, {"products": ["x"] * 201})) == (400, "malformed")
    seen = (await stage.host.get(f"/api/shows/{show}")).json()
    assert [product["id"] for product in seen["lineup"]] == [stage.cup["id"]]


async def test_a_pin_is_in_the_show_and_in_the_room_until_it_is_taken_away(stage):
    show = await stage.show("start")
    path = f"/api/shows/{show}/pins"
    for _ in range(2):  # the second says nothing again
        assert (await stage.host.ask("PUT", path, {"product": stage.tea["id"]})).status_code == 204
    seen = (await stage.host.get(f"/api/shows/{show}")).json()
    assert seen["pinned"] == stage.tea["id"]
    assert seen["lineup"] == [stage.tea]
    events, keys = await stage.told(show)
    assert events[-1]["t"] == "pin"
    assert events[-1]["product"] == {"id": stage.tea["id"], "title": "Tea pot"}
    assert keys["pin"][1] == stage.tea
    assert len([event for event in events if event["t"] == "pin"]) == 1
    for _ in range(2):
        assert (await stage.host.ask("DELETE", path)).status_code == 204
    events, later = await stage.told(show)
    assert events[-1]["product"] is None
    assert len([event for event in events if event["t"] == "pin"]) == 2
    assert later["pin"][1] is None
    assert later["pin"][0] > keys["pin"][0]


async def test_only_the_shops_products_can_be_pinned_and_only_before_the_end(stage):
    show = await stage.show("start")
    path = f"/api/shows/{show}/pins"
    assert problem(await stage.host.ask("PUT", path, {"product": "nothing"})) == (400, "unknown_product")
    assert (await stage.host.get(f"/api/shows/{show}")).json()["lineup"] == []
    await stage.host.ask("PUT", path, {"product": stage.tea["id"]})
    await stage.host.post(f"/api/shows/{show}/end")
    assert (await stage.host.get(f"/api/shows/{show}")).json()["pinned"] is None
    _, keys = await stage.told(show)
    assert keys["pin"][1] is None
    assert problem(await stage.host.ask("PUT", path, {"product": stage.tea["id"]})) == (409, "show_ended")


async def test_a_pinned_product_that_changes_is_said_again(stage):
    show = await stage.show("start")
    await stage.host.ask("PUT", f"/api/shows/{show}/pins", {"product": stage.tea["id"]})
    variant = {"id": stage.tea["variants"][0]["id"], "price_minor": 400, "stock_add": 2}
    edit = {"title": "Better tea pot", "variants": [variant]}
    assert (await stage.host.ask("PUT", f"/api/products/{stage.tea['id']}", edit)).status_code == 200
    _, keys = await stage.told(show)
    assert keys["pin"][1]["title"] == "Better tea pot"
    assert keys["pin"][1]["variants"][0]["price_minor"] == 400
    assert keys["pin"][1]["variants"][0]["on_hand"] == 5


async def test_a_lost_room_gets_its_keys_back_with_versions_that_still_grow(stage, valkey):
    show = await stage.show("start")
    await stage.host.ask("PUT", f"/api/shows/{show}/pins", {"product": stage.tea["id"]})
    _, before = await stage.told(show)
    await valkey.flushall()
    _, after = await stage.told(show)
    assert after == before


async def test_what_could_not_be_said_is_said_by_the_loop(stage, monkeypatch):
    show = await stage.show("start")

    async def away(*_, **__):
        raise ConnectionRefusedError

    monkeypatch.setattr(stage.rooms, "set_state", away)
    monkeypatch.setattr(stage.rooms, "append", away)
    answer = await stage.host.ask("PUT", f"/api/shows/{show}/pins", {"product": stage.tea["id"]})
    assert answer.status_code == 204
    monkeypatch.undo()
    assert (await stage.told(show))[1]["pin"][1] is None
    await SayAgain(stage.streams).run()
    assert (await stage.told(show))[1]["pin"][1] == stage.tea


async def test_the_loop_ends_sales_and_media_of_a_show_whose_end_was_not_heard(stage):
    show = await stage.show("end")
    stage.ends.sales.clear()
    stage.ends.media.clear()
    loop = SayAgain(stage.streams)
    await loop.run()
    assert stage.ends.sales.count(show) == stage.ends.media.count(show) == 1
    await stage.pg.execute("UPDATE shows SET ended_at = now() - interval '1 minute' WHERE id = $1", show)
    await loop.run()
    await loop.run()
    assert stage.ends.sales.count(show) == stage.ends.media.count(show) == 2


async def test_the_end_of_a_show_ends_its_sales_and_brings_their_units_back(stage, valkey):
    sales = open_flash_sales(stage.pg, valkey, stage.rooms, stage.accounts.settings)
    show = await stage.show("start")
    await stage.host.ask("PUT", f"/api/shows/{show}/pins", {"product": stage.tea["id"]})
    variant = stage.tea["variants"][0]
    wanted = {"variant": variant["id"], "allotment": 1, "per_buyer_limit": 1, "duration_s": 60, "price_minor": 100}
    for countdown_s in (0, 60):
        new = msgspec.convert({**wanted, "countdown_s": countdown_s}, CreateSale)
        made = await create_sale(sales, host=stage.host.account, show=show, wanted=new)
        assert isinstance(made, Sale), made
    await SaleSource(sales).show_ended(show)
    await SaleSource(sales).show_ended(show)
    assert sorted(row.view.state for row in await sale_store.sales_of(stage.pg, show)) == ["cancelled", "ended"]
    product = (await stage.host.get(f"/api/products/{stage.tea['id']}")).json()
    assert product["variants"][0]["on_hand"] == 3
    await sales.close()


async def test_what_is_left_of_a_product_is_said_when_it_joins_the_line_up_or_is_pinned(stage):
    """The room had no stock of a product that joined until it changed or the worker came round, seconds later."""
    show, (tea, cup) = await stage.show("start"), (stage.tea["id"], stage.cup["id"])
    for products in ([tea], [cup, tea], [tea, cup]):
        assert (await stage.host.ask("PUT", f"/api/shows/{show}/lineup", {"products": products})).status_code == 200
    assert (await stage.host.ask("PUT", f"/api/shows/{show}/pins", {"product": tea})).status_code == 204
    assert stage.ends.joined == [(show, [tea]), (show, [cup]), (show, [tea])]


async def test_the_room_of_a_show_hears_the_stock_of_products_that_join(stage, valkey):
    show = await stage.show("start")
    sales = open_flash_sales(stage.pg, valkey, stage.rooms, stage.accounts.settings)
    await SaleSource(sales).products_joined(show, [stage.tea["id"]])
    pool = stage.tea["variants"][0]["pool"]
    _, keys = await stage.told(show)
    stock = {"pool": pool, "left": 3, "held": 0, "sold": 0, "status": "open"}
    price_minor = stage.tea["variants"][0]["price_minor"]
    assert keys[f"pool:{pool}"][1] == stock | {"price_minor": price_minor, "list_minor": price_minor}
    await sales.close()


async def test_a_stream_key_is_shown_once_kept_as_a_hash_and_worthless_after_the_next(stage, pg):
    show = await stage.show()
    path = f"/api/shows/{show}/stream-key"
    assert (await stage.host.get(path)).json() == {"whip_url": f"http://shop.example/whip/{show}", "hint": None}
    first = (await stage.host.post(path)).json()
    assert first["whip_url"] == f"http://shop.example/whip/{show}"
    assert first["hint"] == first["key"][-4:]
    assert (await stage.host.get(path)).json() == {"whip_url": first["whip_url"], "hint": first["hint"]}

    async def kept() -> bytes:
        return await pg.fetchval("SELECT key_hash FROM stream_keys WHERE show_id = $1", show)

    assert await kept() == hashlib.sha256(first["key"].encode()).digest()
    second = (await stage.host.post(path)).json()
    assert await kept() == hashlib.sha256(second["key"].encode()).digest()
    assert second["key"] != first["key"]


async def test_who_publishes_with_a_key_goes_off_air_when_it_is_replaced(stage):
    """A stolen key was replaced, and whoever had it went on publishing for as long as they liked."""
    show = await stage.show("start")
    assert (await stage.host.post(f"/api/shows/{show}/stream-key")).status_code == 201
    assert stage.ends.off_air == [(show, "key")]
    assert stage.ends.media == []


async def test_unknown_shows_are_404_everywhere(stage):
    for method, path in (("GET", ""), ("POST", "/start"), ("DELETE", "/pins"), ("GET", "/moderators")):
        assert problem(await stage.host.ask(method, f"/api/shows/nowhere{path}")) == (404, "not_found")
