"""Webhooks out: what happens in a shop reaches its servers, signed, again until it arrives, and nobody else's."""

import asyncio

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app import clock
from app.accounts.gatekeeper import AccountsGatekeeper
from app.accounts.register import create_shop
from app.http.edge import build_asgi, build_routes
from app.settings import Settings
from app.webhooks.deliver import deliver, spread
from app.webhooks.edge import endpoints
from app.webhooks.parts import open_webhooks
from app.webhooks.store import ENDPOINTS_MAX, PAGE_MAX
from app.webhooks.target import Outcome, Target
from tests.protocol.callers import accounts_over, problem, somebody
from tests.receiver import receiver, says
from tests.waiting import eventually_true


class Shop:
    """A shop with its host, its webhooks' routes, and the worker's half to be turned by hand."""

    def __init__(self, pg, valkey, **settings):
        self.pg = pg
        self.accounts = accounts_over(pg, valkey)
        self.webhooks = open_webhooks(pg, Settings(**{"webhooks_private": True, "webhook_timeout_s": 60, **settings}))
        routes = build_routes(endpoints(self.webhooks), AccountsGatekeeper(self.accounts), self.accounts.settings)
        self.app = build_asgi(routes)

    async def open(self):
        self.host = await somebody(self.app, self.accounts, clock.new_id())
        self.id = await create_shop(self.pg, name="Shop", currency="EUR", host=self.host.account)
        self.path = f"/api/shops/{self.id}/webhooks"
        return self

    async def close(self):
        await self.pg.execute("DELETE FROM webhook_endpoints")
        await self.webhooks.target.aclose()
        self.accounts.passwords.close()

    async def add(self, url, *events):
        answer = await self.host.post(self.path, {"url": url, "events": list(events)})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return made["webhook"]["id"], made["secret"]

    async def order(self, state="authorised"):
        order = clock.new_id()
        await self.pg.execute(
            "INSERT INTO orders (id, account_id, shop_id, state, total_minor, currency)"
            " VALUES ($1, $2, $3, $4, 500, 'EUR')",
            order, self.host.account, self.id, state,
        )  # fmt: skip
        return order

    async def show(self):
        show = clock.new_id()
        await self.pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'Tea')", show, self.id)
        return show

    async def work(self):
        """One turn of the worker, with nothing left to wait for."""
        await self.pg.execute("UPDATE webhook_deliveries SET next_try_at = now() WHERE state = 'pending'")
        await spread(self.webhooks)
        await deliver(self.webhooks, failing=False)
        await deliver(self.webhooks, failing=True)

    async def deliveries(self, webhook, query=""):
        answer = await self.host.get(f"{self.path}/{webhook}/deliveries{query}")
        assert answer.status_code == 200
        return answer.json()


@pytest.fixture
async def shop(pg, valkey):
    made = await Shop(pg, valkey).open()
    yield made
    await made.close()


async def test_an_order_reaches_the_shops_server_signed(shop):
    async with receiver() as server:
        _, secret = await shop.add(server.url, "order.authorised", "order.paid")
        order = await shop.order()
        await shop.pg.execute("UPDATE orders SET state = 'paid' WHERE id = $1", order)
        await shop.work()
    told = [Webhook(secret).verify(body, headers) for headers, body in server.got]
    assert sorted(one["type"] for one in told) == ["order.authorised", "order.paid"]
    assert {one["data"]["id"] for one in told} == {order}
    assert {one["data"]["state"] for one in told} == {"authorised", "paid"}
    assert told[0]["data"]["total_minor"] == 500
    assert told[0]["timestamp"].endswith("+00:00")


async def test_a_body_that_was_changed_on_the_way_is_no_longer_signed(shop):
    async with receiver() as server:
        _, secret = await shop.add(server.url, "order.authorised")
        await shop.order()
        await shop.work()
    headers, body = server.got[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace("500", "1"), headers)


