"""Admissions of a waiting room: each is good for one hold and finds a unit, also after Valkey was lost."""

import pytest

from app.flash_sales import rounds
from app.flash_sales.gate_wire import gate_keys
from app.flash_sales.holds import resize_hold
from app.flash_sales.line_rounds import serve_lines
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_gate_lost import go_back
from tests.storage.test_lines import joined, let_go, told
from tests.storage.test_sale_changes import act
from tests.storage.test_waiting_room import admission, hot_sale


async def test_admissions_survive_a_lost_valkey(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 1)
        buyer = await world.buyer()
        await joined(world, buyer, sale["pool"])
        await act(world, sale, "start")
        await serve_lines(world.sales)
        token = await admission(buyer)
        await valkey.flushall()
        assert problem(await world.take(buyer, sale["pool"], admission=token)) == (403, "not_admitted")
        await serve_lines(world.sales)
        assert (await world.take(buyer, sale["pool"], admission=token)).status_code == 201


@pytest.mark.parametrize("beside", [False, True])
async def test_an_admission_that_is_being_paid_with_is_not_said_again_to_a_valkey_that_lost_it(
    pg, valkey, monkeypatch, beside
):
    """Neither Valkey nor Postgres had the note of its use: the second hold was more than an admission is good for."""
    async with open_world(pg, valkey, payment_timeout_s=0.2) as world:
        sale = await hot_sale(world, 3)
        pool, buyer = sale["pool"], await world.buyer()
        await joined(world, buyer, pool)
        await act(world, sale, "start")
        await serve_lines(world.sales)
        token = await admission(buyer)

        async def lost(_):
            raise ConnectionError("Postgres was away for a moment")

        cart = f"/api/shops/{world.shop}/cart"
        with monkeypatch.context() as without:
            without.setattr(world.sales.served, "submit", lost)
            if beside:  # the second line of an order of two
                await buyer.ask("PUT", f"{cart}/{(await world.variant(3))[1]}", {"quantity": 1})
                said = {"quantity": 1, "show": world.show, "admission": token}
                hold = (await buyer.ask("PUT", f"{cart}/{pool}", said)).json()["items"][1]["hold"]
            else:
                hold = (await world.take(buyer, pool, admission=token)).json()["id"]
        if beside:
            said = {"method": "hangs", "agreed": {"total_minor": 1600}}
            paying = await buyer.post(f"{cart}/order", said, headers={"Idempotency-Key": "k"})
        else:
            paying = await world.order(buyer, hold, "hangs")
        assert problem(paying) == (504, "payment_pending")
        await valkey.flushall()
        for _ in range(2):
            await serve_lines(world.sales)
            assert problem(await world.take(buyer, pool, admission=token)) == (403, "not_admitted")
        assert [one.id for one in await world.live_holds(pool)] == [hold]


async def test_whose_hold_was_lost_with_valkey_is_the_first_to_be_admitted_again(pg, valkey):
    """Hold and admission were gone, and with them the place."""
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 1)
        pool, crowd = sale["pool"], await world.buyers(2)
        for one in crowd:
            await joined(world, one, pool)
        await act(world, sale, "start")
        await serve_lines(world.sales)
        first, second = sorted(crowd, key=lambda one: told(world, one))
        assert (await world.take(first, pool, admission=await admission(first))).status_code == 201
        await serve_lines(world.sales)
        await valkey.flushall()
        for _ in range(2):
            await serve_lines(world.sales)
        assert (told(world, first), told(world, second)) == (["admitted", "admitted"], ["waiting"])
        assert (await world.take(first, pool, admission=await admission(first))).status_code == 201


async def test_an_admission_that_valkey_remembers_as_unused_after_a_failover_is_not_used_again(pg, valkey):
    """The replica's admissions were a moment old: what was used in that moment could be used once more."""
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 3)
        pool, (buyer, other) = sale["pool"], await world.buyers(2)
        for one in (buyer, other):
            await joined(world, one, pool)
        await act(world, sale, "start")
        await serve_lines(world.sales)
        token, unused = await admission(buyer), await admission(other)
        keys = [*gate_keys(pool).all, f"{{pool:{pool}}}:admissions", f"{{pool:{pool}}}:inside"]
        kept = {key: await valkey.dump(key) for key in keys}
        assert (await world.take(buyer, pool, admission=token)).status_code == 201
        await go_back(valkey, kept)
        await valkey.hset(gate_keys(pool).config, "server", "another")
        for admitted in (403, 201):
            assert problem(await world.take(buyer, pool, admission=token)) == (403, "not_admitted")
            assert (await world.take(other, pool, admission=unused)).status_code == admitted
            await serve_lines(world.sales)
        assert [one.person for one in await world.live_holds(pool)] == [other.account]


async def test_who_is_admitted_finds_a_unit_whatever_the_others_want(pg, valkey):
    """One took two of the two units to which two were admitted: it was the other's turn, and everything was held."""
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 3)
        pool, crowd = sale["pool"], await world.buyers(4)
        for one in crowd:
            await joined(world, one, pool)
        await act(world, sale, "start")
        for _ in range(2):  # said again, an admission is still one
            await serve_lines(world.sales)
        first, second, leaver, late = sorted(crowd, key=lambda one: told(world, one))
        token = await admission(first)
        assert problem(await world.take(first, pool, 2, admission=token)) == (409, "stock_short")
        hold = (await world.take(first, pool, admission=token)).json()["id"]
        refused = await resize_hold(world.sales, person=first.account, hold=hold, quantity=2)
        assert refused.code == "stock_short"
        assert (await world.take(second, pool, admission=await admission(second))).status_code == 201
        assert (await leaver.ask("DELETE", f"/api/lines/{pool}")).status_code == 204
        await serve_lines(world.sales)
        refused = await resize_hold(world.sales, person=first.account, hold=hold, quantity=2)
        assert refused.code == "stock_short"
        await let_go(first, hold)
        assert (await world.take(late, pool, 2, admission=await admission(late))).status_code == 201
        assert await valkey.hget(f"{{pool:{pool}}}:admissions", "\0") == b"0"


async def test_an_admission_is_said_to_the_gate_that_was_looked_at_and_to_no_other(pg, valkey):
    async with open_world(pg, valkey) as world:
        sale = await hot_sale(world, 3)
        pool, buyer = sale["pool"], await world.buyer()
        await act(world, sale, "start")
        await rounds.follow_postgres(world.sales)
        epoch = (await world.gate(pool)).epoch
        for said, status in ((epoch - 1, 403), (epoch + 1, 403), (epoch, 201)):
            await world.sales.door.admit(pool, buyer.account, "token", said)
            assert (await world.take(buyer, pool, admission="token")).status_code == status
        await valkey.flushall()
        await world.sales.door.admit(pool, buyer.account, "token", epoch)
        assert await valkey.keys("*admissions") == []
