"""The ticker and the quick replies: kept, taken back, and there again after a wipe."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.quick_replies import QuickReplies, read_replies, set_replies
from app.chat.ticker import SetTicker, set_ticker
from app.chat.undo import undo
from app.person import Standing
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def announce(place, *lines):
    refusal = await set_ticker(place.chat, place.show, place.moderator, SetTicker(list(lines)))
    return refusal and refusal.code


async def announced(place):
    value = (await place.rooms.read(place.show)).state.get("ticker")
    value = value and msgspec.json.decode(value[1])
    return value and value["lines"]


async def acts(place):
    return await place.pg.fetch("SELECT n, act FROM moderation_acts WHERE show_id = $1 ORDER BY n", place.show)


async def take_back(place, number, by=None, standing=Standing.MODERATOR):
    refusal = await undo(place.chat, place.show, by or place.moderator, standing, number)
    return refusal and refusal.code


async def test_announcements_stand_in_the_room_come_back_after_a_wipe_and_are_taken_back(place):
    assert await announce(place, "Free shipping today", "Back at nine") is None
    assert await announced(place) == ["Free shipping today", "Back at nine"]
    await place.valkey.flushall()
    assert await announced(place) == ["Free shipping today", "Back at nine"]
    assert await announce(place, "Free shipping today", "Back at nine") is None
    assert await announce(place, "x" * 141) == "ticker_invalid"
    (act,) = await acts(place)
    assert act["act"] == "ticker.set"
    assert await take_back(place, act["n"]) is None
    assert (await announced(place), await take_back(place, act["n"])) == (None, "undone")
    await announce(place, "First")
    first = (await acts(place))[-1]["n"]
    await announce(place, "Second")
    assert (await take_back(place, first), await announced(place)) == ("overtaken", ["Second"])
    assert (await place.say("and people go on talking")).o is not None


async def test_quick_replies_are_the_shops_and_each_change_is_one_act(place):
    async def write(*replies):
        return await set_replies(place.chat, place.show, place.host, QuickReplies(list(replies)))

    another = "show" + clock.new_id()
    await place.pg.execute(
        "INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'Another')", another, "shop" + place.show
    )
    assert await read_replies(place.pg, place.show) == []
    done = await asyncio.gather(*(write(" We ship  to Oslo ", "In June") for _ in range(4)))
    assert done == [QuickReplies(["We ship to Oslo", "In June"])] * 4
    assert await read_replies(place.pg, another) == ["We ship to Oslo", "In June"]
    assert (await write("x" * 501)).code == "replies_invalid"
    (act,) = await acts(place)
    await write("In July")
    assert await take_back(place, act["n"], place.host, Standing.HOST) == "overtaken"
    assert await take_back(place, (await acts(place))[-1]["n"], place.host, Standing.HOST) is None
    assert await read_replies(place.pg, place.show) == ["We ship to Oslo", "In June"]
    assert await take_back(place, act["n"]) == "forbidden"
    elsewhere = await chat_place(place.pg, place.valkey)
    assert await read_replies(elsewhere.pg, elsewhere.show) == []