async def test_shows_and_flash_sales_are_told_by_the_state_they_came_into(shop):
    async with receiver() as server:
        await shop.add(server.url, "show.live", "flash_sale.running")
        show = await shop.show()
        await shop.pg.execute("UPDATE shows SET state = 'live' WHERE id = $1", show)
        await shop.pg.execute("UPDATE shows SET title = 'Coffee' WHERE id = $1", show)
        product, variant, sale = clock.new_id(), clock.new_id(), clock.new_id()
        await shop.pg.execute("INSERT INTO products (id, shop_id, title) VALUES ($1, $2, 'Tea')", product, shop.id)
        await shop.pg.execute(
            "INSERT INTO variants (id, product_id, title, price_minor, position) VALUES ($1, $2, 'Tea', 900, 1)",
            variant, product,
        )  # fmt: skip
        await shop.pg.execute(
            "INSERT INTO flash_sales (id, show_id, variant_id, state, price_minor, compare_at_minor, per_buyer_limit,"
            " starts_at, ends_at, created_by) VALUES ($1, $2, $3, 'running', 500, 900, 1, now(), now() + '1 min', $4)",
            sale, show, variant, shop.host.account,
        )  # fmt: skip
        await shop.work()
    told = [body for _, body in server.got]
    assert len(told) == 2
    assert any(show in body and '"show.live"' in body and "Coffee" in body for body in told)
    assert any(sale in body and '"flash_sale.running"' in body and '"price_minor":500' in body for body in told)


async def test_nobody_is_told_of_another_shop_or_of_what_they_did_not_ask_for(shop, pg, valkey):
    other = await Shop(pg, valkey).open()
    async with receiver() as server:
        await shop.add(server.url, "order.cancelled")
        await other.order("cancelled")
        await shop.order("authorised")
        await shop.work()
    assert server.got == []
    assert await pg.fetchval("SELECT count(*) FROM webhook_events WHERE shop_id = ANY($1)", [shop.id, other.id]) == 0
    await other.close()


async def test_what_did_not_arrive_is_sent_again_with_the_same_id_and_bytes(shop):
    answers = [says(500), says(301, "location: http://127.0.0.1:1/"), None, says(204)]
    async with receiver() as server:
        server.answers = list(answers)
        webhook, _ = await shop.add(server.url, "order.authorised")
        await shop.order()
        statuses = []
        for _ in answers:
            await shop.work()
            (delivery,) = (await shop.deliveries(webhook))["deliveries"]
            statuses.append((delivery["state"], delivery["status"]))
    assert statuses == [("pending", 500), ("pending", 301), ("pending", None), ("delivered", 204)]
    assert len({headers["webhook-id"] for headers, _ in server.got}) == 1
    assert len({body for _, body in server.got}) == 1
    assert len(server.got) == 4


async def test_after_the_last_try_it_has_failed_and_can_be_replayed(shop, monkeypatch):
    monkeypatch.setattr("app.webhooks.webhook_rules.TRIES_MAX", 2)
    async with receiver() as server:
        server.answers = [says(500), says(500)]
        webhook, _ = await shop.add(server.url, "order.authorised")
        await shop.order()
        for _ in range(3):
            await shop.work()
        (delivery,) = (await shop.deliveries(webhook))["deliveries"]
        assert (delivery["state"], delivery["tries"]) == ("failed", 2)
        replayed = await shop.host.post(f"{shop.path}/{webhook}/deliveries/{delivery['event']}/replay")
        assert replayed.status_code == 202
        await shop.work()
        (delivery,) = (await shop.deliveries(webhook))["deliveries"]
    assert (delivery["state"], delivery["status"]) == ("delivered", 200)
    assert len(server.got) == 3
    unknown = await shop.host.post(f"{shop.path}/{webhook}/deliveries/nothing/replay")
    assert problem(unknown) == (404, "not_found")


