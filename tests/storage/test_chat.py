"""Chat over the real Postgres and the real Valkey: posting, deleting, timeouts, the copy, and a room that was lost."""

import asyncio
import json

import asyncpg
import msgspec
import pytest

from app.chat.acts import acts_of
from app.chat.copy import copy_all
from app.chat.edge import commands as commands_of
from app.chat.memory import ChatMemory
from app.chat.messages import Posted, delete, post
from app.chat.parts import build_chat
from app.chat.reactions import say
from app.chat.timeouts import TimedOut, end_timeout
from app.person import Person, Standing
from app.refusal import Refusal
from app.rooms.bus import staff_room
from app.rooms.dispatch import Asker, merge, run
from app.rooms.hub import Hub
from app.rooms.keys import keys_of
from app.rooms.sources import Sources
from app.rooms.valkey_bus import ValkeyRooms
from app.settings import Settings
from tests.chat_place import chat_place
from tests.waiting import eventually_true


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def test_a_retried_message_is_said_once_and_answered_alike(place):
    first = await place.say("hello", key="k1")
    again = await place.say("hello", key="k1")
    assert isinstance(first, Posted)
    assert again == first
    assert len(await place.story()) == 1


async def test_what_is_said_is_copied_once_however_often_the_copy_runs(place):
    for n in range(7):
        await place.say(f"m{n}")
    left = await place.chat.copies.waiting(place.show)
    assert await copy_all(place.chat) == 7
    await place.valkey.hset(keys_of(place.show).copies, mapping=left)  # the worker died before it crossed them off
    assert await copy_all(place.chat) == 7
    assert [row["body"] for row in await place.rows()] == [f"m{n}" for n in range(7)]
    assert await place.chat.copies.waiting(place.show) == {}


async def test_a_message_of_an_unknown_author_does_not_hold_up_its_neighbours(place):
    await place.say("one")
    await place.say("ghost", person=Person("nobody", "Nobody"))
    await place.say("two")
    await copy_all(place.chat)
    assert [row["body"] for row in await place.rows()] == ["one", "two"]


async def test_a_message_that_postgres_cannot_take_is_set_aside_and_holds_up_nobody(place):
    """It failed the whole group, and with it the worker role, again and again."""
    for n in range(6):
        await place.say(f"m{n}")
    good = json.loads((await place.rooms.story(place.show)).said[0].event) | {"id": "other"}
    bad = {
        "e:91": json.dumps(good | {"text": "the shop will close \x00"}),
        "e:92": json.dumps(good | {"at": 10**17, "text": "closed"}),
        "e:93": "no message",
        "where": json.dumps(good),
        f"e:{2**70}": json.dumps(good | {"text": "closed"}),
    }
    await place.valkey.hset(keys_of(place.show).copies, mapping=bad)
    assert await copy_all(place.chat) == 6
    assert [row["body"] for row in await place.rows()] == [f"m{n}" for n in range(6)]
    assert await place.chat.copies.waiting(place.show) == {}
    aside = await place.valkey.lrange(keys_of(place.show).refused, 0, -1)
    assert {one.partition(b" ")[0].decode() for one in aside} == set(bad)


async def test_a_copy_that_fails_for_no_fault_of_a_message_sets_nothing_aside(place, pg):
    await place.say("m0")
    await pg.execute("ALTER TABLE messages RENAME COLUMN body TO words")
    try:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await copy_all(place.chat)
    finally:
        await pg.execute("ALTER TABLE messages RENAME COLUMN words TO body")
    assert len(await place.chat.copies.waiting(place.show)) == 1


@pytest.mark.parametrize("copied", ["before", "after", "read before, written after"])
async def test_a_deleted_text_is_gone_everywhere(place, copied):
    """The copy that was read before the deletion and written after it must not bring the text back."""
    posted = await place.say("secret words")
    await place.say("harmless")
    waiting = await place.chat.copies.waiting(place.show)
    if copied == "before":
        await copy_all(place.chat)
    assert await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted.message) is None
    if copied == "read before, written after":
        await place.valkey.hset(keys_of(place.show).copies, mapping=waiting)
    await copy_all(place.chat)
    story = await place.story()
    assert [event["t"] for event in story] == ["chat.gone", "chat", "chat.deleted"]
    assert story[0] == {"t": "chat.gone", "id": posted.message}
    rows = await place.rows()
    assert [(row["body"], row["deleted_by"]) for row in rows] == [("", place.moderator.id), ("harmless", None)]
    everything = [await place.valkey.dump(key) for key in await place.valkey.keys("*")]
    assert not any(b"secret" in (one or b"") for one in everything)


async def test_deleting_twice_tells_once(place):
    posted = await place.say("x")
    for _ in range(2):
        assert await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted.message) is None
    assert [event["t"] for event in await place.story()] == ["chat.gone", "chat.deleted"]
    acts = await acts_of(place.pg, place.show, 10)
    assert [(act["act"], act["target_account_id"]) for act in acts] == [("message.delete", place.viewer.id)]


async def test_a_moderator_cannot_delete_the_hosts_words_nor_unknown_ones(place):
    posted = await place.say("mine", person=place.host, standing=Standing.HOST)
    refusal = await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted.message)
    assert refusal.code == "forbidden"
    refusal = await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, "unknown")
    assert refusal.code == "not_found"


