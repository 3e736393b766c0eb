"""A banned person takes nothing and orders nothing where the ban holds, over HTTP too and on every worker."""

import asyncio

import pytest

from app import clock
from app.chat.bans import EndBan, SetBan, end_ban, enforce_all, set_ban
from app.chat.parts import build_chat
from app.flash_sales.banned import BannedHolds
from app.flash_sales.line_rounds import serve_lines
from app.person import Person, Standing
from app.rooms.copies import Copies
from app.settings import Settings
from tests.chat_place import chat_over
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_lines import join, joined
from tests.storage.test_sale_changes import act
from tests.storage.test_waiting_room import admission, hot_sale

BANNED = (403, "banned")


class Bench:
    """Two workers of one shop, and chat that ends what its banned ones have."""

    def __init__(self, world, other, chat):
        self.world, self.other, self.chat = world, other, chat
        self.host = Person(world.host.account, "Hana")

    async def ban(self, buyer, *, everywhere=False):
        wanted = SetBan(buyer.account, "spam", everywhere=everywhere)
        assert await set_ban(self.chat, self.world.show, self.host, Standing.HOST, wanted) is None

    async def let_back(self, buyer):
        assert await end_ban(self.chat, self.world.show, self.host, Standing.HOST, EndBan(buyer.account, True)) is None

    async def another_show(self):
        show = "show" + clock.new_id()
        await self.world.pg.execute(
            "INSERT INTO shows (id, shop_id, title, state) VALUES ($1, $2, 'Next', 'live')", show, self.world.shop
        )
        return show


@pytest.fixture
async def bench(pg, valkey):
    async with open_world(pg, valkey) as world, open_world(pg, valkey, rooms=world.rooms, stage=False) as other:
        _, rooms = chat_over(pg, valkey)
        chat = build_chat(pg, rooms, Copies(valkey), Settings(), BannedHolds(world.sales))
        yield Bench(world, other, chat)


async def test_who_is_banned_from_a_show_buys_nothing_there_until_they_are_let_back(bench):
    world, buyer = bench.world, await bench.world.buyer()
    _, pool = await world.variant(5)
    sale = await world.sale(5)
    before, open_hold = await world.held(buyer, sale["pool"]), await world.take(buyer, pool, show=world.show)
    await bench.ban(buyer)
    assert (await buyer.get("/api/holds")).json()["holds"] == []
    for hold in (before, open_hold.json()["id"]):
        assert (await world.order(buyer, hold)).status_code in {403, 409}
    assert problem(await world.take(buyer, pool, show=world.show)) == BANNED
    assert problem(await world.take(buyer, sale["pool"])) == BANNED
    assert problem(await world.buy_now(buyer, sale["pool"])) == BANNED
    assert problem(await join(world, buyer, sale["pool"])) == BANNED
    elsewhere = await world.take(buyer, pool, show=await bench.another_show())
    assert elsewhere.status_code == 201, elsewhere.text
    await bench.let_back(buyer)
    assert (await world.take(buyer, sale["pool"])).status_code == 201
    assert (await world.buy_now(buyer, pool)).status_code == 201


async def test_who_is_banned_from_the_shop_buys_nothing_of_it_in_any_show_nor_beside_them_after_a_wipe_too(bench):
    world, buyer = bench.world, await bench.world.buyer()
    _, pool = await world.variant(5)
    await world.held(buyer, pool)
    await bench.ban(buyer, everywhere=True)
    assert (await buyer.get("/api/holds")).json()["holds"] == []
    for _ in range(2):
        for show in ({}, {"show": world.show}, {"show": await bench.another_show()}):
            assert problem(await world.take(buyer, pool, **show)) == BANNED
        assert problem(await world.buy_now(buyer, pool)) == BANNED
        await world.valkey.flushall()


async def test_while_nobody_can_be_asked_about_bans_nothing_is_taken_and_the_same_wish_goes_on(bench, monkeypatch):
    world, buyer = bench.world, await bench.world.buyer()
    sale = await hot_sale(world, 2)
    await joined(world, buyer, sale["pool"])
    await act(world, sale, "start")
    await serve_lines(world.sales)
    token = await admission(buyer)

    async def away(_):
        raise ConnectionError("Postgres is away")

    with monkeypatch.context() as without:
        without.setattr(world.sales.bans, "of", away)
        assert problem(await world.take(buyer, sale["pool"], key="k", admission=token)) == (503, "unavailable")
    assert await world.live_holds(sale["pool"]) == []
    assert (await world.take(buyer, sale["pool"], key="k", admission=token)).status_code == 201
    assert problem(await world.take(buyer, sale["pool"], admission=token)) == (409, "admission_used")


async def test_a_hold_that_a_ban_has_missed_is_not_paid_for(bench):
    world, buyer = bench.world, await bench.world.buyer()
    sale = await world.sale(5)
    hold = await world.held(buyer, sale["pool"])
    await world.pg.execute(
        "INSERT INTO sanctions (id, show_id, account_id, kind, by_account_id) VALUES ($1, $2, $3, 'ban', $4)",
        clock.new_id(),
        world.show,
        buyer.account,
        world.host.account,
    )
    assert problem(await world.order(buyer, hold)) == BANNED
    await enforce_all(bench.chat)
    assert (await buyer.get("/api/holds")).json()["holds"] != []  # it is nobody's orphan until a second has passed
    await world.pg.execute("UPDATE sanctions SET created_at = now() - interval '2 seconds'")
    await enforce_all(bench.chat)
    assert (await buyer.get("/api/holds")).json()["holds"] == []


async def test_the_key_of_an_order_answers_with_the_order_also_after_a_ban(bench):
    world, buyer, key = bench.world, await bench.world.buyer(), clock.new_id()
    sale = await world.sale(5)
    hold = await world.held(buyer, sale["pool"])
    first = await world.order(buyer, hold, key=key)
    assert first.status_code == 201, first.text
    await bench.ban(buyer)
    again = await world.order(buyer, hold, key=key)
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(("everywhere", "wiped"), [(False, False), (True, False), (True, True)])
async def test_holds_that_race_a_ban_on_two_workers_end_and_none_is_ordered_after_it(bench, everywhere, wiped):
    """Some wishes are on their way while the ban is written: those are given back, as nothing of them was promised."""
    world, buyer = bench.world, await bench.world.buyer()
    sale = await world.sale(60, per_buyer_limit=50)
    banned = asyncio.Event()
    late = []

    async def grab(worker):
        for _ in range(12):
            began_after = banned.is_set()
            answer = await worker.take(buyer, sale["pool"], show=world.show)
            if began_after:
                late.append(problem(answer))

    async def moderate():
        await bench.ban(buyer, everywhere=everywhere)
        banned.set()
        if wiped:
            await world.valkey.flushall()

    await asyncio.gather(moderate(), *(grab(worker) for worker in (world, bench.other) for _ in range(2)))
    assert problem(await world.take(buyer, sale["pool"])) == BANNED
    assert set(late) <= {BANNED}
    await enforce_all(bench.chat)
    assert (await buyer.get("/api/holds")).json()["holds"] == []
    assert await world.pg.fetchval("SELECT count(*) FROM orders WHERE account_id = $1", buyer.account) == 0