async def test_a_server_that_says_it_is_gone_is_told_nothing_until_it_is_resumed(shop):
    async with receiver() as server:
        server.answers = [says(410)]
        webhook, _ = await shop.add(server.url, "order.authorised")
        await shop.order()
        await shop.work()
        (listed,) = (await shop.host.get(shop.path)).json()["webhooks"]
        assert listed["state"] == "suspended"
        await shop.order()
        await shop.work()
        assert len(server.got) == 1
        missed = (await shop.deliveries(webhook))["deliveries"]
        assert [one["state"] for one in missed] == ["failed", "failed"]
        resumed = await shop.host.post(f"{shop.path}/{webhook}/resume")
        assert resumed.json()["state"] == "active"
        await shop.host.post(f"{shop.path}/{webhook}/deliveries/{missed[0]['event']}/replay")
        await shop.work()
    assert len(server.got) == 2


async def test_days_of_failure_suspend_an_endpoint(shop):
    async with receiver() as server:
        server.answers = [says(500), says(500)]
        webhook, _ = await shop.add(server.url, "order.authorised")
        await shop.order()
        await shop.work()
        assert (await shop.host.get(shop.path)).json()["webhooks"][0]["failing_since"] is not None
        await shop.pg.execute(
            "UPDATE webhook_endpoints SET failing_since = now() - interval '5 days' WHERE id = $1", webhook
        )
        await shop.work()
    assert (await shop.host.get(shop.path)).json()["webhooks"][0]["state"] == "suspended"


async def test_for_a_day_after_a_change_both_secrets_sign(shop):
    async with receiver() as server:
        webhook, old = await shop.add(server.url, "order.authorised")
        changed = await shop.host.post(f"{shop.path}/{webhook}/secret")
        new = changed.json()["secret"]
        assert new != old
        await shop.order()
        await shop.work()
        headers, body = server.got[0]
        for secret in (old, new):
            assert Webhook(secret).verify(body, headers)
        await shop.pg.execute("UPDATE webhook_endpoints SET previous_until = now()")
        await shop.order()
        await shop.work()
    headers, body = server.got[1]
    assert Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


async def test_a_ping_is_sent_to_the_one_endpoint(shop):
    async with receiver() as server:
        webhook, secret = await shop.add(server.url, "order.authorised")
        await shop.add(server.url, "order.authorised")
        assert (await shop.host.post(f"{shop.path}/{webhook}/ping")).status_code == 202
        await shop.work()
    ((headers, body),) = server.got
    assert Webhook(secret).verify(body, headers)["type"] == "webhook.ping"


async def test_one_silent_server_keeps_nobody_else_waiting(shop):
    silent: list[asyncio.StreamWriter] = []
    hanging = await asyncio.start_server(lambda _, writer: silent.append(writer), "127.0.0.1", 0)
    async with receiver() as server, hanging:
        await shop.add(f"http://127.0.0.1:{hanging.sockets[0].getsockname()[1]}/", "order.authorised")
        await shop.add(server.url, "order.authorised")
        for _ in range(20):
            await shop.order()
        await spread(shop.webhooks)
        work = asyncio.create_task(deliver(shop.webhooks, failing=False))
        await eventually_true(lambda: len(server.got) == 8)  # as many of one endpoint as are claimed at once
        assert not work.done()
        await eventually_true(lambda: len(silent) == 8)
        hanging.close()
        for writer in silent:
            writer.close()
        await work
        await shop.work()
        assert len(server.got) == 20


