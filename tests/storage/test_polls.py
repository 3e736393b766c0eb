"""Polls: one answer of a person however they come, a result with every answer that was taken, one open at a time."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.audit import verify
from app.chat.bans import SetBan, set_ban
from app.chat.memory import ChatMemory
from app.chat.poll_store import Mine, results
from app.chat.polls import Answered, AnswerPoll, Started, StartPoll, answer, end, polls_loop, start
from app.chat.undo import undo
from app.person import Person, Standing
from tests.chat_place import chat_over, chat_place

VOTERS = 10_000


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def started(place, question="Blue or red?", options=("Blue", "Red"), *, for_s=None, key=None):
    wanted = StartPoll(question, list(options), for_s)
    return await start(
        place.chat, place.show, place.moderator, wanted, key=key or clock.new_id(), now_ms=clock.now_ms()
    )


async def answered(place, poll, choice, *, by=None, chat=None):
    """What counts as the person's answer, or the code of the refusal."""
    done = await answer(chat or place.chat, place.show, by or place.viewer, AnswerPoll(poll, choice))
    return done.choice if isinstance(done, Answered) else done.code


async def in_room(place):
    value = (await place.rooms.read(place.show)).state.get("poll")
    return value and msgspec.json.decode(value[1])


async def last_act(place):
    return await place.pg.fetchval("SELECT max(n) FROM moderation_acts WHERE show_id = $1", place.show)


async def test_a_person_has_one_answer_whatever_they_send_and_over_whichever_process(place):
    poll = (await started(place)).poll
    other, _ = chat_over(place.pg, place.valkey)
    tries = [answered(place, poll, n % 2, chat=(place.chat, other)[n % 3 == 0]) for n in range(12)]
    done = await asyncio.gather(*tries)
    (first,) = {one for one in done if one != "answered"}
    assert done.count("answered") == 6
    await polls_loop(place.chat).run()
    assert sum((await in_room(place))["counts"]) == 1
    assert (await in_room(place))["counts"][first] == 1
    assert (await ChatMemory(place.chat).me_of(place.show, place.viewer))["poll"] == Mine(poll, first)
    assert (await ChatMemory(place.chat).me_of(place.show, place.host))["poll"] is None


