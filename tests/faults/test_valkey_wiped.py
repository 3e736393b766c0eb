"""Valkey is wiped while web workers live: what was acknowledged comes back, once, and nothing that was taken away."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from app import clock
from app.chat import store
from app.chat.copy import copy_all
from app.chat.events import Chat as Message
from app.chat.memory import STORY_MAX
from app.chat.messages import Posted, delete
from app.chat.parts import build_chat
from app.person import Standing
from app.rooms.copies import Copies
from app.rooms.news import Told
from app.rooms.presence import mark_open
from app.settings import Settings
from tests.chat_place import chat_place
from tests.protocol.room_server import room_server


class Workers:
    """Web workers with chat, a viewer on each, and a show."""

    def __init__(self, place, servers, viewers):
        self.place, self.servers, self.viewers = place, servers, viewers

    def use(self, n):
        """What is said from now on is said at this worker."""
        rooms = self.servers[n].bus
        self.place.rooms = rooms
        self.place.chat = build_chat(self.place.pg, rooms, Copies(rooms.valkey), Settings(chat_per_10_s=100))

    def deafen(self, n):
        """The worker hears no events any more, but is not told so."""
        hub = self.servers[n].hub
        receive = hub._receive
        hub._receive = lambda tracked, news: None if isinstance(news, Told) else receive(tracked, news)
        hub._is_astray = lambda _, known, head: head.e != known[0]

    def hear(self, n):
        hub = self.servers[n].hub
        del hub._receive, hub._is_astray

    async def wipe(self):
        """And everybody listens again, as after a wipe the connections are new."""
        await self.place.valkey.flushall()
        await mark_open(self.place.valkey, self.place.show)  # what every worker reports each second
        for n in range(len(self.servers)):
            if "_receive" in vars(self.servers[n].hub):
                self.hear(n)

    async def seen_afresh(self, count):
        """The messages that each viewer has after its fresh start, when they are `count`."""
        found = []
        for viewer in self.viewers:
            fresh = (await viewer.until("joined"))["joined"]
            events = fresh["m"]
            while sum(event["t"] == "chat" for event in events) < count:
                frame = await viewer.frame()
                if "joined" in frame:
                    frame = frame["joined"]
                    events = []
                events = events + frame.get("m", [])
            found.append([event["text"] for event in events if event["t"] == "chat"])
        return found

    async def texts(self):
        return [event["text"] for event in await self.place.story() if event["t"] == "chat"]


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    """Whether Valkey was emptied is looked at each second: too long to wait for it a dozen times."""
    monkeypatch.setattr("app.rooms.hub.CHECK_PERIOD_S", 0.2)


@pytest.fixture
async def workers(pg, valkey):
    async with AsyncExitStack() as stack:
        place = await chat_place(pg, valkey)
        sources = place.rooms.sources
        servers = [await stack.enter_async_context(room_server(valkey, sources=sources)) for _ in range(2)]
        viewers = [await stack.enter_async_context(server.joined(place.show)) for server in servers]
        made = Workers(place, servers, viewers)
        made.use(0)
        yield made


async def test_what_was_acknowledged_and_not_yet_copied_comes_back_once(workers):
    for n in range(3):
        await workers.place.say(f"m{n}")
    await copy_all(workers.place.chat)
    for n in range(3, 6):
        await workers.place.say(f"m{n}")
    for viewer in workers.viewers:
        await viewer.events(6)
    await workers.wipe()
    expected = [f"m{n}" for n in range(6)]
    assert await workers.seen_afresh(6) == [expected] * 2
    assert await workers.texts() == expected
    await copy_all(workers.place.chat)
    assert sorted(row["body"] for row in await workers.place.rows()) == expected


async def test_workers_that_heard_unlike_much_give_back_what_either_heard(workers):
    await workers.place.say("m0")
    await workers.viewers[1].events(1)
    workers.deafen(1)
    await workers.place.say("m1")
    await workers.viewers[0].events(2)
    workers.deafen(0)
    await workers.place.say("m2")  # acknowledged by worker 0, which has not heard of it over the bus
    workers.use(1)
    await workers.place.say("m3")
    await workers.wipe()
    await workers.seen_afresh(4)
    assert sorted(await workers.texts()) == ["m0", "m1", "m2", "m3"]


async def test_what_was_on_its_way_to_postgres_while_the_room_was_opened_comes_back_too(workers, monkeypatch):
    """Its copy came too late for the history and early enough for everybody to find it written."""
    place = workers.place
    await place.say("m0")
    for viewer in workers.viewers:
        await viewer.events(1)
    story = place.rooms.sources.stories[0]
    story_of, waiting = story.story_of, await place.chat.copies.waiting(place.show)

    async def before_the_copy(show):
        found = await story_of(show)
        copies = [store.Copy(show, *_at(field), msgspec.json.decode(said, type=Message)) for field, said in waiting]
        await store.insert_messages(place.pg, copies)
        return found

    waiting = list(waiting.items())
    monkeypatch.setattr(story, "story_of", before_the_copy)
    await workers.wipe()
    assert await workers.seen_afresh(1) == [["m0"]] * 2
    assert await workers.texts() == ["m0"]
    await place.say("m1")
    await copy_all(place.chat)
    assert sorted(row["body"] for row in await place.rows()) == ["m0", "m1"]


def _at(field):
    epoch, _, offset = field.partition(":")
    return epoch, int(offset)


async def test_what_was_said_between_two_wipes_under_an_epoch_that_no_reading_saw_comes_back(workers):
    place = workers.place
    await place.say("m0")
    for viewer in workers.viewers:
        await viewer.events(1)
    for n in (0, 1):
        workers.deafen(n)
    hubs = [server.hub for server in workers.servers]
    for hub in hubs:
        hub._is_astray = lambda *_: False
    await place.valkey.flushall()
    await place.say("m1")
    await workers.wipe()
    await workers.seen_afresh(2)
    assert sorted(await workers.texts()) == ["m0", "m1"]


async def test_words_that_the_opened_history_left_out_for_their_age_are_not_said_anew(workers):
    place = workers.place
    for n in range(STORY_MAX + 5):
        await place.say(f"m{n}")
    await copy_all(place.chat)
    for viewer in workers.viewers:
        await viewer.events(STORY_MAX + 5)
    await workers.wipe()
    await workers.seen_afresh(STORY_MAX)
    assert await workers.texts() == [f"m{n}" for n in range(5, STORY_MAX + 5)]


async def test_a_deleted_message_that_a_worker_still_remembers_does_not_come_back(workers):
    place = workers.place
    posted = await place.say("secret")
    await place.say("harmless")
    for viewer in workers.viewers:
        await viewer.events(2)
    for n in (0, 1):
        workers.deafen(n)
    assert await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted.message) is None
    await workers.wipe()
    await workers.seen_afresh(1)
    assert await workers.texts() == ["harmless"]
    everything = [await place.valkey.dump(key) for key in await place.valkey.keys("*")]
    assert not any(b"secret" in (one or b"") for one in everything)


@pytest.mark.parametrize("when", ["before it is given back", "while the moderator looks for it"])
async def test_a_deletion_that_meets_the_giving_back_takes_the_text_away(workers, when, monkeypatch):
    """Postgres did not know the message when it was asked; then it was deleted, and then given back."""
    place = workers.place
    posted = await place.say("secret")
    for viewer in workers.viewers:
        await viewer.events(1)
    asked, go = asyncio.Event(), asyncio.Event()
    story = place.rooms.sources.stories[0]
    missing, real_delete = story.missing, store.delete_message

    async def slowly(*args):
        found = await missing(*args)
        asked.set()
        await go.wait()
        return found

    async def delete_and_let_go(*args):
        fresh = await real_delete(*args)
        if when == "while the moderator looks for it":
            go.set()
        return fresh

    monkeypatch.setattr(story, "missing", slowly)
    monkeypatch.setattr(store, "delete_message", delete_and_let_go)
    found = store.Copy(
        place.show, "lost", 1, msgspec.json.decode((await place.rooms.story(place.show)).said[0].event, type=store.Chat)
    )

    async def find(*_):
        return found

    monkeypatch.setattr("app.chat.messages._find", find)
    await workers.wipe()
    await asyncio.wait_for(asked.wait(), 60)
    assert await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted.message) is None
    go.set()
    await place.say("after")
    await workers.seen_afresh(1)
    assert await workers.texts() == ["after"]


async def test_words_of_who_was_silenced_since_go_to_postgres_alone(workers):
    """Given back they would stand after the timeout."""
    place = workers.place
    await place.say("mine")
    await place.say("ours", person=place.host, standing=Standing.HOST)
    await place.time_out(place.viewer)
    for viewer in workers.viewers:
        await viewer.events(3)
    await workers.wipe()
    await workers.seen_afresh(1)
    assert await workers.texts() == ["ours"]
    await copy_all(place.chat)
    assert sorted(row["body"] for row in await place.rows()) == ["mine", "ours"]


@pytest.mark.parametrize("copied", [True, False])
async def test_a_message_that_is_sent_again_across_a_wipe_is_said_once(workers, copied):
    place = workers.place
    first = await place.say("hello", key="k1")
    for viewer in workers.viewers:
        await viewer.events(1)
    if copied:
        await copy_all(place.chat)
    await workers.wipe()
    workers.use(1)
    again = await place.say("hello", key="k1")
    assert isinstance(again, Posted)
    assert again.message == first.message
    assert await workers.seen_afresh(1) == [["hello"]] * 2
    assert (await place.say("hello", key="k1")).message == first.message
    assert isinstance(await place.say("new", key=clock.new_id()), Posted)
    assert await workers.texts() == ["hello", "new"]
    await copy_all(place.chat)
    assert sorted(row["body"] for row in await place.rows()) == ["hello", "new"]


async def test_without_any_worker_what_is_left_of_the_history_and_not_copied_stays(place_alone):
    """Valkey came back under another name with its memory: nobody else knows these words."""
    await place_alone.say("m0")
    await copy_all(place_alone.chat)
    await place_alone.say("m1")
    await place_alone.say("m2")
    head = f"room:{{{place_alone.show}}}:head"
    await place_alone.valkey.hset(head, "server", "another")
    assert [event["text"] for event in await place_alone.story()] == ["m0", "m1", "m2"]


@pytest.fixture
async def place_alone(pg, valkey):
    return await chat_place(pg, valkey)
