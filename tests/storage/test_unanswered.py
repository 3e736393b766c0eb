"""What a show left unanswered: listed with its clocks, closed once, and taken back as it was."""

import asyncio

import pytest

from app import clock
from app.chat import question_store
from app.chat.modes import SetTerms, set_terms
from app.chat.question_clock_rules import CLOSED_MS, FIRST_ANSWER_MS, Late
from app.chat.questions import Answer, answer, ask, take
from app.chat.unanswered import close, unanswered
from app.chat.undo import undo
from app.person import Person, Standing
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def asked(place, text, *, by=None):
    key, now_ms = clock.new_id(), clock.now_ms()
    by = by or place.viewer
    return (await ask(place.chat, place.show, by, Standing.VIEWER, text=text, key=key, now_ms=now_ms)).question


async def somebody(place):
    person = Person("p" + clock.new_id(), "Otto")
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", person.id, person.name)
    return person


async def waiting(place, now_ms=None):
    return {one.id: one for one in await unanswered(place.pg, place.show, now_ms or clock.now_ms())}


async def in_room(place):
    state = (await place.rooms.read(place.show)).state
    return {key[2:] for key, (_, value) in state.items() if key.startswith("q:") and value != b"null"}


async def close_code(place, question, by=None):
    refusal = await close(place.chat, place.show, by or place.moderator, question)
    return refusal and refusal.code


async def take_back(place, number=None):
    number = number or await place.pg.fetchval(
        "SELECT max(n) FROM moderation_acts WHERE show_id = $1 AND act = 'question.close'", place.show
    )
    refusal = await undo(place.chat, place.show, place.moderator, Standing.MODERATOR, number)
    return refusal and refusal.code


async def test_what_waits_is_listed_and_its_clocks_begin_with_the_end_of_the_show(place):
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["scam"]))
    blue, scam = await asked(place, "Blue?"), await asked(place, "A scam?")
    oslo, done = [await asked(place, text, by=await somebody(place)) for text in ("Oslo?", "Done?")]
    await answer(place.chat, place.show, place.host, Answer(done, "Yes"))
    await take(place.chat, place.show, oslo)
    found = await waiting(place)
    assert {one.id: one.state for one in found.values()} == {blue: "open", scam: "held", oslo: "answering"}
    assert {(one.answer_by, one.close_by, one.late) for one in found.values()} == {(None, None, Late.NOTHING)}
    await place.pg.execute("UPDATE shows SET state = 'ended', ended_at = now() WHERE id = $1", place.show)
    ended_ms = clock.now_ms()
    found = await waiting(place)
    assert abs(found[blue].answer_by - ended_ms - FIRST_ANSWER_MS) < 60_000
    assert abs(found[oslo].close_by - ended_ms - CLOSED_MS) < 60_000
    assert found[oslo].answer_by is None
    late = await waiting(place, ended_ms + FIRST_ANSWER_MS + 60_000)
    assert {one.id: one.late for one in late.values()} == {blue: Late.ANSWER, scam: Late.ANSWER, oslo: Late.NOTHING}
    await answer(place.chat, place.show, place.host, Answer(blue, "In June"))  # also when the show is over
    assert set(await waiting(place)) == {scam, oslo}


async def test_a_question_is_closed_once_and_gone_also_after_a_wipe(place):
    question = await asked(place, "Blue?")
    codes = await asyncio.gather(*(close_code(place, question) for _ in range(4)))
    assert sorted(codes, key=str) == [None, "not_found", "not_found", "not_found"]
    assert (await in_room(place), await waiting(place)) == (set(), {})
    await place.valkey.flushall()
    assert await in_room(place) == set()
    answered = await asked(place, "Red?")
    await answer(place.chat, place.show, place.host, Answer(answered, "Yes"))
    assert await close_code(place, answered) == "not_found"
    elsewhere = await chat_place(place.pg, place.valkey)
    another = await asked(elsewhere, "Green?")
    assert await close_code(place, another) == "not_found"


async def test_taken_back_it_waits_as_it_did(place):
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["scam"]))
    blue, scam = await asked(place, "Blue?"), await asked(place, "A scam?")
    await close_code(place, blue)
    assert await take_back(place) is None
    assert await take_back(place) == "undone"
    assert (await waiting(place))[blue].state == "open"
    await close_code(place, scam)
    assert await take_back(place) is None
    assert (await waiting(place))[scam].state == "held"
    assert await in_room(place) == {blue}
    assert [row.question.id for row in await question_store.held(place.pg, place.show)] == [scam]
    assert (await place.staff_story())[-2]["t"] == "question.held"
    await close_code(place, blue)
    await place.pg.execute("UPDATE questions SET state = 'removed', body = '' WHERE id = $1", blue)
    assert await take_back(place) == "overtaken"