async def test_a_server_that_says_nothing_is_left_after_a_while(pg, valkey):
    shop = await Shop(pg, valkey, webhook_timeout_s=0.2).open()
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as silent:
        quiet, _ = await shop.add(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/", "order.authorised")
        await shop.order()
        await shop.work()
    assert [one["error"] for one in (await shop.deliveries(quiet))["deliveries"]] == ["no answer within 0.2 s"]
    await shop.close()


async def test_two_workers_send_nothing_twice(shop):
    async with receiver() as server:
        await shop.add(server.url, "order.authorised")
        for _ in range(30):
            await shop.order()
        await asyncio.gather(*(spread(shop.webhooks) for _ in range(3)))
        await asyncio.gather(*(deliver(shop.webhooks, failing=False) for _ in range(5)))
        await shop.work()
    assert len(server.got) == 30


async def test_a_worker_that_died_while_sending_leaves_the_delivery_to_the_next(shop):
    async with receiver() as server:
        await shop.add(server.url, "order.authorised")
        await shop.order()
        await spread(shop.webhooks)
        await shop.pg.execute("UPDATE webhook_deliveries SET tries = 1, next_try_at = now() - interval '1 s'")
        await deliver(shop.webhooks, failing=False)
    assert len(server.got) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"])
async def test_a_name_that_leads_to_a_private_address_is_not_called(host):
    """Not even when the text looked harmless: what counts is the address that would be connected to."""
    called = []
    server = await asyncio.start_server(lambda _, writer: called.append(writer), "127.0.0.1", 0)
    target = Target(private=False, timeout_s=5)
    async with server:
        outcome = await target.post(f"https://{host}:{server.sockets[0].getsockname()[1]}/", {}, b"{}", whose="shop")
    await target.aclose()
    assert outcome.status is None
    assert outcome.error == "PrivateAddressError: a private address"
    assert called == []


async def test_a_delivery_whose_turn_did_not_come_is_no_failure(shop, monkeypatch):
    webhook, _ = await shop.add("http://127.0.0.1:9/", "order.authorised")
    await shop.order()

    async def late(*_, **asked):
        assert asked["whose"] == shop.id
        return Outcome(error="no answer", queued=True)

    monkeypatch.setattr(Target, "post", late)
    await shop.work()
    (delivery,) = (await shop.deliveries(webhook))["deliveries"]
    assert (delivery["state"], delivery["tries"], delivery["error"]) == ("pending", 0, None)
    assert (await shop.host.get(shop.path)).json()["webhooks"][0]["failing_since"] is None


@pytest.mark.parametrize("url", ["http://shop.example/", "https://127.0.0.1/", "https://169.254.169.254/"])
async def test_a_private_target_is_refused_when_it_is_added(pg, valkey, url):
    shop = await Shop(pg, valkey, webhooks_private=False).open()
    answer = await shop.host.post(shop.path, {"url": url, "events": ["order.paid"]})
    assert problem(answer) == (400, "url_invalid")
    await shop.close()


async def test_bad_requests_are_told_what_is_wrong(shop):
    assert problem(await shop.host.post(shop.path, {"url": "https://a.example/", "events": ["order.eaten"]})) == (
        400,
        "unknown_event",
    )
    assert problem(await shop.host.post(shop.path, {"url": "https://a.example/", "events": []}))[0] == 400
    for _ in range(ENDPOINTS_MAX):
        webhook, _ = await shop.add("https://a.example/", "order.paid")
    full = await shop.host.post(shop.path, {"url": "https://a.example/", "events": ["order.paid"]})
    assert problem(full) == (409, "too_many")
    assert problem(await shop.host.get(f"{shop.path}/{webhook}/deliveries?before=x")) == (400, "malformed")
    assert (await shop.host.ask("DELETE", f"{shop.path}/{webhook}")).status_code == 204
    assert problem(await shop.host.ask("DELETE", f"{shop.path}/{webhook}")) == (404, "not_found")


async def test_secrets_are_shown_once(shop):
    webhook, secret = await shop.add("https://a.example/", "order.paid")
    for path in (shop.path, f"{shop.path}/{webhook}/deliveries"):
        assert secret not in (await shop.host.get(path)).text


async def test_deliveries_come_a_page_at_a_time(shop):
    async with receiver() as server:
        webhook, _ = await shop.add(server.url, "order.authorised")
        for _ in range(PAGE_MAX + 3):
            await shop.order()
        await shop.work()
        first = await shop.deliveries(webhook)
        second = await shop.deliveries(webhook, f"?before={first['before']}")
    assert (len(first["deliveries"]), len(second["deliveries"]), second["before"]) == (PAGE_MAX, 3, None)
    both = [one["event"] for one in first["deliveries"] + second["deliveries"]]
    assert len(set(both)) == PAGE_MAX + 3
