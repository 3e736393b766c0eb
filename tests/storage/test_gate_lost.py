"""Valkey may be lost at any instant: no unit is oversold, no order missing, and the gate comes back from Postgres."""

import asyncio
from collections import Counter

from app import clock
from app.checkout.settle import settle
from app.flash_sales import rounds
from app.flash_sales.gate_wire import gate_keys, keys_before_shards
from app.flash_sales.rebuild import rebuild_gate
from app.flash_sales.reconcile import Reconciler
from app.flash_sales.sources import SaleSource
from app.person import Person
from tests.protocol.callers import Caller, problem
from tests.running import free_port
from tests.storage.stock_world import HeardRooms, open_world
from tests.valkey_servers import client_of, make_cluster, own_valkeys
from tests.waiting import eventually_true


async def test_wiping_valkey_while_buyers_buy_oversells_nothing_and_loses_no_order(pg, valkey):
    async with (
        open_world(pg, valkey, settle_after_s=0) as world,
        open_world(pg, valkey, stage=False, rooms=world.rooms) as second,
    ):
        pool = (await world.sale(40, per_buyer_limit=2))["pool"]
        told: list[dict] = []
        wipes = 0

        async def buy(one, buyer) -> None:
            for _ in range(3):
                taken = await one.take(buyer, pool)
                if taken.status_code != 201:
                    assert taken.status_code in {409, 503}, taken.text
                    continue
                ordered = await one.order(buyer, taken.json()["id"])
                if ordered.status_code == 201:
                    told.append(ordered.json())
                else:
                    assert ordered.status_code in {404, 409, 503}, ordered.text

        async def wipe() -> None:
            nonlocal wipes
            while wipes < 60:
                await valkey.flushall()
                wipes += 1
                before = len(told)
                await eventually_true(lambda before=before: len(told) > before or all(t.done() for t in buying))
                if all(one.done() for one in buying):
                    return

        buyers = [await buyer for buyer in ([world, second][n % 2].buyer() for n in range(60))]
        buying = [asyncio.create_task(buy([world, second][n % 2], buyer)) for n, buyer in enumerate(buyers)]
        wiping = asyncio.create_task(wipe())
        await asyncio.gather(*buying, wiping)
        assert wipes >= 2  # how many fit depends on how the orders fall into groups
        await settle(world.checkout)
        await world.settle_all()
        await world.settle_all()
        kept = {row["id"] for row in await pg.fetch("SELECT id FROM orders WHERE show_id = $1", world.show)}
        assert {order["id"] for order in told} <= kept
        await valkey.flushall()
        await world.check(pool)
        assert (await world.pool_row(pool))["epoch"] > 2


async def test_a_hold_of_a_lost_gate_is_gone_and_its_payment_refused(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)
        await valkey.flushall()
        assert (await world.take(other, pool)).status_code == 201
        assert problem(await world.order(buyer, hold)) == (404, "not_found")
        await world.check(pool)


async def test_units_in_payment_are_held_again_after_a_loss(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, settle_after_s=0) as world:
        pool = (await world.sale(2, per_buyer_limit=1))["pool"]
        buyer, other, third = await world.buyers(3)
        hold, key = await world.held(buyer, pool), clock.new_id()
        assert problem(await world.order(buyer, hold, "hangs", key)) == (504, "payment_pending")
        await valkey.flushall()
        assert (await world.take(other, pool)).status_code == 201
        assert problem(await world.take(third, pool)) == (409, "all_held")
        assert problem(await world.take(buyer, pool)) == (409, "over_limit")
        await pg.execute("UPDATE simulated_payments SET answers_at = now() WHERE answers_at > now()")
        await settle(world.checkout)
        assert (await world.order(buyer, hold, "hangs", key)).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_the_limit_is_kept_after_a_loss(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(10, per_buyer_limit=2))["pool"]
        buyer = await world.buyer()
        assert (await world.order(buyer, await world.held(buyer, pool, 2))).status_code == 201
        await valkey.flushall()
        assert problem(await world.take(buyer, pool)) == (409, "over_limit")


