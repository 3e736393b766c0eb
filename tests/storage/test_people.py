"""Warnings, bans of one show and of a whole shop, person cards and block lists, over the real stores."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.bans import EndBan, SetBan, end_ban, enforce_all, set_ban
from app.chat.copy import copy_all
from app.chat.memory import ChatMemory
from app.chat.messages import Posted, post
from app.chat.parts import build_chat
from app.chat.people import person_card
from app.chat.timeouts import end_timeout
from app.chat.warnings import GiveWarning, accept_warning, next_warning, warn
from app.person import Person, Standing
from app.rooms.valkey_bus import ValkeyRooms
from app.settings import Settings
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


class Told:
    """Remembers whom it was told of; refuses as often as it was asked to."""

    def __init__(self):
        self.bans = []
        self.outages = 0

    async def person_banned(self, person, shows, shop):
        del shop
        if self.outages:
            self.outages -= 1
            raise ConnectionError("away")
        self.bans.append((person, sorted(shows)))


def listened(place, *listeners):
    """Chat with listeners, on a worker of its own."""
    rooms = ValkeyRooms(place.valkey, place.rooms.sources)
    return build_chat(place.pg, rooms, place.chat.copies, Settings(chat_per_10_s=1000), *listeners)


async def ban(place, chat=None, *, by=None, standing=Standing.MODERATOR, **more):
    return await set_ban(
        chat or place.chat, place.show, by or place.moderator, standing, SetBan(place.viewer.id, "spam", **more)
    )


async def another_show(place):
    show = "show" + clock.new_id()
    await place.pg.execute("INSERT INTO shows (id, shop_id, title) VALUES ($1, $2, 'Next')", show, "shop" + place.show)
    return show


async def say_in(place, show, text="hello"):
    key = clock.new_id()
    return await post(place.chat, show, place.viewer, Standing.VIEWER, text=text, key=key, now_ms=clock.now_ms())


async def test_a_warned_person_writes_again_after_they_have_read_every_warning(place):
    for reason in ("first", "second"):
        await warn(place.chat, place.show, place.moderator, Standing.MODERATOR, GiveWarning(place.viewer.id, reason))
    assert (await place.say("hello")).code == "warned"
    await place.valkey.flushall()
    assert (await place.say("hello")).code == "warned"
    me = await ChatMemory(place.chat).me_of(place.show, place.viewer)
    assert me["warning"].reason == "first"
    following = await accept_warning(place.chat, place.show, place.viewer, me["warning"].id)
    assert following.reason == "second"
    assert (await place.say("hello")).code == "warned"
    assert await accept_warning(place.chat, place.show, place.viewer, following.id) is None
    assert isinstance(await place.say("hello"), Posted)
    assert [event["t"] for event in await place.story()] == ["chat"]


async def test_nobody_acknowledges_a_warning_for_somebody_else(place):
    await warn(place.chat, place.show, place.moderator, Standing.MODERATOR, GiveWarning(place.viewer.id, "rude"))
    warning = await next_warning(place.pg, place.show, place.viewer.id)
    await accept_warning(place.chat, place.show, place.host, warning.id)
    assert (await place.say("hello")).code == "warned"


async def test_a_banned_person_is_out_until_they_are_let_back_and_a_timeout_changes_nothing_of_it(place):
    assert await ban(place) is None
    assert await ban(place) is None
    await place.time_out(place.viewer, 10)
    await end_timeout(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    assert (await place.say("hello")).code == "banned"
    assert await ChatMemory(place.chat).is_banned(place.show, place.viewer)
    await end_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, EndBan(place.viewer.id))
    assert isinstance(await place.say("hello"), Posted)
    kinds = [event["t"] for event in await place.story()]
    assert kinds == ["ban", "timeout", "ban.ended", "chat"]
    assert [event["act"] for event in await place.staff_story()] == ["ban.set", "timeout.set", "timeout.end", "ban.end"]


async def test_a_timeout_that_a_ban_covered_goes_on_when_the_ban_ends(place):
    await place.time_out(place.viewer, 600)
    await ban(place)
    await end_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, EndBan(place.viewer.id))
    assert (await place.say("hello")).code == "timed_out"


async def test_a_ban_of_the_shop_holds_in_every_show_also_in_one_that_opens_later_and_after_a_wipe(place):
    second = await another_show(place)
    await say_in(place, second)
    assert await ban(place, everywhere=True) is None
    third = await another_show(place)
    for show in (place.show, second, third):
        assert (await say_in(place, show)).code == "banned"
    await place.valkey.flushall()
    for show in (place.show, second, third):
        assert (await say_in(place, show)).code == "banned"
        assert await ChatMemory(place.chat).is_banned(show, place.viewer)
    await end_ban(place.chat, second, place.host, Standing.HOST, EndBan(place.viewer.id, everywhere=True))
    for show in (place.show, second, third):
        assert isinstance(await say_in(place, show, clock.new_id()), Posted)


async def test_a_moderator_of_one_show_bans_from_that_show_alone(place):
    mo = Person("only" + place.show, "Onno")
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", mo.id, mo.name)
    await place.pg.execute("INSERT INTO show_moderators VALUES ($1, $2, $3)", place.show, mo.id, place.host.id)
    assert (await ban(place, by=mo, everywhere=True)).code == "forbidden"
    assert isinstance(await place.say("hello"), Posted)
    assert await ban(place, by=mo) is None
    assert isinstance(await say_in(place, await another_show(place)), Posted)


async def test_who_stands_high_in_another_show_is_not_banned_from_all_by_who_stands_low_in_the_shop(place):
    """In this show both might be anything; what counts is the whole shop."""
    second = await another_show(place)
    lead = "INSERT INTO show_moderators (show_id, account_id, appointed_by, lead) VALUES ($1, $2, $3, true)"
    await place.pg.execute(lead, second, place.viewer.id, place.host.id)
    assert (await ban(place, everywhere=True)).code == "forbidden"
    assert isinstance(await say_in(place, second), Posted)
    assert await ban(place) is None


@pytest.mark.parametrize("everywhere", [False, True])
async def test_words_after_a_bans_offset_are_never_the_banned_persons_on_any_worker_nor_after_a_wipe(place, everywhere):
    """Speakers race the ban and a wipe on three workers; whatever was accepted in a room stands before its ban."""
    shows = [place.show, await another_show(place)] if everywhere else [place.show]
    workers = [listened(place) for _ in range(3)]

    async def shout(chat, show):
        for n in range(40):
            try:
                text = f"{show} {n} {id(chat)}"
                await post(chat, show, place.viewer, Standing.VIEWER, text=text, key=text, now_ms=clock.now_ms())
            except ConnectionError:
                continue

    async def moderate():
        await ban(place, listened(place), everywhere=everywhere)
        await place.valkey.flushall()

    await asyncio.gather(moderate(), *(shout(chat, show) for chat in workers for show in shows))
    for show in shows:
        assert (await say_in(place, show, "after all")).code == "banned"
        events = [msgspec.json.decode(said.event) for said in (await place.rooms.story(show)).said]
        kinds = [event["t"] for event in events]
        assert "chat" not in kinds[kinds.index("ban") :] if "ban" in kinds else "after all" not in str(events)


async def test_who_listens_to_bans_is_told_of_every_show(place):
    told, second = Told(), await another_show(place)
    assert await ban(place, listened(place, told), everywhere=True) is None
    assert told.bans == [(place.viewer.id, sorted([place.show, second]))]


async def test_a_ban_that_could_not_be_carried_through_is_carried_through_later_and_once(place):
    """The media role was away, or the worker died after the commit."""
    told = Told()
    told.outages = 1
    chat = listened(place, told)
    with pytest.raises(ConnectionError):
        await ban(place, chat)
    assert (await place.say("hello")).code == "banned"
    await place.pg.execute("UPDATE sanctions SET created_at = now() - interval '1 minute'")
    for _ in range(2):
        await enforce_all(chat)
    assert told.bans == [(place.viewer.id, [place.show])]
    assert [event["t"] for event in await place.story()] == ["ban"]


async def test_a_ban_takes_the_words_along_when_asked(place):
    await place.say("spam")
    await ban(place, delete=True)
    assert [event["t"] for event in await place.story()] == ["chat.gone", "ban", "chat.purged"]


async def test_a_person_card_tells_what_was_said_and_done(place):
    await place.say("one")
    gone = await place.say("two")
    await copy_all(place.chat)
    await place.time_out(place.viewer, 60)
    await place.pg.execute("UPDATE messages SET body = '', deleted_at = now() WHERE id = $1", gone.message)
    card = await person_card(place.chat, place.show, place.viewer.id)
    assert (card.person.name, card.standing, card.messages) == ("Vera", Standing.VIEWER, 2)
    assert [line.text for line in card.last] == [None, "one"]
    assert [act.act for act in card.acts] == ["timeout.set"]
    assert card.silenced_until_ms > clock.now_ms()
    assert card.first_seen_ms is not None
    assert (await person_card(place.chat, place.show, "nobody")).code == "not_found"
