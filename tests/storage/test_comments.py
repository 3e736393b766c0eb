"""Comment to buy: what a message takes, what it obeys, who is told, and what becomes of it when the message goes."""

import dataclasses

import msgspec
import pytest

from app import clock
from app.chat.bans import SetBan, set_ban
from app.chat.edge import commands as chat_commands
from app.chat.messages import delete
from app.chat.parts import Heard, build_chat
from app.chat.purges import delete_of, purge
from app.flash_sales.banned import BannedHolds
from app.flash_sales.comments import CommentToBuy, release_gone
from app.flash_sales.sources import SaleSource
from app.person import Person, Standing
from app.rooms.copies import Copies
from app.rooms.dispatch import Asker, merge, run
from app.settings import Settings
from tests.chat_place import chat_over
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world


class Shop:
    """A show whose chat buys."""

    def __init__(self, world, chat):
        self.world, self.chat = world, chat
        self.table = merge(chat_commands(chat))
        self.host = Person(world.host.account, "Hana")

    async def turn(self, on=True, **keywords):
        path = f"/api/shows/{self.world.show}/comment-buying"
        answer = await self.world.host.ask("PUT", path, {"on": on, "keywords": keywords})
        for listener in self.chat.words_listeners:
            listener._known.clear()  # a worker has heard of it after a second
        return answer

    async def pin(self, pool):
        await self.world.pg.execute(
            "UPDATE shows SET pinned_product_id = (SELECT product_id FROM variants v JOIN pools p"
            " ON p.variant_id = v.id WHERE p.id = $2) WHERE id = $1",
            self.world.show,
            pool,
        )

    async def write(self, buyer, text, *, key=None, standing=Standing.VIEWER):
        """Posts as the socket does; the message's id."""
        asker = Asker(self.world.show, Person(buyer.account, "Vera"), standing, "203.0.113.5")
        frame = msgspec.json.encode({"op": "chat.post", "id": key or clock.new_id(), "text": text}).decode()
        reply = msgspec.json.decode(await run(self.table, frame, asker))
        assert "error" not in reply, reply
        return reply["message"]

    async def holds(self, buyer):
        return (await buyer.get("/api/holds")).json()["holds"]

    def told(self, buyer):
        """What the buyer alone was told, newest last."""
        return [
            hint
            for _, person, hint in self.world.rooms.hints
            if person == buyer.account and type(hint).__name__.startswith("Comment")
        ]


