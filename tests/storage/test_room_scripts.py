"""The room's Lua scripts through ValkeyRooms: offsets, history, state, tombstones, opening and presence."""

import asyncio

import msgspec
import pytest

from app.rooms.bus import HISTORY_MAX, Backlogged, Crowded, Muted, Pace, Shared, Spoken, staff_room
from app.rooms.hub import Hub
from app.rooms.keys import channel_of, keys_of
from app.rooms.news import Hinted, Opened, Set, StandingChanged, Told, read_news
from app.rooms.presence import open_rooms, report, sum_up
from app.rooms.room import NOTHING, LocalRoom
from app.rooms.session import share_since
from app.rooms.sources import Sources
from app.rooms.valkey_bus import ValkeyRooms

EASY = Pace(every_ms=1, burst=10_000)


class Said(msgspec.Struct):
    n: int


@pytest.fixture
def rooms(valkey):
    return ValkeyRooms(valkey, Sources())


async def speak(rooms, n, *, person="ann", key=None, pace=EASY, shared=None):
    event_id = f"{person} {key or n}"
    former = "-" + event_id
    return await rooms.speak("s", person, Said(n), event_id=event_id, former_id=former, pace=pace, shared=shared)


async def test_those_of_one_address_and_all_of_a_room_share_an_allowance_on_every_process(rooms, valkey):
    other = ValkeyRooms(valkey, Sources())
    slow, easy = Pace(60_000, 2), Pace(1, 1000)

    async def say(n, place, by_place, by_room=easy):
        return await speak((rooms, other)[n % 2], n, person=f"p{n}", shared=Shared(place, by_place, by_room))

    assert [type(await say(n, "192.0.2.1", slow)) for n in range(3)] == [Spoken, Spoken, Crowded]
    refused = await say(2, "192.0.2.1", slow)
    assert 0 < refused.retry_after_ms <= 60_000
    assert isinstance(await say(1, "192.0.2.1", slow), Spoken)  # a retry counts nothing
    assert isinstance(await say(3, "192.0.2.2", slow), Spoken)
    assert [type(await say(n, None, slow)) for n in (4, 5, 6)] == [Spoken] * 3
    await valkey.delete(keys_of("s").pace_of_all)
    assert [type(await say(n, None, slow, slow)) for n in (7, 8, 9)] == [Spoken, Spoken, Crowded]
    assert isinstance(await speak(rooms, 10, person="staff"), Spoken)
    assert b"192.0.2" not in b" ".join(await valkey.keys("*"))


async def test_offsets_are_consecutive_whoever_speaks_and_the_history_agrees(rooms, valkey):
    other = ValkeyRooms(valkey, Sources())
    spoken = await asyncio.gather(*((rooms, other)[n % 2].append("s", Said(n)) for n in range(200)))
    assert sorted(one.o for one in spoken) == list(range(1, 201))
    assert len({one.e for one in spoken}) == 1
    story = await rooms.story("s")
    by_offset = {one.o: n for n, one in enumerate(spoken)}
    assert [(said.o, msgspec.json.decode(said.event)["n"]) for said in story.said] == sorted(by_offset.items())


async def test_the_history_keeps_the_last_thousand(rooms, valkey):
    await asyncio.gather(*(rooms.append("s", Said(n)) for n in range(HISTORY_MAX + 30)))
    story = await rooms.story("s")
    assert (len(story.said), story.top) == (HISTORY_MAX, HISTORY_MAX + 30)
    assert await valkey.llen(keys_of("s").log) == HISTORY_MAX


async def test_a_repeated_command_has_one_effect_also_when_both_come_at_once(rooms, valkey):
    other = ValkeyRooms(valkey, Sources())
    answers = await asyncio.gather(*(speak((rooms, other)[n % 2], n, key="same") for n in range(10)))
    assert len(set(map(str, answers))) == 1
    assert len((await rooms.story("s")).said) == 1
    assert await speak(rooms, 1, key="same", person="bob") != answers[0]


async def test_a_sanction_ends_by_itself_and_a_ban_does_not(rooms, valkey):
    await rooms.sanction("s", "ann", 1, Said(0))  # long over
    assert isinstance(await speak(rooms, 1), Spoken)
    assert await valkey.hget(keys_of("s").mutes, "ann") is None
    await rooms.sanction("s", "ann", None, Said(0))
    assert await speak(rooms, 2) == Muted(None)
    assert await rooms.sanction_of("s", "ann") == Muted(None)
    await rooms.absolve("s", "ann", Said(0))
    assert isinstance(await speak(rooms, 3), Spoken)


async def test_words_wait_for_postgres_within_a_bound(rooms, valkey, monkeypatch):
    monkeypatch.setattr("app.rooms.valkey_bus.COPIES_MAX", 2)
    await speak(rooms, 1)
    await speak(rooms, 2)
    assert await speak(rooms, 3) == Backlogged()
    assert await valkey.hlen(keys_of("s").copies) == 2


async def test_the_older_version_never_covers_the_newer(rooms):
    assert await rooms.set_state("s", "pool:1", 7 * 2**32 + 1, Said(1))
    assert not await rooms.set_state("s", "pool:1", 7 * 2**32 + 1, Said(2))
    assert not await rooms.set_state("s", "pool:1", 7 * 2**32, Said(3))
    assert await rooms.set_state("s", "pool:1", 7 * 2**32 + 2, None)
    assert (await rooms.read("s")).state == {"pool:1": (7 * 2**32 + 2, b"null")}


