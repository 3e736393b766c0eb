"""Questions to the host: asked once, voted for once, answered for all or for one, and there again after a wipe."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat import question_store, questions
from app.chat.bans import SetBan, set_ban
from app.chat.memory import ChatMemory
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.purges import delete_of, purge
from app.chat.question_store import ANSWERED_MAX
from app.chat.questions import (
    OWN_MAX,
    WAITING_MAX,
    Answer,
    Asked,
    Vote,
    answer,
    ask,
    let_through,
    questions_loop,
    remove,
    take,
    vote,
)
from app.person import Person, Standing
from app.rooms.bus import Pace
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def asked(place, text="Does it come in blue?", *, by=None, key=None, standing=Standing.VIEWER):
    by, key = by or place.viewer, key or clock.new_id()
    return await ask(place.chat, place.show, by, standing, text=text, key=key, now_ms=clock.now_ms())


async def somebody(place, name="Otto"):
    person = Person("p" + clock.new_id(), name)
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", person.id, person.name)
    return person


async def in_room(place):
    """The questions as the room has them, by id."""
    view = await place.valkey.hgetall(f"room:{{{place.show}}}:state")
    found = {}
    for key, value in view.items():
        if key.startswith(b"q:"):
            question = msgspec.json.decode(value.partition(b" ")[2])
            if question is not None:
                found[question["id"]] = question
    return found


async def test_a_question_is_asked_once_however_often_it_is_sent_and_comes_back_after_a_wipe(place):
    await place.pg.execute("UPDATE shows SET started_at = now() - interval '90 seconds' WHERE id = $1", place.show)
    first, again = [await asked(place, key="one") for _ in range(2)]
    assert first == again
    (question,) = (await in_room(place)).values()
    assert (question["text"], question["state"], question["votes"]) == ("Does it come in blue?", "open", 0)
    assert 90_000 <= question["asked_ms"] < 150_000
    await place.valkey.flushall()
    assert await asked(place, key="one") == first
    await place.say("hello")
    assert list(await in_room(place)) == [first.question]


async def test_a_person_counts_once_for_a_question_and_never_for_their_own(place):
    question, otto = (await asked(place)).question, await somebody(place)
    await asyncio.gather(*(vote(place.chat, place.show, otto, Vote(question)) for _ in range(5)))
    await vote(place.chat, place.show, place.moderator, Vote(question))
    await vote(place.chat, place.show, place.viewer, Vote(question))
    loop = questions_loop(place.chat)
    await loop.run()
    assert (await in_room(place))[question]["votes"] == 2
    me = await ChatMemory(place.chat).me_of(place.show, otto)
    assert me["questions"].voted == [question]
    for _ in range(2):
        await vote(place.chat, place.show, otto, Vote(question, on=False))
    await loop.run()
    assert (await in_room(place))[question]["votes"] == 1
    assert (await ChatMemory(place.chat).me_of(place.show, otto))["questions"].voted == []


async def test_one_is_answered_at_a_time_and_old_ones_leave_the_room(place):
    await place.pg.execute("UPDATE shows SET started_at = now() - interval '1 minute' WHERE id = $1", place.show)
    many = range(ANSWERED_MAX + 2)
    ids = [(await asked(place, f"question {n}", by=await somebody(place))).question for n in many]
    for question in ids:
        assert await take(place.chat, place.show, question) is None
    room = await in_room(place)
    assert [room[one]["state"] for one in ids[-2:]] == ["answered", "answering"]
    assert room[ids[-1]]["taken_ms"] >= 60_000
    assert ids[0] not in room
    assert len(room) == ANSWERED_MAX + 1
    assert (await take(place.chat, place.show, "nothing")).code == "not_found"


async def test_a_private_answer_reaches_the_asker_alone_and_is_there_at_every_join(place):
    alone, for_all = (await asked(place, "How much to Oslo?")).question, (await asked(place, "Blue?")).question
    await answer(place.chat, place.show, place.host, Answer(alone, "Nine euros, Vera", private=True))
    await answer(place.chat, place.show, place.host, Answer(for_all, "In June"))
    room = await in_room(place)
    assert (room[alone]["answer"], room[alone]["private"]) == ("", True)
    assert (room[for_all]["answer"], room[for_all]["private"]) == ("In June", False)
    await place.valkey.flushall()
    await place.say("hello")
    assert "Nine euros" not in str(await in_room(place))
    memory = ChatMemory(place.chat)
    assert (await memory.me_of(place.show, place.viewer))["questions"].answers == {alone: "Nine euros, Vera"}
    assert (await memory.me_of(place.show, place.moderator))["questions"].answers == {}


async def test_what_a_filter_catches_waits_and_what_the_modes_forbid_is_refused_with_nothing_written(place):
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["scam*"]))
    held = await asked(place, "Is this a sc4m?")
    assert held == Asked(held.question, held=True)
    assert await in_room(place) == {}
    assert [event["t"] for event in await place.staff_story()] == ["act", "question.held"]
    assert [row.why for row in await question_store.held(place.pg, place.show)] == ["term"]
    assert await let_through(place.chat, place.show, place.moderator, held.question) is None
    assert list(await in_room(place)) == [held.question]
    await set_modes(place.chat, place.show, place.moderator, SetModes(open=False))
    assert (await asked(place, "And now?")).code == "chat_off"
    assert (await asked(place, "  ")).code == "empty"


async def test_limits_say_when_to_come_back(place):
    for n in range(2):
        assert isinstance(await asked(place, f"question {n}"), Asked)
    too_fast = await asked(place, "and another")
    assert (too_fast.code, too_fast.retry_after_ms > 0) == ("too_fast", True)
    for n in range(OWN_MAX):
        assert isinstance(await asked(place, f"staff {n}", by=place.host, standing=Standing.HOST), Asked)
    assert (await asked(place, "one more", by=place.host, standing=Standing.HOST)).code == "too_many"
    await place.pg.execute(
        "INSERT INTO questions (id, show_id, account_id, name, body, state)"
        " SELECT $1 || n, $1, $2, 'Hana', 'x', 'open' FROM generate_series(1, $3) n",
        place.show,
        place.host.id,
        WAITING_MAX,
    )
    assert (await asked(place, "too late", by=await somebody(place))).code == "too_many"


async def test_who_is_silenced_asks_nothing_and_a_ban_with_deletion_takes_the_questions(place):
    question = (await asked(place)).question
    await place.time_out(place.viewer, 60)
    assert (await asked(place, "again?")).code == "timed_out"
    wanted = SetBan(place.viewer.id, delete=True)
    await set_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, wanted)
    assert await in_room(place) == {}
    assert (await asked(place, "again?")).code == "banned"
    row = await question_store.read_question(place.pg, place.show, question)
    assert (row.question.state, row.question.text) == ("removed", "")


async def test_a_question_whose_author_is_silenced_between_the_gate_and_the_row_is_not_written(place):
    await place.pg.execute(
        "INSERT INTO sanctions (id, shop_id, account_id, kind, by_account_id) VALUES ($1, $2, $3, 'ban', $4)",
        clock.new_id(),
        "shop" + place.show,
        place.viewer.id,
        place.host.id,
    )
    assert (await asked(place)).code in {"timed_out", "banned"}
    assert await place.pg.fetchval("SELECT count(*) FROM questions WHERE show_id = $1", place.show) == 0


async def test_removed_words_are_gone_and_all_of_a_person_go_with_their_messages(place):
    first, second = (await asked(place, "one")).question, (await asked(place, "two")).question
    await remove(place.chat, place.show, place.moderator, Standing.MODERATOR, first)
    assert list(await in_room(place)) == [second]
    await delete_of(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    assert await in_room(place) == {}
    texts = await place.pg.fetch("SELECT body FROM questions WHERE show_id = $1", place.show)
    assert [row["body"] for row in texts] == ["", ""]
    again = await remove(place.chat, place.show, place.moderator, Standing.MODERATOR, first)
    assert again.code == "not_found"


async def test_a_moderator_does_not_remove_what_the_host_asked(place):
    question = (await asked(place, by=place.host, standing=Standing.HOST)).question
    refusal = await remove(place.chat, place.show, place.moderator, Standing.MODERATOR, question)
    assert refusal.code == "forbidden"
    assert list(await in_room(place)) == [question]
    assert await remove(place.chat, place.show, place.host, Standing.HOST, question) is None


async def test_who_votes_to_and_fro_is_told_to_wait_and_counts_as_the_last_vote_that_was_taken(place, monkeypatch):
    pace = Pace(600_000, 20, ":vote")  # no machine is so slow that another is free by the end
    monkeypatch.setattr(questions, "VOTE_PACE", pace)
    question, otto = (await asked(place)).question, await somebody(place)
    answers = [await vote(place.chat, place.show, otto, Vote(question, on=not n % 2)) for n in range(pace.burst)]
    assert set(answers) == {None}
    too_fast = await vote(place.chat, place.show, otto, Vote(question))
    assert (too_fast.code, 0 < too_fast.retry_after_ms <= pace.every_ms) == ("too_fast", True)
    assert (await question_store.read_question(place.pg, place.show, question)).question.votes == 0
    assert await vote(place.chat, place.show, await somebody(place), Vote(question)) is None


async def test_a_cleared_chat_says_only_what_stood_there(place):
    await place.pg.execute(
        "INSERT INTO questions (id, show_id, account_id, name, body, state)"
        " SELECT $1 || state, $1, $2, 'Vera', 'x', state FROM unnest('{held,open,answered,past}'::text[]) state",
        place.show,
        place.viewer.id,
    )
    await purge(place.chat, place.show, place.host, None)
    said = await place.valkey.hkeys(f"room:{{{place.show}}}:state")
    assert sorted(key.decode() for key in said if key.startswith(b"q:")) == [
        f"q:{place.show}{state}" for state in ("answered", "open")
    ]
    seen_to = [event["id"] for event in await place.staff_story() if event["t"] == "question.seen_to"]
    assert seen_to == [place.show + "held"]
    left = await place.pg.fetch("SELECT DISTINCT state, body FROM questions WHERE show_id = $1", place.show)
    assert [tuple(row) for row in left] == [("removed", "")]
    assert await place.pg.fetchval("SELECT count(*) FROM questions WHERE show_id = $1", place.show) == 4


async def test_what_is_ones_own_comes_in_the_order_in_which_it_was_asked_and_only_while_it_stands(place):
    otto = await somebody(place)
    ids = [place.show + letter for letter in "cab"]
    for n, one in enumerate(ids):
        await place.pg.execute(
            "INSERT INTO questions (id, show_id, account_id, name, body, state, answer, private, asked_at, changed_at)"
            " VALUES ($1, $2, $3, 'Vera', 'x', 'answered', 'yes', true, now() + $4 * interval '1 s',"
            " now() + $4 * interval '1 s')",
            one,
            place.show,
            place.viewer.id,
            n,
        )
        await place.pg.execute("INSERT INTO question_votes VALUES ($1, $2, $3)", one, otto.id, place.show)
    await place.pg.execute("UPDATE questions SET state = 'past' WHERE id = $1", ids[1])
    memory = ChatMemory(place.chat)
    assert (await memory.me_of(place.show, otto))["questions"].voted == [ids[0], ids[2]]
    assert list((await memory.me_of(place.show, place.viewer))["questions"].answers) == ids
