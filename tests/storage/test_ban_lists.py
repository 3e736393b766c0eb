"""Lists of bans between shops, over the real stores: what is on one holds where it was taken over, until it is left."""

import asyncio

import pytest

from app.chat.audit import verify
from app.chat.ban_lists import BanLists, TakenList, copy_lists, leave, read_lists, share, take
from app.chat.bans import EndBan, SetBan, end_ban, enforce_all, set_ban
from app.chat.messages import Posted
from app.chat.people import person_card
from app.person import Standing
from app.refusal import Refusal
from tests.chat_place import chat_over, chat_place


@pytest.fixture
async def places(pg, valkey):
    """Two shops; the second knows the code of the first one's list."""
    await pg.execute("DELETE FROM ban_lists")  # what others left behind is copied too
    giver, taker = await chat_place(pg, valkey), await chat_place(pg, valkey)
    lists = await share(giver.chat, giver.show, giver.host, shared=True)
    return giver, taker, lists.code


async def ban(place, person, *, everywhere=True):
    wanted = SetBan(person.id, "spam", everywhere=everywhere)
    assert await set_ban(place.chat, place.show, place.host, Standing.HOST, wanted) is None


async def let_back(place, person):
    assert await end_ban(place.chat, place.show, place.host, Standing.HOST, EndBan(person.id, everywhere=True)) is None


async def copied(place):
    """As the worker does, on two processes."""
    others, _ = chat_over(place.pg, place.valkey)
    await asyncio.gather(copy_lists(place.chat), copy_lists(others))
    await place.pg.execute("UPDATE sanctions SET created_at = created_at - interval '2 s' WHERE enforced_at IS NULL")
    await enforce_all(place.chat)


async def said(place, person, text="hello"):
    answer = await place.say(text, person=person)
    return "said" if isinstance(answer, Posted) else answer.code


async def test_a_lists_bans_hold_where_it_was_taken_and_end_with_it_or_with_the_ban(places):
    giver, taker, code = places
    vera, otto = giver.viewer, taker.viewer
    await ban(giver, vera)
    await ban(giver, otto, everywhere=False)  # of one show: on no list
    assert (await take(taker.chat, taker.show, taker.host, "no code")).code == "not_found"
    assert (await take(giver.chat, giver.show, giver.host, code)).code == "not_found"
    await asyncio.gather(*(take(taker.chat, taker.show, taker.host, code) for _ in range(3)))
    await copied(taker)
    assert (await said(taker, vera), await said(taker, otto)) == ("banned", "said")
    await taker.valkey.flushall()
    assert await said(taker, vera) == "banned"
    lists = await read_lists(taker.pg, taker.show)
    assert lists == BanLists(None, 0, [TakenList("shop" + giver.show, "Shop", 1)])
    assert (await read_lists(giver.pg, giver.show)).takers == 1
    assert (await person_card(taker.chat, taker.show, vera.id)).banned_everywhere
    await let_back(giver, vera)
    await copied(taker)
    assert await said(taker, vera, "back") == "said"
    await ban(giver, vera)
    await copied(taker)
    assert await said(taker, vera) == "banned"
    assert (await leave(taker.chat, taker.show, taker.host, "shop" + giver.show)).taken == []
    await copied(taker)
    assert (await said(taker, vera, "left"), await said(giver, vera)) == ("said", "banned")
    await take(taker.chat, taker.show, taker.host, code)
    await copied(taker)
    assert await said(taker, vera) == "banned"
    await share(giver.chat, giver.show, giver.host, shared=False)
    await copied(taker)
    assert await said(taker, vera, "free") == "said"
    assert (await take(taker.chat, taker.show, taker.host, code)).code == "not_found"
    acts = await taker.pg.fetch("SELECT act FROM moderation_acts WHERE show_id = $1 ORDER BY n", taker.show)
    assert [row["act"] for row in acts] == ["list.take", "list.leave", "list.take"]
    assert (await verify(taker.pg)).broken is None


async def test_whom_the_staff_let_back_a_list_bans_no_more_and_nobody_who_serves_the_shop(places):
    giver, taker, code = places
    await ban(giver, giver.viewer)
    await ban(giver, taker.moderator)
    await take(taker.chat, taker.show, taker.host, code)
    await copied(taker)
    moderators = await taker.say("hello", person=taker.moderator, standing=Standing.MODERATOR)
    assert isinstance(moderators, Posted)
    await let_back(taker, giver.viewer)
    await copied(taker)
    assert await said(taker, giver.viewer) == "said"
    await let_back(giver, giver.viewer)
    await ban(giver, giver.viewer)  # a new one is another ban
    await copied(taker)
    assert await said(taker, giver.viewer) == "banned"


async def test_a_shops_own_ban_outlives_the_list_and_what_was_taken_over_is_not_passed_on(places):
    giver, taker, code = places
    third = await chat_place(giver.pg, giver.valkey)
    await ban(giver, giver.viewer)
    await take(taker.chat, taker.show, taker.host, code)
    onward = await share(taker.chat, taker.show, taker.host, shared=True)
    await take(third.chat, third.show, third.host, onward.code)
    await copied(taker)
    await copied(third)
    assert (await said(taker, giver.viewer), await said(third, giver.viewer)) == ("banned", "said")
    await ban(taker, giver.viewer)
    await leave(taker.chat, taker.show, taker.host, "shop" + giver.show)
    await copied(taker)
    assert await said(taker, giver.viewer) == "banned"
    await copied(third)
    assert await said(third, giver.viewer) == "banned"


async def test_a_shop_takes_over_so_many_lists_and_no_more(places, monkeypatch):
    giver, taker, code = places
    monkeypatch.setattr("app.chat.ban_lists.LISTS_MAX", 1)
    other = await chat_place(giver.pg, giver.valkey)
    second = await share(other.chat, other.show, other.host, shared=True)
    done = await asyncio.gather(*(take(taker.chat, taker.show, taker.host, one) for one in (code, second.code)))
    assert sorted(isinstance(one, Refusal) for one in done) == [False, True]
    (kept,) = (await read_lists(taker.pg, taker.show)).taken
    again = code if kept.shop == "shop" + giver.show else second.code
    assert isinstance(await take(taker.chat, taker.show, taker.host, again), BanLists)
