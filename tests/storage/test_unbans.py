"""Asking to be let back after a ban: once about each, answered once, by those who may."""

import asyncio

import pytest

from app import clock
from app.chat.audit import verify
from app.chat.bans import EndBan, SetBan, end_ban, set_ban
from app.chat.messages import Posted
from app.chat.unbans import Asked, DecideUnban, ask_back, decide, open_requests, own_request
from app.person import Standing
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def ban(place, *, everywhere=False, by=None, standing=Standing.MODERATOR, reason=""):
    wanted = SetBan(place.viewer.id, everywhere=everywhere, reason=reason)
    assert await set_ban(place.chat, place.show, by or place.moderator, standing, wanted) is None


async def asked(place, text="I am sorry", show=None):
    return await ask_back(place.chat, show or place.show, place.viewer, text)


async def answer(place, request, text="", *, accepted, by=None, standing=Standing.MODERATOR):
    wanted = DecideUnban(request, text)
    refusal = await decide(place.chat, place.show, by or place.moderator, standing, wanted, accepted=accepted)
    return refusal and refusal.code


async def the_request(place):
    ((request),) = await open_requests(place.pg, place.show)
    return request


async def test_who_is_banned_asks_once_and_is_let_back_once(place):
    assert (await asked(place)).code == "not_banned"
    await ban(place)
    done = await asyncio.gather(*(asked(place, f"sorry {n}") for n in range(4)))
    assert done == [Asked(banned=True, state="open")] * 4
    request = await the_request(place)
    assert [event["text"] for event in await place.staff_story() if event["t"] == "unban.asked"] == [request.text]
    assert (await asked(place, " \u200b ")).code == "empty"
    codes = await asyncio.gather(*(answer(place, request.id, accepted=True) for _ in range(3)))
    assert codes == [None, None, None]
    assert await own_request(place.pg, place.show, place.viewer.id) == Asked(banned=False)
    assert isinstance(await place.say("thank you"), Posted)
    assert await open_requests(place.pg, place.show) == []
    assert await answer(place, request.id, accepted=False) == "decided"
    acts = [
        row["act"] for row in await place.pg.fetch("SELECT act FROM moderation_acts WHERE show_id = $1", place.show)
    ]
    assert sorted(acts) == ["ban.end", "ban.set", "unban.accepted"]
    assert (await verify(place.pg)).broken is None


async def test_a_declined_request_is_answered_and_not_asked_again_until_another_ban(place):
    await ban(place)
    await asked(place)
    request = await the_request(place)
    assert await answer(place, request.id, "Not this time", accepted=False) is None
    assert await asked(place, "please") == Asked(banned=True, state="declined", answer="Not this time")
    assert await open_requests(place.pg, place.show) == []
    assert (await place.say("hello")).code == "banned"
    await end_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, EndBan(place.viewer.id))
    await ban(place, reason="Again")
    assert await asked(place, "once more") == Asked(banned=True, state="open", reason="Again")


async def test_only_those_decide_who_may_end_the_ban_and_only_where_it_was_asked(place):
    await ban(place, everywhere=True, by=place.host, standing=Standing.HOST)
    another = "show" + clock.new_id()
    await place.pg.execute(
        "INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'Another')", another, "shop" + place.show
    )
    await place.pg.execute("DELETE FROM shop_members WHERE account_id = $1", place.moderator.id)
    await place.pg.execute(
        "INSERT INTO show_moderators (show_id, account_id, appointed_by) VALUES ($1, $2, $3)",
        place.show,
        place.moderator.id,
        place.host.id,
    )
    assert (await asked(place)).state == "open"
    assert (await asked(place, "and here", show=another)).state == "open"
    request = await the_request(place)
    assert await open_requests(place.pg, another) == []
    assert [await answer(place, request.id, accepted=accepted) for accepted in (True, False)] == ["forbidden"] * 2
    elsewhere = await chat_place(place.pg, place.valkey)
    assert await answer(elsewhere, request.id, accepted=True) == "not_found"
    assert (await own_request(place.pg, another, place.viewer.id)).state == "open"
    assert await answer(place, request.id, accepted=True, by=place.host, standing=Standing.HOST) is None
    assert await own_request(place.pg, another, place.viewer.id) == Asked(banned=False)


async def test_a_ban_that_ended_otherwise_leaves_no_request(place):
    await ban(place)
    await asked(place)
    request = await the_request(place)
    await end_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, EndBan(place.viewer.id))
    assert await open_requests(place.pg, place.show) == []
    assert await answer(place, request.id, accepted=True) is None
    assert (await own_request(place.pg, place.show, place.viewer.id)).banned is False
