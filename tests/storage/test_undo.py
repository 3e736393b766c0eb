"""Acts of moderation are taken back by their number, once, by those who may, and as acts of their own."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.audit import verify
from app.chat.bans import EndBan, SetBan, end_ban, set_ban
from app.chat.memory import ChatMemory
from app.chat.messages import Posted, delete, find_said
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.notices import pinned, set_notice, written
from app.chat.rulebooks import read_room
from app.chat.timeouts import end_timeout
from app.chat.undo import undo
from app.chat.warnings import GiveWarning, accept_warning, next_warning, warn
from app.person import Person, Standing
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def acts(place):
    return await place.pg.fetch(
        "SELECT n, act, actor_id, detail FROM moderation_acts WHERE show_id = $1 ORDER BY n", place.show
    )


async def take_back(place, number=None, *, by=None, standing=Standing.MODERATOR):
    """Takes the last act back, or one by its number; the code of the refusal."""
    number = number or (await acts(place))[-1]["n"]
    refusal = await undo(place.chat, place.show, by or place.moderator, standing, number)
    return refusal and refusal.code


async def test_a_timeout_and_its_end_are_taken_back_and_the_log_says_which(place):
    await place.time_out(place.viewer, 600)
    assert await take_back(place) is None
    assert isinstance(await place.say("hello"), Posted)
    assert await take_back(place) is None
    assert (await place.say("hello")).code == "timed_out"
    log = await acts(place)
    assert [row["act"] for row in log] == ["timeout.set", "timeout.end", "timeout.set"]
    assert [row["detail"].get("undoes") for row in log] == [None, log[0]["n"], log[1]["n"]]
    assert [event["undoes"] for event in await place.staff_story() if event.get("undoes")] == [
        log[0]["n"],
        log[1]["n"],
    ]
    assert (await verify(place.pg)).broken is None


async def test_an_act_is_taken_back_once_also_by_two_at_the_same_moment(place):
    await place.time_out(place.viewer, 600)
    number = (await acts(place))[-1]["n"]
    codes = await asyncio.gather(*(take_back(place, number) for _ in range(4)))
    assert codes.count(None) >= 1
    assert set(codes) - {None} <= {"undone", "overtaken"}
    assert len(await acts(place)) == 2
    assert await take_back(place, number) == "undone"


async def test_what_something_newer_has_overtaken_is_left_as_it_is(place):
    await place.time_out(place.viewer, 600)
    first = (await acts(place))[-1]["n"]
    await place.time_out(place.viewer, 1200)
    assert await take_back(place, first) == "overtaken"
    assert (await place.say("hello")).code == "timed_out"
    await end_timeout(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    assert await take_back(place, (await acts(place))[1]["n"]) == "overtaken"


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_ban_is_taken_back_and_taking_that_back_bans_again(place, everywhere):
    wanted = SetBan(place.viewer.id, "spam", everywhere=everywhere)
    await set_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, wanted)
    assert await take_back(place) is None
    assert isinstance(await place.say("hello"), Posted)
    assert await take_back(place) is None
    await place.valkey.flushall()
    assert (await place.say("hello")).code == "banned"


async def test_what_is_taken_back_of_a_ban_reaches_no_further_than_what_was_done(place):
    """Ending all bans of somebody who was banned here alone was taken back with a ban in all shows of the shop."""

    async def bans():
        rows = await place.pg.fetch(
            "SELECT shop_id IS NOT NULL AS everywhere FROM sanctions WHERE account_id = $1 AND lifted_at IS NULL",
            place.viewer.id,
        )
        return sorted(row["everywhere"] for row in rows)

    def moderating(action, wanted):
        return action(place.chat, place.show, place.moderator, Standing.MODERATOR, wanted)

    await moderating(set_ban, SetBan(place.viewer.id))
    await moderating(end_ban, EndBan(place.viewer.id, everywhere=True))
    assert await take_back(place) is None
    assert await bans() == [False]
    await moderating(set_ban, SetBan(place.viewer.id, everywhere=True))
    assert await take_back(place) is None
    assert await bans() == [False]  # the one of this show was not what was taken back
    assert (await place.say("hello")).code == "banned"


async def test_a_warning_is_taken_back_as_long_as_nobody_has_read_it(place):
    for _ in range(2):
        await warn(place.chat, place.show, place.moderator, Standing.MODERATOR, GiveWarning(place.viewer.id, "rude"))
    read = await next_warning(place.pg, place.show, place.viewer.id)
    await accept_warning(place.chat, place.show, place.viewer, read.id)
    first, second = [row["n"] for row in await acts(place)]
    assert await take_back(place, first) == "overtaken"
    assert await take_back(place, second) is None
    assert isinstance(await place.say("hello"), Posted)
    assert (await ChatMemory(place.chat).me_of(place.show, place.viewer))["warning"] is None


async def test_modes_and_terms_go_back_and_what_others_changed_since_stays(place):
    await set_modes(place.chat, place.show, place.moderator, SetModes(shield=True, links=False))
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["spam", "scam"], ["spamalot"], ["a.org"]))
    modes, terms = [row["n"] for row in await acts(place)]
    await set_modes(place.chat, place.show, place.host, SetModes(links=True, slow_s=5))
    await set_terms(place.chat, place.show, place.host, SetTerms(["scam", "fraud"], ["spamalot"], ["a.org", "b.org"]))
    assert await take_back(place, modes) is None
    assert await take_back(place, terms) is None
    room = await read_room(place.pg, place.show)
    assert msgspec.to_builtins(room.modes) == {
        "slow_s": 5,
        "links": True,
        "open": True,
        "newcomers": False,
        "shield": False,
        "emoji": False,
        "buyers": False,
        "unique": False,
        "delay_s": 0,
        "followers_min": None,
        "levels": dict.fromkeys(("harassment", "profanity", "sexual", "spam"), 0),
        "languages": ("en",),
    }
    assert (room.terms.blocked, room.terms.permitted, room.terms.sites) == (("fraud",), (), ("b.org",))


async def test_what_was_pinned_before_is_pinned_again_a_message_only_while_it_is_there(place):
    said = await place.say("pin me")
    message = await find_said(place.chat, place.show, said.message)
    now_ms = clock.now_ms()
    await set_notice(place.chat, place.show, place.moderator, pinned(message, place.moderator, now_ms), now_ms)
    await set_notice(place.chat, place.show, place.moderator, written("Welcome", place.moderator, now_ms), now_ms)
    assert await take_back(place) is None
    assert (await read_room(place.pg, place.show)).notice.text == "pin me"
    await set_notice(place.chat, place.show, place.moderator, None, now_ms)
    await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, said.message)
    cleared = next(row["n"] for row in await acts(place) if row["act"] == "notice.clear")
    assert await take_back(place, cleared) == "overtaken"


async def test_one_takes_back_ones_own_acts_and_those_of_who_stands_lower(place):
    lead = Person("lead" + place.show, "Lea")
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", lead.id, lead.name)
    await place.pg.execute(
        "INSERT INTO show_moderators VALUES ($1, $2, $3, now(), true)", place.show, lead.id, place.host.id
    )
    await place.time_out(place.viewer, 600, by=place.host, standing=Standing.HOST)
    assert await take_back(place) == "forbidden"
    assert await take_back(place, by=lead, standing=Standing.LEAD) == "forbidden"
    assert await take_back(place, by=place.host, standing=Standing.HOST) is None
    await place.time_out(place.viewer, 600, by=lead, standing=Standing.LEAD)
    assert await take_back(place) == "forbidden"
    await place.time_out(place.viewer, 900)
    assert await take_back(place, by=lead, standing=Standing.LEAD) is None
    assert not hasattr(await place.time_out(place.moderator, 60, by=lead, standing=Standing.LEAD), "code")
    assert (await place.time_out(lead, 60)).code == "forbidden"


async def test_a_deleted_text_does_not_come_back_and_unknown_acts_are_not_found(place):
    said = await place.say("gone")
    await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, said.message)
    assert await take_back(place) == "no_undoing"
    assert await take_back(place, 10**9) == "not_found"
    await place.time_out(place.viewer, 600)
    elsewhere = await chat_place(place.pg, place.valkey)
    assert await take_back(elsewhere, (await acts(place))[-1]["n"]) == "not_found"