async def test_ten_thousand_answers_are_all_in_the_result_and_the_room_hears_of_them_a_few_times(place):
    """The poll is ended while they come: who was told that their answer counts is in the result, and nobody else."""
    poll = (await started(place, options=("a", "b", "c"))).poll
    others, _ = chat_over(place.pg, place.valkey)
    people = [Person(f"voter{n}", "V") for n in range(VOTERS)]
    version = (await place.rooms.read(place.show)).state["poll"][0]
    tries = [
        asyncio.create_task(answered(place, poll, n % 3, by=one, chat=(place.chat, others)[n % 2]))
        for n, one in enumerate(people)
    ]
    loop = polls_loop(place.chat)
    said = 0
    while not tries[VOTERS // 2].done():
        await loop.run()
        said += 1
    assert await end(place.chat, place.show, place.host, poll) is None
    done = await asyncio.gather(*tries)
    taken = [done.count(choice) for choice in range(3)]
    assert sum(taken) + done.count("poll_over") == VOTERS
    assert sum(taken) > VOTERS // 4
    assert (await in_room(place))["counts"] == taken
    assert [one.counts for one in await results(place.pg, place.show)] == [taken]
    assert (await place.rooms.read(place.show)).state["poll"][0] - version <= said + 1


async def test_one_poll_is_open_at_a_time_also_when_two_start_at_once_and_a_retry_is_the_same(place):
    done = await asyncio.gather(*(started(place, f"number {n}?") for n in range(5)), started(place, key="k"))
    (open_one,) = [one for one in done if isinstance(one, Started)]
    assert {one.code for one in done if one is not open_one} == {"poll_open"}
    await end(place.chat, place.show, place.moderator, open_one.poll)
    first, again = await asyncio.gather(started(place, "Again?", key="twice"), started(place, "Again?", key="twice"))
    assert first == again == await started(place, "Again?", key="twice")
    assert (await in_room(place))["id"] == first.poll
    assert (await started(place, "Same?", ("a", "A"))).code == "poll_invalid"


async def test_a_wipe_loses_neither_poll_nor_answers(place):
    poll = (await started(place)).poll
    assert await answered(place, poll, 1) == 1
    await polls_loop(place.chat).run()
    before = await in_room(place)
    await place.valkey.flushall()
    assert await in_room(place) == before
    assert (await answered(place, poll, 0), await answered(place, poll, 1)) == ("answered", 1)
    await end(place.chat, place.show, place.host, poll)
    await place.valkey.flushall()
    ended = await in_room(place)
    assert (ended["state"], ended["counts"]) == ("ended", [0, 1])
    assert await answered(place, poll, 0, by=place.host) == "poll_over"


async def test_a_poll_ends_by_itself_when_its_time_or_its_show_is_over(place):
    loop = polls_loop(place.chat)
    poll = (await started(place, for_s=600)).poll
    await loop.run()
    assert (await in_room(place))["state"] == "open"
    await place.pg.execute("UPDATE polls SET ends_at = now() - interval '1 ms' WHERE id = $1", poll)
    assert await answered(place, poll, 0) == "poll_over"  # before any worker looks
    await loop.run()
    assert (await in_room(place))["state"] == "ended"
    another = (await started(place, "And now?")).poll
    await place.pg.execute("UPDATE shows SET state = 'ended' WHERE id = $1", place.show)
    assert await answered(place, another, 0) == "poll_over"
    await loop.run()
    assert [one.state for one in await results(place.pg, place.show)] == ["ended", "ended"]
    assert (await started(place, "Too late?")).code == "show_ended"


async def test_what_could_not_be_said_at_once_the_worker_says(place, monkeypatch):
    """Valkey was away for that moment: the poll was in no room for good, or stood there open after its end."""

    async def away(*_):
        raise ConnectionError

    loop = polls_loop(place.chat)
    with monkeypatch.context() as patch:
        patch.setattr(place.rooms, "set_state", away)
        with pytest.raises(ConnectionError):
            await started(place, key="k")
    poll = (await started(place, key="k")).poll
    await loop.run()
    assert ((await in_room(place))["id"], (await in_room(place))["state"]) == (poll, "open")
    with monkeypatch.context() as patch:
        patch.setattr(place.rooms, "set_state", away)
        with pytest.raises(ConnectionError):
            await end(place.chat, place.show, place.moderator, poll)
    await loop.run()
    assert (await in_room(place))["state"] == "ended"
    assert await answered(place, poll, 0) == "poll_over"


async def test_who_is_banned_and_what_is_no_answer_do_not_count(place):
    poll = (await started(place)).poll
    await place.time_out(place.viewer)
    assert await answered(place, poll, 5) == "poll_over"
    assert await answered(place, "nothing", 0) == "poll_over"
    assert await answered(place, poll, 0) == 0  # an answer is no word
    otto = Person("otto" + place.show, "Otto")
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", otto.id, otto.name)
    everywhere = SetBan(otto.id, everywhere=True)
    assert await set_ban(place.chat, place.show, place.host, Standing.HOST, everywhere) is None
    assert await answered(place, poll, 0, by=otto) == "poll_over"
    elsewhere = await chat_place(place.pg, place.valkey)
    assert await answered(elsewhere, poll, 0) == "poll_over"


async def test_start_and_end_are_taken_back_unless_something_newer_was_asked(place):
    async def back(number):
        refusal = await undo(place.chat, place.show, place.moderator, Standing.MODERATOR, number)
        return refusal and refusal.code

    gone = (await started(place)).poll
    begun = await last_act(place)
    assert await back(begun) is None
    assert (await in_room(place), await results(place.pg, place.show)) == (None, [])
    assert (await answered(place, gone, 0), await back(begun)) == ("poll_over", "undone")
    poll = (await started(place)).poll
    begun = await last_act(place)
    assert await answered(place, poll, 0) == 0
    await end(place.chat, place.show, place.moderator, poll)
    ended = await last_act(place)
    assert await end(place.chat, place.show, place.moderator, poll) is None
    assert await back(begun) == "overtaken"
    assert await back(ended) is None
    assert ((await in_room(place))["state"], await answered(place, poll, 0, by=place.host)) == ("open", 0)
    await end(place.chat, place.show, place.moderator, poll)
    ended = await last_act(place)
    await started(place, "Newer?")
    assert await back(ended) == "overtaken"
    assert (await in_room(place))["question"] == "Newer?"
    assert (await verify(place.pg)).broken is None
