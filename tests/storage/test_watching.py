"""An eye on somebody: marked, held, or hidden without their knowing, on every process from one offset on."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.answer_rules import Rule
from app.chat.answers import AnswerRules, set_rules
from app.chat.delayed import release_due
from app.chat.edge import commands as commands_of
from app.chat.events import Chat
from app.chat.held import decide
from app.chat.held_store import waiting_in
from app.chat.memory import ChatMemory
from app.chat.messages import Posted, delete
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.people import person_card
from app.chat.purges import delete_of
from app.chat.questions import ask
from app.chat.undo import undo
from app.chat.watch_rules import Level
from app.chat.watching import Watch, watch
from app.person import Person, Standing
from app.rooms.dispatch import Asker, merge, run
from app.rooms.news import Hinted, read_news
from tests.chat_place import chat_over, chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def eye(place, level, person=None, by=None, standing=Standing.MODERATOR):
    wanted = Watch((person or place.viewer).id, level)
    refusal = await watch(place.chat, place.show, by or place.moderator, standing, wanted)
    return refusal and refusal.code


async def texts(place):
    return [event["text"] for event in await place.story() if event["t"] == "chat"]


async def own(place, person=None):
    me = await ChatMemory(place.chat).me_of(place.show, person or place.viewer)
    return [event.text for event in me["own"]]


async def test_what_a_restricted_person_writes_waits_and_their_questions_too(place):
    await eye(place, Level.RESTRICTED)
    held = await place.say("hello")
    assert held.o is None
    assert [(one.id, one.why) for one in await waiting_in(place.pg, place.show)] == [(held.message, "restricted")]
    key, now_ms = clock.new_id(), clock.now_ms()
    asked = await ask(place.chat, place.show, place.viewer, Standing.VIEWER, text="Why?", key=key, now_ms=now_ms)
    assert asked.held
    assert await decide(place.chat, place.show, place.moderator, held.message, approved=True) is None
    assert await texts(place) == ["hello"]
    await eye(place, Level.MONITORED)
    assert (await place.say("and now")).o is not None
    assert (await person_card(place.chat, place.show, place.viewer.id)).watched is Level.MONITORED


async def test_who_is_hidden_is_told_what_everybody_is_and_nobody_else_sees_a_word(place):
    seen = await place.say("seen by all")
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["scam"]))
    await eye(place, Level.HIDDEN)
    async with place.valkey.pubsub() as pubsub:
        await pubsub.ssubscribe(f"room:{{{place.show}}}")
        assert (await pubsub.get_message(timeout=60))["type"] == "ssubscribe"
        posted = await place.say("seen by nobody", key="k")
        again = await place.say("seen by nobody", key="k")
        scam = await place.say("a scam")
        heard = []
        while len(heard) < 2:
            message = await pubsub.get_message(timeout=60)
            if message["type"] == "smessage":
                heard.append(read_news(message["data"]))
    assert (posted.message, posted.o) == (again.message, seen.o + 1)
    assert msgspec.to_builtins(posted).keys() == msgspec.to_builtins(seen).keys()
    assert scam.o is None  # anybody's would wait
    assert all(isinstance(one, Hinted) and one.person == place.viewer.id for one in heard)
    assert await texts(place) == ["seen by all"]
    await place.valkey.flushall()
    assert await texts(place) == []  # not even copied yet, and none of the hidden comes with it
    assert await own(place) == ["seen by nobody"]
    assert await own(place, place.host) == []
    await set_modes(place.chat, place.show, place.moderator, SetModes(links=False))
    assert (await place.say("see www.example.org")).code == "links_off"
    assert await release_due(place.chat) == 0


async def test_where_all_are_delayed_who_is_hidden_sees_their_own_words_as_late_as_everybody(place, monkeypatch):
    """Seen at once where everybody waits, they told their author that they are hidden."""
    told = []

    async def tell(_show, person, hint):
        assert person == place.viewer.id
        told.append((hint.text if isinstance(hint, Chat) else hint.approved, hint.id))

    async def tell_nothing(*_):
        pass

    await place.pg.execute("TRUNCATE held_messages")  # what others left behind comes due too
    monkeypatch.setattr(place.rooms, "tell", tell)
    await set_modes(place.chat, place.show, place.moderator, SetModes(delay_s=60))
    anybodys = await place.say("one")
    await eye(place, Level.HIDDEN)
    posted = [await place.say(text, key=text) for text in ("two", "three", "two")]
    assert [(one.o, one.delay_ms) for one in (anybodys, *posted)] == [(None, 60_000)] * 4
    assert await release_due(place.chat) == 0
    assert (told, await own(place)) == ([], [])
    await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted[1].message)
    assert told == [(False, posted[1].message)]
    await place.pg.execute("UPDATE held_messages SET kept_at = kept_at - interval '1 hour'")
    others, _ = chat_over(place.pg, place.valkey)
    assert sorted(await asyncio.gather(*(release_due(one) for one in (place.chat, others)))) in ([0, 2], [1, 1])
    assert await texts(place) == ["one"]
    assert await own(place) == ["two"]
    last = await place.say("four")
    monkeypatch.setattr(place.rooms, "tell", tell_nothing)
    await place.time_out(place.viewer, 10)
    monkeypatch.setattr(place.rooms, "tell", tell)
    await set_modes(place.chat, place.show, place.moderator, SetModes(delay_s=0))
    told.clear()
    assert await release_due(place.chat) == 1
    assert (told, await own(place)) == ([(False, last.message)], ["two"])


async def test_it_holds_on_a_process_that_had_other_rules_in_mind_and_after_a_wipe(place):
    other, _ = chat_over(place.pg, place.valkey)
    await other.rulebooks.of(place.show)
    await eye(place, Level.HIDDEN)
    place.chat = other
    await asyncio.gather(*(place.say(f"number {n}") for n in range(5)))
    await place.valkey.flushall()
    await place.say("number 5")
    assert await texts(place) == []
    assert len(await own(place)) == 6


async def test_who_joins_where_the_rules_are_remembered_of_before_still_sees_what_they_said(place):
    """A process in which nobody had written since knew nobody who is hidden, and showed them none of their words."""
    other, _ = chat_over(place.pg, place.valkey)
    await other.rulebooks.of(place.show)
    await eye(place, Level.HIDDEN)
    await place.say("seen by nobody")
    await place.say("nor this")
    place.chat = other
    assert await own(place) == ["seen by nobody", "nor this"]
    assert await own(place, place.host) == []
    await eye(place, Level.NONE)
    assert await own(place) == []


async def test_hidden_words_answer_no_keyword_and_go_when_they_are_deleted(place, monkeypatch):
    await set_rules(place.chat, place.show, place.host, AnswerRules([Rule(["oslo"], "Nine euros")]))
    await eye(place, Level.HIDDEN)
    frame = msgspec.json.encode({"op": "chat.post", "id": "one", "text": "to Oslo?"}).decode()
    asker = Asker(place.show, place.viewer, Standing.VIEWER, "")
    reply = msgspec.json.decode(await run(merge(commands_of(place.chat)), frame, asker))
    assert reply["o"] is not None
    assert await place.story() == []
    assert await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, reply["message"]) is None
    assert await own(place) == []
    denied, told = await place.say("turned down"), []

    async def tell(_show, _person, hint):
        told.append(hint)

    monkeypatch.setattr(place.rooms, "tell", tell)
    assert await decide(place.chat, place.show, place.moderator, denied.message, approved=False) is None
    assert told == []
    await place.say("another")
    await delete_of(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    assert await own(place) == []
    assert await place.pg.fetch("SELECT FROM held_messages WHERE show_id = $1 AND body <> ''", place.show) == []


async def test_nobody_keeps_an_eye_on_who_stands_higher_and_a_change_is_one_act_that_goes_back(place):
    assert await eye(place, Level.HIDDEN, place.host) == "forbidden"
    assert await eye(place, Level.HIDDEN, Person("nobody", "N")) == "not_found"
    await asyncio.gather(*(eye(place, Level.RESTRICTED) for _ in range(4)))
    acts = await place.pg.fetch("SELECT n, detail FROM moderation_acts WHERE show_id = $1 ORDER BY n", place.show)
    assert [row["detail"] for row in acts] == [{"before": "none", "after": "restricted"}]

    async def back(number):
        refusal = await undo(place.chat, place.show, place.moderator, Standing.MODERATOR, number)
        return refusal and refusal.code

    await eye(place, Level.HIDDEN)
    assert await back(acts[0]["n"]) == "overtaken"
    last = await place.pg.fetchval("SELECT max(n) FROM moderation_acts WHERE show_id = $1", place.show)
    assert await back(last) is None
    assert (await place.say("waits")).o is None
    assert await back(acts[0]["n"]) is None
    assert isinstance(await place.say("is said"), Posted)
    assert await texts(place) == ["is said"]