async def test_an_attempt_on_a_hold_of_an_old_epoch_is_refused(pg, valkey):
    """Valkey fell back to an older copy: Postgres has moved on, so the hold is lost and the gate is rebuilt."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(3))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        await pg.execute("UPDATE pools SET epoch = epoch + 1 WHERE id = $1", pool)
        assert problem(await world.order(buyer, hold)) == (409, "hold_ended")
        assert await pg.fetchval("SELECT count(*) FROM payment_attempts WHERE pool_id = $1", pool) == 0
        await world.check(pool)
        assert (await world.order(buyer, await world.held(buyer, pool))).status_code == 201


async def test_many_rebuilds_at_once_make_one_gate(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(30))["pool"]
        before = (await world.pool_row(pool))["epoch"]
        await valkey.flushall()
        buyers = await world.buyers(8)
        rebuilt = [rebuild_gate(pg, valkey, pool) for _ in range(6)]
        answers = await asyncio.gather(*(world.take(buyer, pool) for buyer in buyers), *rebuilt)
        codes = Counter(answer if isinstance(answer, bool) else answer.status_code for answer in answers)
        assert codes == {True: 6, 201: 8}
        assert (await world.pool_row(pool))["epoch"] == before + 1
        await world.check(pool)


async def test_a_room_that_was_lost_hears_the_state_again_with_newer_versions(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await world.sale(3)
        pool = sale["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        await world.sales.voice.drain()
        before = world.rooms.states[world.show, f"pool:{pool}"]
        source = SaleSource(world.sales)
        assert [one.id for one in (await source.me_of(world.show, Person(buyer.account, "x")))["holds"]] == [hold]
        await valkey.flushall()
        entries = {key: (version, value) for key, version, value in await source.state_of(world.show)}
        assert entries[f"sale:{sale['id']}"][1].state == "running"
        version, value = entries[f"pool:{pool}"]
        assert version > before[0]
        assert (value.left, value.held) == (3, 0)
        assert (await source.me_of(world.show, Person(buyer.account, "x")))["holds"] == []


async def test_the_round_mends_a_gate_that_missed_a_change(pg, valkey):
    async with open_world(pg, valkey) as world:
        variant, pool = await world.variant(5)
        await world.sales.gate.look(pool)
        await pg.execute("UPDATE variants SET price_minor = 1234 WHERE id = $1", variant)
        await pg.execute("UPDATE pools SET allotment = 9 WHERE id = $1", pool)
        await rounds.follow_postgres(world.sales)
        buyer = await world.buyer()
        assert (await world.take(buyer, pool)).json()["unit_price_minor"] == 1234
        assert (await world.gate(pool)).left == 8
        mended = await valkey.hget(gate_keys(pool).config, "n")
        await rounds.follow_postgres(world.sales)
        assert await valkey.hget(gate_keys(pool).config, "n") == mended
        rooms: HeardRooms = world.rooms
        assert rooms.value(world.show, f"pool:{pool}").left == 8


async def go_back(valkey, kept: dict[str, bytes | None]) -> None:
    """Brings keys back as they were when they were dumped: what a power cut does to an append-only file."""
    for key, dump in kept.items():
        await valkey.delete(key)
        if dump is not None:
            await valkey.restore(key, 0, dump)


async def test_a_gate_that_forgot_a_sold_unit_is_rebuilt(pg, valkey):
    """Valkey came back as it was a second ago, under the right epoch: it granted the sold unit again and again."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2, per_buyer_limit=1))["pool"]
        buyer, other, third = await world.buyers(3)
        hold = await world.held(buyer, pool)
        kept = {key: await valkey.dump(key) for key in gate_keys(pool).all}
        assert (await world.order(buyer, hold)).status_code == 201
        await world.settle_all()
        await go_back(valkey, kept)
        await world.sales.gate.release(hold)
        assert (await world.gate(pool)).left == 2
        await rounds.follow_postgres(world.sales)
        assert ((await world.gate(pool)).left, (await world.gate(pool)).sold) == (1, 1)
        assert problem(await world.take(buyer, pool)) == (409, "over_limit")
        await world.held(other, pool)
        assert problem(await world.take(third, pool)) == (409, "all_held")
        assert world.rooms.value(world.show, f"pool:{pool}").sold == 1
        await world.check(pool)


async def test_an_order_of_which_the_gate_is_still_to_hear_costs_nobody_a_hold(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)
        await world.held(other, pool)
        kept = {key: await valkey.dump(key) for key in gate_keys(pool).all}
        assert (await world.order(buyer, hold)).status_code == 201
        await world.settle_all()
        await go_back(valkey, kept)
        await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'order.committed'")
        before = (await world.gate(pool)).epoch
        await rounds.follow_postgres(world.sales)
        assert ((await world.gate(pool)).epoch, (await world.gate(pool)).held) == (before, 2)
        await world.settle_all()
        await rounds.follow_postgres(world.sales)
        assert ((await world.gate(pool)).epoch, (await world.gate(pool)).held) == (before, 1)
        await world.check(pool)


async def test_gate_and_door_obey_a_clusters_rules(pg, tmp_path):
    """A key outside the pool's hash tag, or one that is not among KEYS, is an error there and nowhere else."""
    with own_valkeys(tmp_path) as start:
        server = await start("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        async with client_of(server.url) as valkey, open_world(pg, valkey) as world:
            await make_cluster(valkey)
            _, ordinary = await world.variant(5)
            sale = await world.sale(3, per_address_limit=2)
            first, second, third = (
                Caller(world.app, one.secret, account=one.account, address="198.51.100.1")
                for one in await world.buyers(3)
            )
            hold = await world.held(first, sale["pool"], 2)
            assert problem(await world.take(second, sale["pool"])) == (409, "address_limit")
            assert (await world.order(first, hold)).status_code == 201
            assert (await world.buy_now(third, ordinary)).status_code == 201
            await world.settle_all()
            await rounds.follow_postgres(world.sales)
            await rounds.end_overdue_holds(world.sales)
            await Reconciler(pg, valkey, world.sales.gate).look_through()
            ended = await world.host.post(f"/api/shows/{world.show}/flash-sales/{sale['id']}/end")
            assert ended.json()["state"] == "ended"
            for pool in (sale["pool"], ordinary):
                await world.check(pool)


async def test_holds_that_were_lost_count_for_no_network_any_more(pg, valkey):
    """Valkey came back with its file, or a replica of it: what the door had counted was still there."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(20, per_address_limit=1, per_buyer_limit=9))["pool"]
        buyer = await world.buyer()
        await world.held(buyer, pool)
        assert problem(await world.take(buyer, pool)) == (409, "address_limit")
        await valkey.hset(gate_keys(pool).config, "server", "another")
        assert (await world.gate(pool)).held == 0
        assert (await world.take(buyer, pool)).status_code == 201
        assert problem(await world.take(buyer, pool)) == (409, "address_limit")


async def test_what_a_gate_was_kept_in_before_is_gone_when_it_is_built_anew(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        old = keys_before_shards(pool)
        await valkey.hset(old[0], "epoch", 99)
        await valkey.delete(gate_keys(pool).config)
        assert (await world.gate(pool)).left == 2
        assert not await valkey.exists(*old)