@pytest.fixture
async def shop(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, rooms = chat_over(pg, valkey)
        listens = (CommentToBuy(world.sales),)
        chat = build_chat(pg, rooms, Copies(valkey), Settings(), BannedHolds(world.sales), words_listeners=listens)
        yield Shop(world, chat)


async def test_a_wish_holds_what_is_shown_and_its_author_alone_is_told(shop):
    world, buyer = shop.world, await shop.world.buyer()
    _, pool = await world.variant(5)
    await shop.pin(pool)
    await shop.turn()
    await shop.write(buyer, "I would buy this")
    assert await shop.holds(buyer) == []
    message = await shop.write(buyer, "buy 2", key="one")
    (hold,) = await shop.holds(buyer)
    assert (hold["pool"], hold["quantity"], hold["show"]) == (pool, 2, world.show)
    (told,) = shop.told(buyer)
    assert (told.message, told.hold.id) == (message, hold["id"])
    await shop.write(buyer, "buy 2", key="one")
    assert [one["id"] for one in await shop.holds(buyer)] == [hold["id"]]
    assert (await world.order(buyer, hold["id"])).status_code == 201


async def test_a_keyword_holds_its_variant_from_the_sale_that_stands_for_it(shop):
    world, buyer = shop.world, await shop.world.buyer()
    sale = await world.sale(3)
    _, other = await world.variant(5)
    await shop.pin(other)
    variant = await world.pg.fetchval("SELECT variant_id FROM pools WHERE id = $1", sale["pool"])
    assert (await shop.turn(A1=variant)).json() == {"on": True, "keywords": {"a1": variant}}
    assert world.rooms.value(world.show, "buying").keywords == {"a1": variant}
    await shop.write(buyer, "#A1 x2")
    (hold,) = await shop.holds(buyer)
    assert (hold["pool"], hold["quantity"], hold["unit_price_minor"]) == (sale["pool"], 2, 600)
    key = {key: value for key, _, value in await SaleSource(world.sales).state_of(world.show)}["buying"]
    assert key.keywords == {"a1": variant}


async def test_what_was_said_was_said_although_postgres_is_away(shop, monkeypatch):
    """Its author was told that it was not, and said it again."""
    await shop.turn()

    async def away(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr("app.flash_sales.comments.comment_store.read_buying", away)
    assert await shop.write(await shop.world.buyer(), "buy 2")


async def test_it_is_off_until_the_host_turns_it_on_and_staff_only_talk(shop):
    world, buyer = shop.world, await shop.world.buyer()
    _, pool = await world.variant(5)
    await shop.pin(pool)
    await shop.write(buyer, "buy")
    await shop.turn()
    await shop.write(world.host, "buy 2", standing=Standing.HOST)
    assert await shop.holds(buyer) == await shop.holds(world.host) == []
    await shop.turn(on=False)
    await shop.write(buyer, "buy 1")
    assert await shop.holds(buyer) == []


async def test_limits_bans_and_waiting_rooms_hold_for_comments_too(shop):
    world, buyer = shop.world, await shop.world.buyer()
    sale = await world.sale(3, per_buyer_limit=2)
    await shop.pin(sale["pool"])
    await shop.turn()
    await shop.write(buyer, "buy 3")
    assert shop.told(buyer)[-1].code == "over_limit"
    hot = await world.sale(3, waiting_room=True, countdown_s=60)
    await shop.pin(hot["pool"])
    await shop.write(buyer, "buy 1")
    assert shop.told(buyer)[-1].code in {"not_admitted", "not_started"}
    assert await shop.holds(buyer) == []
    await world.pg.execute(
        "INSERT INTO sanctions (id, shop_id, account_id, kind, until, by_account_id)"
        " VALUES ($1, $2, $3, 'ban', NULL, $4)",
        clock.new_id(),
        world.shop,
        buyer.account,
        world.host.account,
    )
    asker = Asker(world.show, Person(buyer.account, "Vera"), Standing.VIEWER, "203.0.113.5")
    await run(shop.table, '{"op": "chat.post", "id": "x", "text": "buy"}', asker)
    assert await shop.holds(buyer) == []


async def test_whoever_deletes_the_message_releases_its_hold_and_no_other(shop):
    world, buyer, other = shop.world, await shop.world.buyer(), await shop.world.buyer()
    _, pool = await world.variant(9)
    await shop.pin(pool)
    await shop.turn()
    first, _ = await shop.write(buyer, "buy 1"), await shop.write(buyer, "buy 2")
    await shop.write(other, "buy 3")
    await delete(shop.chat, world.show, shop.host, Standing.HOST, first)
    assert [hold["quantity"] for hold in await shop.holds(buyer)] == [2]
    await delete_of(shop.chat, world.show, shop.host, Standing.HOST, buyer.account)
    assert await shop.holds(buyer) == []
    assert [hold["quantity"] for hold in await shop.holds(other)] == [3]
    await purge(shop.chat, world.show, shop.host, None)
    assert await shop.holds(other) == []


async def test_what_a_deleted_message_holds_is_released_though_who_deleted_it_died_before(shop):
    world, buyer = shop.world, await shop.world.buyer()
    _, pool = await world.variant(5)
    await shop.pin(pool)
    await shop.turn()
    first, _ = await shop.write(buyer, "buy 2"), await shop.write(buyer, "buy 1")
    chat = dataclasses.replace(shop.chat, words_listeners=())  # nobody is told any more
    await delete(chat, world.show, shop.host, Standing.HOST, first)
    assert [hold["quantity"] for hold in await shop.holds(buyer)] == [2, 1]
    await release_gone(world.sales)
    assert [hold["quantity"] for hold in await shop.holds(buyer)] == [1]
    await release_gone(world.sales)
    assert (await world.gate(pool)).left == 4


async def test_a_message_that_is_deleted_while_its_hold_is_taken_keeps_nothing(shop):
    world, buyer = shop.world, await shop.world.buyer()
    _, pool = await world.variant(9)
    await shop.pin(pool)
    await shop.turn()

    async def is_there():
        return False

    heard = Heard(world.show, buyer.account, "gone" + clock.new_id(), "buy 2", "", is_there)
    await shop.chat.words_listeners[0].said(heard)
    assert await shop.holds(buyer) == []
    assert shop.told(buyer) == []


async def test_a_ban_ends_what_comments_took(shop):
    world, buyer = shop.world, await shop.world.buyer()
    _, pool = await world.variant(9)
    await shop.pin(pool)
    await shop.turn()
    await shop.write(buyer, "buy 2")
    await set_ban(shop.chat, world.show, shop.host, Standing.HOST, SetBan(buyer.account))
    assert await shop.holds(buyer) == []


async def test_a_wish_that_may_mean_several_things_or_nothing_is_answered_and_holds_nothing(shop):
    world, buyer = shop.world, await shop.world.buyer()
    variant, pool = await world.variant(5)
    await shop.turn(RED=variant)
    await shop.write(buyer, "buy")
    assert shop.told(buyer)[-1].code == "nothing_shown"
    second = clock.new_id()
    await world.pg.execute(
        "INSERT INTO variants (id, product_id, title, position, price_minor, received)"
        " SELECT $2, product_id, 'Red', 1, 1000, 5 FROM variants WHERE id = $1",
        variant,
        second,
    )
    await world.pg.execute("INSERT INTO pools (id, variant_id, allotment) VALUES ($1, $1, 5)", second)
    await shop.pin(pool)
    await shop.write(buyer, "buy 1")
    assert (shop.told(buyer)[-1].code, "RED" in shop.told(buyer)[-1].text) == ("which_one", True)
    assert await shop.holds(buyer) == []
    await shop.write(buyer, "red")
    assert [hold["variant"] for hold in await shop.holds(buyer)] == [variant]


async def test_keywords_are_checked(shop):
    variant, _ = await shop.world.variant(5)
    assert problem(await shop.turn(BUY=variant)) == (400, "keyword_invalid")
    assert problem(await shop.turn(a1=variant, A1=variant)) == (400, "keyword_invalid")
    assert problem(await shop.turn(A1="nothing")) == (400, "unknown_variant")
