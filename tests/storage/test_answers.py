"""Answers by rule over the real stores: said once in a while by all processes together, by no message of the staff."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.answer_rules import Rule
from app.chat.answers import AnswerRules, read_rules, set_rules
from app.chat.edge import commands as commands_of
from app.chat.messages import delete
from app.chat.modes import SetModes, set_modes
from app.chat.undo import undo
from app.person import Standing
from app.rooms.dispatch import Asker, merge, run
from tests.chat_place import chat_over, chat_place

OSLO = Rule(["oslo"], "Nine euros", 60)
BLUE = Rule(["blue", "red"], "In June", 60)


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def write(place, *rules):
    return await set_rules(place.chat, place.show, place.host, AnswerRules(list(rules)))


async def say(place, text, *, key=None, by=None, standing=Standing.VIEWER, chat=None):
    """What the socket does with it."""
    frame = msgspec.json.encode({"op": "chat.post", "id": key or clock.new_id(), "text": text}).decode()
    asker = Asker(place.show, by or place.viewer, standing, "")
    return msgspec.json.decode(await run(merge(commands_of(chat or place.chat)), frame, asker))


async def answers(place):
    return [(event["re"], event["text"]) for event in await place.story() if event["t"] == "answer"]


async def rest(place, seconds):
    """As if so much time had passed."""
    await place.pg.execute(
        "UPDATE answer_turns SET said_at = said_at - make_interval(secs => $2) WHERE show_id = $1", place.show, seconds
    )


async def test_a_keyword_is_answered_once_in_a_while_however_many_ask_and_wherever(place):
    await write(place, OSLO, BLUE)
    other, _ = chat_over(place.pg, place.valkey)
    asked = [say(place, f"to Oslo? {n}", chat=(place.chat, other)[n % 2]) for n in range(12)]
    posted = await asyncio.gather(*asked)
    ((message, text),) = await answers(place)
    assert text == "Nine euros"
    assert message in {one["message"] for one in posted}
    await rest(place, -3600)  # this is the very moment of the answer, however long the machine took
    await say(place, "in blue?")
    assert len(await answers(place)) == 1  # the room has had one just now
    await rest(place, 3605)
    await place.valkey.flushall()
    await say(place, "in RED?")
    await say(place, "to Oslo?")
    assert [text for _, text in await answers(place)] == ["In June"]
    await rest(place, 60)
    await say(place, "to Oslo!", key="k")
    await say(place, "to Oslo!", key="k")
    assert [text for _, text in await answers(place)] == ["In June", "Nine euros"]


async def test_staff_what_waits_and_what_was_refused_are_not_answered(place):
    await write(place, OSLO)
    await say(place, "we ship to Oslo", by=place.host, standing=Standing.HOST)
    await set_modes(place.chat, place.show, place.moderator, SetModes(newcomers=True))
    assert (await say(place, "to Oslo?"))["o"] is None
    await set_modes(place.chat, place.show, place.moderator, SetModes(newcomers=False, open=False))
    assert "error" in await say(place, "to Oslo?")
    assert await answers(place) == []


async def test_a_change_is_one_act_that_can_be_taken_back_and_a_deleted_question_leaves_its_answer(place):
    async def last():
        return await place.pg.fetchval("SELECT max(n) FROM moderation_acts WHERE show_id = $1", place.show)

    async def back(number):
        refusal = await undo(place.chat, place.show, place.host, Standing.HOST, number)
        return refusal and refusal.code

    assert await write(place, Rule(["OSLO!"], " Nine euros ", 60)) == AnswerRules([OSLO])
    first = await last()
    await write(place, OSLO)
    assert await last() == first
    assert (await write(place, OSLO, OSLO)).code == "answers_invalid"
    posted = await say(place, "to Oslo?")
    assert await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, posted["message"]) is None
    assert await answers(place) == [(posted["message"], "Nine euros")]
    await write(place, BLUE)
    assert await back(first) == "overtaken"
    assert await back(await last()) is None
    assert await read_rules(place.pg, place.show) == [OSLO]
    await write(place)
    await rest(place, 3600)
    await say(place, "to Oslo, please?")
    assert len(await answers(place)) == 1
