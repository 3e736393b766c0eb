"""A room that nobody uses any more leaves Valkey, and comes back from Postgres."""

import msgspec

from app.chat.copy import copy_all
from app.chat.messages import delete
from app.person import Standing
from app.rooms.bus import staff_room
from app.rooms.hub import Hub
from app.rooms.keys import keys_of
from app.rooms.opening import ROOM_KEPT_MS
from tests.chat_place import chat_place
from tests.waiting import eventually


class Pin(msgspec.Struct):
    n: int


async def use_all_keys(place):
    """Every key that a room can have, each made by another script after the room was opened."""
    posted = await place.say("m0")
    await place.say("m1")
    await place.rooms.set_state(place.show, "pin", 1, Pin(1))
    await place.time_out(place.viewer)
    await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted.message)


async def lasting_keys(place):
    """The room's keys without an end, and all."""
    names = await place.valkey.keys(f"room:*{place.show}*")
    return {name for name in names if await place.valkey.pttl(name) < 0}, set(names)


async def test_only_words_that_wait_for_postgres_are_kept_without_end(pg, valkey):
    place = await chat_place(pg, valkey)
    await use_all_keys(place)
    lasting, names = await lasting_keys(place)
    assert lasting == {keys_of(place.show).copies.encode()}
    public, staff = keys_of(place.show), keys_of(staff_room(place.show))
    needed = {public.head, public.log, public.state, public.mutes, staff.head, staff.log}
    assert {name.encode() for name in needed} < names


async def test_a_room_that_was_not_used_for_long_is_gone_and_rebuilt_when_it_is_read(pg, valkey):
    place = await chat_place(pg, valkey)
    await use_all_keys(place)
    before = await place.rooms.heads([place.show], with_state=False)
    public = keys_of(place.show)
    mine = (public.head, public.log, public.state, public.mutes)
    left_ms = [await valkey.pttl(name) for name in mine]
    assert ROOM_KEPT_MS / 2 < min(left_ms) <= max(left_ms) <= ROOM_KEPT_MS
    for name in mine:  # that time passes
        await valkey.pexpire(name, 1)

    async def gone():
        return not await valkey.exists(*mine)

    await eventually(gone)
    await copy_all(place.chat)
    assert [event["text"] for event in await place.story()] == ["m1"]
    assert (await place.rooms.story(place.show)).e != before[0].e
    assert (await place.say("sneaking in")).code == "timed_out"


async def test_a_room_that_a_worker_has_open_is_kept(pg, valkey, monkeypatch):
    monkeypatch.setattr("app.rooms.hub.KEEP_EVERY", 1)
    place = await chat_place(pg, valkey)
    await use_all_keys(place)
    hub = Hub(place.rooms)
    async with hub.running():
        await hub.enter(place.show)
        keys = keys_of(place.show)
        mine = (keys.head, keys.log, keys.state, keys.mutes)
        for name in mine:
            await valkey.pexpire(name, 60_000)
        await hub.check()
        left_ms = [await valkey.pttl(name) for name in mine]
        assert min(left_ms) > ROOM_KEPT_MS / 2
        assert max(left_ms) <= ROOM_KEPT_MS