async def test_a_timed_out_person_is_refused_with_the_time_left_and_may_write_when_let_back(place):
    assert isinstance(await place.time_out(place.viewer, 60), TimedOut)
    refused = await place.say("again")
    assert refused.code == "timed_out"
    assert 50_000 < refused.retry_after_ms <= 60_000
    assert (await ChatMemory(place.chat).me_of(place.show, place.viewer))["timeout_ms"] > 50_000
    await end_timeout(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    assert isinstance(await place.say("thanks"), Posted)
    assert [event["t"] for event in await place.story()] == ["timeout", "timeout.ended", "chat"]
    staff = [msgspec.json.decode(said.event) for said in (await place.rooms.story(staff_room(place.show))).said]
    assert [event["act"] for event in staff] == ["timeout.set", "timeout.end"]


async def test_ending_no_timeout_does_nothing(place):
    assert await end_timeout(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id) is None
    assert await place.story() == []


async def test_peers_and_hosts_cannot_be_timed_out(place):
    for actor, standing, target in (
        (place.moderator, Standing.MODERATOR, place.host),
        (place.moderator, Standing.MODERATOR, place.moderator),
        (place.host, Standing.HOST, place.host),
        (place.viewer, Standing.VIEWER, place.viewer),
    ):
        refusal = await place.time_out(target, by=actor, standing=standing)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "forbidden"
    assert isinstance(await place.time_out(place.moderator, by=place.host, standing=Standing.HOST), TimedOut)


async def test_a_wiped_room_comes_back_with_its_words_and_its_sanctions_before_anybody_speaks(place):
    posted = await place.say("kept")
    gone = await place.say("deleted")
    await copy_all(place.chat)
    await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, gone.message)
    await place.time_out(place.viewer)
    epoch = (await place.rooms.story(place.show)).e
    await place.valkey.flushall()
    refused = await place.say("sneaking in")
    assert refused.code == "timed_out"
    story = await place.story()
    assert [(event["id"], event["text"]) for event in story] == [(posted.message, "kept")]
    assert (await place.rooms.story(place.show)).e != epoch


async def test_nobody_speaks_while_a_lost_room_cannot_be_rebuilt(place):
    class Away:
        async def sanctions_of(self, show):
            raise ConnectionError(show)

    memory = place.rooms.sources.sanctions[0]
    await place.time_out(place.viewer)
    await place.valkey.flushall()
    place.rooms.sources = Sources(sanctions=(Away(),))
    with pytest.raises(ConnectionError):
        await place.say("sneaking in")
    place.rooms.sources = Sources(sanctions=(memory,))
    assert (await place.say("sneaking in")).code == "timed_out"


async def test_a_timeout_that_meets_a_rebuild_is_never_forgotten(place):
    """The rebuild that read Postgres before the timeout must not open the room without it."""
    read, go = asyncio.Event(), asyncio.Event()
    memory = place.rooms.sources.sanctions[0]

    class Slow:
        async def sanctions_of(self, show):
            known = await memory.sanctions_of(show)
            read.set()
            await go.wait()
            return known

    slow = ValkeyRooms(place.valkey, Sources(sanctions=(Slow(),)))
    opening = asyncio.create_task(slow.story(place.show))
    await asyncio.wait_for(read.wait(), 60)
    await place.time_out(place.viewer)
    go.set()
    await asyncio.wait_for(opening, 60)
    assert (await place.say("sneaking in")).code == "timed_out"


async def test_words_after_a_timeouts_offset_are_never_the_silenced_persons(place):
    """Speakers race the moderator on two workers; whatever was accepted stands before the timeout."""
    other = ValkeyRooms(place.valkey, place.rooms.sources)
    chat = build_chat(place.pg, other, place.chat.copies, Settings(chat_per_10_s=1000))

    async def shout():
        for n in range(60):
            await post(chat, place.show, place.viewer, Standing.VIEWER, text=f"{n}", key=f"s{n}", now_ms=1)

    await asyncio.gather(shout(), shout(), place.time_out(place.viewer))
    kinds = [event["t"] for event in await place.story()]
    assert "chat" not in kinds[kinds.index("timeout") :]


async def test_too_fast_a_person_learns_when_to_go_on(place):
    slow = build_chat(place.pg, place.rooms, place.chat.copies, Settings(chat_per_10_s=3))
    place.chat = slow
    assert [type(await place.say(f"{n}")) for n in range(3)] == [Posted] * 3
    refused = await place.say("3")
    assert refused.code == "too_fast"
    assert 0 < refused.retry_after_ms <= 3400
    assert isinstance(await place.say("other", person=place.host, standing=Standing.HOST), Posted)


async def test_reactions_are_told_as_sums_and_kept_by_nobody(place):
    hub = Hub(place.rooms)
    async with hub.running():
        room = await hub.enter(place.show)
        commands = merge(commands_of(place.chat))
        asker = Asker(place.show, place.viewer, Standing.VIEWER, "")

        async def press(kind):
            return msgspec.json.decode(await run(commands, f'{{"op":"reaction.add","id":"1","kind":"{kind}"}}', asker))

        assert [await press(kind) for kind in ("heart", "heart", "clap")] == [{"re": "1"}] * 3
        assert (await press("bomb"))["error"]["code"] == "malformed"
        told = []
        room.react = told.append
        await say(place.rooms, place.chat.reactions)
        await say(place.rooms, place.chat.reactions)
        await eventually_true(lambda: told)
        assert told == [{"heart": 2, "clap": 1}]
    assert await place.story() == []