async def test_a_tombstone_takes_the_place_and_the_copy_and_travels_with_its_event(rooms, valkey):
    spoken = [await speak(rooms, n) for n in range(3)]
    async with valkey.pubsub() as pubsub:
        await pubsub.ssubscribe(channel_of("s"))
        await rooms.replace("s", spoken[1], Said(-1), Said(9))
        while (message := await pubsub.get_message(timeout=60))["type"] != "smessage":
            pass
    assert read_news(message["data"]) == Told(spoken[0].e, 4, b'{"n":9}', ((2, b'{"n":-1}'),))
    assert [said.event for said in (await rooms.story("s")).said] == [b'{"n":0}', b'{"n":-1}', b'{"n":2}', b'{"n":9}']
    assert set(await valkey.hkeys(keys_of("s").copies)) == {f"{spoken[0].e}:{o}".encode() for o in (1, 3)}


@pytest.mark.parametrize("at", [Spoken("other epoch", 1), Spoken("", 99), Spoken("", 0)])
async def test_a_tombstone_for_what_is_not_there_buries_nothing(rooms, at):
    first = await speak(rooms, 1)
    await rooms.replace("s", Spoken(at.e or first.e, at.o), Said(-1), Said(9))
    assert [said.event for said in (await rooms.story("s")).said] == [b'{"n":1}', b'{"n":9}']


async def test_a_room_is_opened_once_from_its_sources_and_again_after_a_wipe(rooms, valkey):
    class Memory:
        async def story_of(self, _):
            return [Said(n) for n in range(3)]

        async def state_of(self, _):
            return [("pin", 5, Said(5)), ("gone", 6, None)]

        async def sanctions_of(self, _):
            return {"ann": None, "bob": 2**45}

    memory = Memory()
    rooms.sources = Sources((memory,), (memory,), (memory,))
    views = await asyncio.gather(*(rooms.read("s") for _ in range(5)))
    assert len({view.e for view in views}) == 1
    assert views[0].top == 3
    assert views[0].state == {"pin": (5, b'{"n":5}'), "gone": (6, b"null")}
    assert await speak(rooms, 1) == Muted(None)
    assert isinstance(await speak(rooms, 1, person="bob"), Muted)
    await valkey.flushall()
    again = await rooms.read("s")
    assert again.e != views[0].e
    assert (again.top, again.state) == (3, views[0].state)
    assert (await rooms.read(staff_room("s"))).top == 0  # a staff room has no memory of its own


async def test_a_lost_tail_gives_a_new_epoch_once(rooms):
    first = await rooms.append("s", Said(1))
    await rooms.reopen("s", first.e, 1)  # nothing is lost
    assert (await rooms.read("s")).e == first.e
    await asyncio.gather(rooms.reopen("s", first.e, 5), rooms.reopen("s", first.e, 7))
    after = await rooms.read("s")
    assert after.e != first.e
    await rooms.reopen("s", first.e, 5)
    assert (await rooms.read("s")).e == after.e


async def test_the_bus_carries_what_the_hub_reads(rooms, valkey):
    async with valkey.pubsub() as pubsub:
        await pubsub.ssubscribe(channel_of("s"))
        spoken = await rooms.append("s", Said(1))
        await rooms.set_state("s", "viewers", 2, Said(2))
        await rooms.tell("s", "ann", Said(3))
        await rooms.standing_changed("s", "ann")
        news = []
        while len(news) < 5:
            message = await pubsub.get_message(timeout=60)
            if message["type"] == "smessage":
                news.append(read_news(message["data"]))
    assert news == [
        Opened(spoken.e),
        Told(spoken.e, 1, b'{"n":1}'),
        Set(spoken.e, "viewers", 2, b'{"n":2}'),
        Hinted("ann", b'{"n":3}'),
        StandingChanged("ann"),
    ]


async def test_viewers_are_summed_over_workers_and_published_only_on_change(rooms, valkey):
    await rooms.read("s")
    hubs = [Hub(rooms), Hub(rooms)]
    for hub, count in zip(hubs, (3, 4), strict=True):
        hub.counts = lambda count=count: {"s": count, staff_room("s"): 1}
    await asyncio.gather(*(report(hub) for hub in hubs))
    assert await open_rooms(valkey) == ["s"]
    await sum_up(valkey)
    version, value = (await rooms.read("s")).state["viewers"]
    assert value == b'{"n":7}'
    await sum_up(valkey)
    assert (await rooms.read("s")).state["viewers"] == (version, value)
    hubs[0].counts = lambda: {"s": 0}
    await report(hubs[0])
    await sum_up(valkey)
    assert (await rooms.read("s")).state["viewers"][1] == b'{"n":4}'


async def test_who_joins_is_told_of_no_key_that_is_gone_and_an_older_value_does_not_bring_it_back(rooms):
    for version, value in ((1, Said(1)), (2, None)):
        await rooms.set_state("s", "q:1", version, value)
    await rooms.set_state("s", "q:2", 1, Said(2))
    room = LocalRoom("s")
    room.adopt(await rooms.read("s"))
    for me in ({}, None):
        body, _ = room.share_body(share_since(room.window(), None, None), me)
        assert list(msgspec.json.decode(body)["joined"]["k"]) == ["q:2"]
    assert not await rooms.set_state("s", "q:1", 1, Said(1))
    room.take_state({"q:1": (1, b"{}")})
    assert room.state["q:1"] == (2, NOTHING)


async def test_a_local_room_takes_the_bus_in_order_and_says_where_it_has_a_hole(rooms):
    for n in range(3):
        await rooms.append("s", Said(n))
    view = await rooms.read("s")
    room = LocalRoom("s")
    room.adopt(view)
    assert room.apply(Told(view.e, 3, b"{}"))  # known already
    assert room.apply(Told(view.e, 4, b"{}"))
    assert not room.apply(Told(view.e, 6, b"{}"))
    assert not room.apply(Told("another epoch", 5, b"{}"))
    assert room.ring.top == 4
