"""Moderating messages over the real stores: modes, terms, what waits, deletions of many, notices, reports."""

import asyncio

import msgspec
import pytest

from app import clock
from app.chat.acts import acts_of
from app.chat.copy import copy_all
from app.chat.edge import commands as commands_of
from app.chat.held import decide
from app.chat.held_store import waiting_in
from app.chat.messages import Posted, delete, delete_many, find_said, post
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.notices import pinned, set_notice, written
from app.chat.parts import build_chat
from app.chat.purges import delete_of, purge
from app.chat.reports import REPORTS_PER_HOUR_MAX, close_reports, open_reports, report
from app.chat.rulebooks import read_room
from app.person import Person, Standing
from app.rooms.dispatch import Asker, merge, run
from app.rooms.hub import Hub
from app.rooms.opening import Memory
from app.rooms.valkey_bus import ValkeyRooms, keys_of
from app.settings import Settings
from tests.chat_place import chat_place
from tests.waiting import eventually_true


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


def second_worker(place):
    """Chat as another process has it: its own cache of rules, the same stores."""
    rooms = ValkeyRooms(place.valkey, place.rooms.sources)
    return build_chat(place.pg, rooms, place.chat.copies, Settings(chat_per_10_s=1000))


async def command(place, op, person=None, standing=Standing.MODERATOR, **body):
    person = person or place.moderator
    frame = msgspec.json.encode({"op": op, "id": clock.new_id(), **body}).decode()
    return msgspec.json.decode(
        await run(merge(commands_of(place.chat)), frame, Asker(place.show, person, standing, ""))
    )


async def state(place, key):
    value = (await place.rooms.read(place.show)).state.get(key)
    return value and msgspec.json.decode(value[1])


async def acts(place):
    return [row["act"] for row in reversed(await acts_of(place.pg, place.show, 50))]


async def test_a_mode_holds_on_a_worker_that_had_other_rules_in_mind(place):
    other = second_worker(place)
    assert (await other.rulebooks.of(place.show)).modes.open
    await set_modes(place.chat, place.show, place.moderator, SetModes(open=False))
    place.chat, here = other, place.chat
    assert (await place.say("hello")).code == "chat_off"
    assert isinstance(await place.say("hello", person=place.host, standing=Standing.HOST), Posted)
    place.chat = here
    await set_modes(place.chat, place.show, place.moderator, SetModes(open=True))
    place.chat = other
    assert isinstance(await place.say("hello"), Posted)
    assert await state(place, "chat") == {
        "slow_s": 0, "links": True, "open": True, "newcomers": False, "shield": False,
        "emoji": False, "buyers": False, "unique": False, "delay_s": 0, "followers_min": None,
        "levels": {"harassment": 0, "profanity": 0, "sexual": 0, "spam": 0}, "languages": ["en"],
    }  # fmt: skip


async def test_a_retry_of_what_was_said_is_answered_alike_also_when_it_would_be_refused_by_now(place):
    first = await place.say("hello", key="k")
    await set_modes(place.chat, place.show, place.moderator, SetModes(open=False))
    assert await place.say("hello", key="k") == first
    assert (await place.say("hello", key="another")).code == "chat_off"


async def test_rules_that_the_room_has_not_heard_of_are_said_by_the_next_who_writes(place):
    """The moderator's worker died between the commit and the room."""
    await set_modes(place.chat, place.show, place.moderator, SetModes(links=False))
    await place.pg.execute("UPDATE chat_rooms SET version = version + 1, modes = '{\"open\": false}'")
    place.chat = second_worker(place)
    assert (await place.say("hello")).code == "chat_off"
    assert isinstance(await place.say("hello", person=place.host, standing=Standing.HOST), Posted)
    assert (await state(place, "chat"))["open"] is False


async def test_rules_come_back_with_a_wiped_room(place):
    await set_modes(place.chat, place.show, place.moderator, SetModes(slow_s=20))
    await place.valkey.flushall()
    assert isinstance(await place.say("one"), Posted)
    assert (await state(place, "chat"))["slow_s"] == 20
    assert (await place.say("two")).code == "too_fast"


async def test_sites_that_may_be_named_hold_on_every_process_and_not_under_the_shield(place):
    await set_modes(place.chat, place.show, place.moderator, SetModes(links=False))
    here = place.chat
    place.chat = second_worker(place)
    assert (await place.say("see example.org/sale")).code == "links_off"
    refused = await set_terms(here, place.show, place.moderator, SetTerms([], [], ["example.org/sale"]))
    assert refused.code == "term_invalid"
    await set_terms(here, place.show, place.moderator, SetTerms([], [], ["https://Example.org/"]))
    await set_terms(here, place.show, place.moderator, SetTerms(["scam"]))  # who gives no sites leaves them
    assert (await place.say("see example.org/sale")).o is not None
    assert (await place.say("see example.com")).code == "links_off"
    await set_modes(here, place.show, place.moderator, SetModes(shield=True))
    assert (await place.say("at www.example.org")).code == "links_off"


async def test_whoever_writes_from_a_crowded_address_is_told_when_there_is_room_again(place):
    place.chat = build_chat(place.pg, place.rooms, place.chat.copies, Settings(chat_per_10_s=1))
    asked = {"now_ms": clock.now_ms(), "address": "192.0.2.7"}
    for n in range(12):
        person = Person(f"p{n}", f"P{n}")
        said = await post(place.chat, place.show, person, Standing.VIEWER, text=f"I am {n}", key="k", **asked)
        assert (said.code == "crowded" and said.retry_after_ms > 0) if n >= 10 else said.o is not None
    asked["key"] = "k"
    assert (await post(place.chat, place.show, place.host, Standing.HOST, text="hello", **asked)).o is not None
    asked["address"] = "192.0.2.8"
    assert (await post(place.chat, place.show, place.viewer, Standing.VIEWER, text="hello", **asked)).o is not None


async def test_slow_mode_gives_each_viewer_a_wait_of_their_own_and_staff_none(place):
    await set_modes(place.chat, place.show, place.moderator, SetModes(slow_s=30))
    first = await place.say("one")
    assert first.wait_ms == 30_000
    refused = await place.say("two")
    assert refused.code == "too_fast"
    assert 20_000 < refused.retry_after_ms <= 30_000
    for n in range(3):
        said = await place.say(f"{n}", person=place.moderator, standing=Standing.MODERATOR)
        assert said.wait_ms is None
    await set_modes(place.chat, place.show, place.moderator, SetModes(slow_s=0))
    assert (await place.say("two")).wait_ms is None


async def test_the_shield_is_one_switch_and_leaves_the_other_modes_as_they_were(place):
    await set_modes(place.chat, place.show, place.moderator, SetModes(slow_s=5))
    await set_modes(place.chat, place.show, place.moderator, SetModes(shield=True))
    assert await state(place, "chat") == {
        "slow_s": 30, "links": False, "open": True, "newcomers": True, "shield": True,
        "emoji": False, "buyers": False, "unique": True, "delay_s": 0, "followers_min": None,
        "levels": {"harassment": 4, "profanity": 4, "sexual": 4, "spam": 4}, "languages": ["en"],
    }  # fmt: skip
    assert (await place.say("see example.com")).code == "links_off"
    assert (await place.say("hello")).o is None
    await set_modes(place.chat, place.show, place.moderator, SetModes(shield=False))
    assert (await read_room(place.pg, place.show)).modes.slow_s == 5
    assert await acts(place) == ["modes.set", "shield.up", "shield.down"]


async def test_the_same_said_three_times_in_a_row_is_refused_with_the_wait(place):
    for text in ("buy now!", "BUY  now"):
        assert isinstance(await place.say(text), Posted)
    refused = await place.say("buy now...")
    assert refused.code == "repeated"
    assert 0 < refused.retry_after_ms <= 30_000
    assert isinstance(await place.say("something else"), Posted)
    assert isinstance(await place.say("buy now"), Posted)


async def hold_one(place, text="you idiot", key="k"):
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["idiot"]))
    return await place.say(text, key=key)


async def test_a_filtered_message_waits_unseen_and_gets_its_offset_when_it_is_let_through(place):
    held = await hold_one(place)
    assert held.o is None
    await place.say("meanwhile")
    assert [event["t"] for event in await place.story()] == ["chat"]
    (waiting,) = await waiting_in(place.pg, place.show)
    assert (waiting.id, waiting.text, waiting.why, waiting.found) == (held.message, "you idiot", "term", "idiot")
    assert await decide(place.chat, place.show, place.moderator, held.message, approved=True) is None
    assert [event.get("text") for event in await place.story()] == ["meanwhile", "you idiot"]
    assert await waiting_in(place.pg, place.show) == []
    await copy_all(place.chat)
    assert [row["id"] for row in await place.rows()][1] == held.message
    assert [event["t"] for event in await place.staff_story()] == ["act", "held", "held.decided", "act"]


async def test_a_retry_of_a_message_that_waits_waits_once(place):
    first = await hold_one(place)
    again = await place.say("you idiot", key="k")
    assert again.message == first.message
    assert len(await waiting_in(place.pg, place.show)) == 1
    assert [event["t"] for event in await place.staff_story()].count("held") == 1


async def test_a_denied_message_is_gone_and_nobody_saw_it(place):
    held = await hold_one(place, "you secret idiot")
    assert await decide(place.chat, place.show, place.moderator, held.message, approved=False) is None
    assert await place.story() == []
    assert await place.pg.fetchval("SELECT body FROM held_messages WHERE id = $1", held.message) == ""
    again = await decide(place.chat, place.show, place.host, held.message, approved=True)
    assert again.code == "decided"
    assert await acts(place) == ["terms.set", "held.deny"]


async def test_two_moderators_let_a_message_through_once(place):
    held = await hold_one(place)
    others = second_worker(place)
    await asyncio.gather(
        decide(place.chat, place.show, place.moderator, held.message, approved=True),
        decide(others, place.show, place.host, held.message, approved=True),
    )
    assert [event["t"] for event in await place.story()] == ["chat"]
    assert (await acts(place)).count("held.approve") == 1


async def test_what_waits_of_a_person_who_was_timed_out_meanwhile_cannot_be_let_through(place):
    held = await hold_one(place)
    await place.time_out(place.viewer)
    refusal = await decide(place.chat, place.show, place.moderator, held.message, approved=True)
    assert refusal.code == "author_silenced"
    assert [event["t"] for event in await place.story()] == ["timeout"]
    assert len(await waiting_in(place.pg, place.show)) == 1


async def test_a_newcomers_first_message_waits_and_the_next_do_not(place):
    await set_modes(place.chat, place.show, place.moderator, SetModes(newcomers=True))
    held = await place.say("hello, I am new")
    assert held.o is None
    await decide(place.chat, place.show, place.moderator, held.message, approved=True)
    await copy_all(place.chat)
    assert (await place.say("hello again")).o is not None


async def everything_in_valkey(place):
    return b"".join([await place.valkey.dump(key) or b"" for key in await place.valkey.keys("*")])


@pytest.mark.parametrize("copied", ["before", "after", "read before, written after"])
async def test_all_that_a_person_said_goes_everywhere_and_others_words_stay(place, copied):
    """A copy that was read before the purge and is written after it must not bring the texts back."""
    hub = Hub(place.rooms)
    async with hub.running():
        room = await hub.enter(place.show)
        for n in range(3):
            await place.say(f"secret {n}")
            await place.say(f"kept {n}", person=place.host, standing=Standing.HOST)
        await eventually_true(lambda: room.ring.top == 6)
        waiting = await place.chat.copies.waiting(place.show)
        if copied == "before":
            await copy_all(place.chat)
        await delete_of(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
        if copied == "read before, written after":
            await place.valkey.hset(keys_of(place.show).copies, mapping=waiting)
        await eventually_true(lambda: room.ring.top == 7)
        in_worker = [msgspec.json.decode(event) for event in room.ring.slice(1, 7)]
    await copy_all(place.chat)
    kinds = ["chat.gone", "chat"] * 3 + ["chat.purged"]
    assert [event["t"] for event in in_worker] == kinds
    assert in_worker == await place.story()
    assert "secret" not in {row["body"][:6] for row in await place.rows()}
    assert [row["body"] for row in await place.rows() if row["body"]] == ["kept 0", "kept 1", "kept 2"]
    assert b"secret" not in await everything_in_valkey(place)
    assert isinstance(await place.say("and I go on"), Posted)


async def test_what_is_cleared_while_a_worker_gives_it_back_stays_gone(place, monkeypatch):
    """The worker had asked Postgres which words are missing before they were deleted, and appended them after it."""
    await place.say("rude")
    lost = await place.rooms.story(place.show)
    remembered = Memory(lost.e, lost.top, [said.event for said in lost.said])
    await place.valkey.flushall()
    epoch = (await place.rooms.story(place.show)).e
    memory = place.rooms.sources.stories[0]
    missing = memory.missing

    async def asked_just_before(*asked):
        found = await missing(*asked)
        monkeypatch.setattr(memory, "missing", missing)
        await purge(place.chat, place.show, place.host, None)
        return found

    monkeypatch.setattr(memory, "missing", asked_just_before)
    assert await place.rooms.give_back(place.show, epoch, remembered) == 0
    assert [event["t"] for event in await place.story()] == ["chat.purged"]


async def test_clearing_the_room_leaves_nothing_and_what_is_said_afterwards_stays(place):
    held = await hold_one(place, "you idiot secret")
    await place.say("secret one")
    await purge(place.chat, place.show, place.moderator, None)
    await place.say("new")
    await copy_all(place.chat)
    assert [event["t"] for event in await place.story()] == ["chat.gone", "chat.purged", "chat"]
    assert [row["body"] for row in await place.rows() if row["body"]] == ["new"]
    assert await place.pg.fetchval("SELECT state FROM held_messages WHERE id = $1", held.message) == "denied"
    await place.valkey.flushall()
    assert [event["text"] for event in await place.story()] == ["new"]


async def test_several_are_deleted_by_one_command_and_the_hosts_stay(place):
    ids = [(await place.say(f"m{n}")).message for n in range(3)]
    hosts = (await place.say("mine", person=place.host, standing=Standing.HOST)).message
    refusal = await delete_many(place.chat, place.show, place.moderator, Standing.MODERATOR, [*ids, hosts, "unknown"])
    assert refusal.code == "forbidden"
    assert [event["t"] for event in await place.story()] == ["chat.gone"] * 3 + ["chat"] + ["chat.deleted"] * 3


async def test_a_pinned_message_goes_with_its_message(place):
    for undo in (
        lambda message: delete(place.chat, place.show, place.moderator, Standing.MODERATOR, message),
        lambda _: delete_of(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id),
        lambda _: purge(place.chat, place.show, place.moderator, None),
    ):
        posted = await place.say(clock.new_id())
        assert "error" not in await command(place, "notice.set", message=posted.message)
        assert (await state(place, "notice"))["message"] == posted.message
        await undo(posted.message)
        assert await state(place, "notice") is None


async def test_a_notice_replaces_a_notice_and_comes_back_with_a_wiped_room(place):
    now_ms = clock.now_ms()
    message = await find_said(place.chat, place.show, (await place.say("look")).message)
    await set_notice(place.chat, place.show, place.moderator, pinned(message, place.moderator, now_ms), now_ms)
    await set_notice(place.chat, place.show, place.host, written("Sale at eight", place.host, now_ms), now_ms)
    await place.valkey.flushall()
    assert (await state(place, "notice"))["text"] == "Sale at eight"
    assert (await command(place, "notice.set"))["error"]["code"] == "malformed"
    assert "error" not in await command(place, "notice.clear")
    assert await state(place, "notice") is None
    texts = await place.pg.fetch("SELECT detail::text FROM moderation_acts WHERE show_id = $1", place.show)
    assert not any("look" in row["detail"] for row in texts)


async def test_a_report_reaches_the_staff_once_and_is_seen_to(place):
    message = await find_said(place.chat, place.show, (await place.say("rude")).message)
    reporter = place.host
    for _ in range(2):
        assert await report(place.chat, place.show, reporter, message, "rude") is None
    (told,) = await open_reports(place.pg, place.show)
    assert (told.message, told.author.id, told.by.id, told.reason) == (message.id, place.viewer.id, reporter.id, "rude")
    await close_reports(place.chat, place.show, place.moderator, message.id)
    assert await open_reports(place.pg, place.show) == []
    assert [event["t"] for event in await place.staff_story()] == ["report", "report.closed"]


async def test_nobody_floods_the_staff_with_reports(place):
    said = await find_said(place.chat, place.show, (await place.say("x")).message)
    for n in range(REPORTS_PER_HOUR_MAX):
        other = msgspec.structs.replace(said, id=f"{place.show}{n}")
        assert await report(place.chat, place.show, place.viewer, other, "?") is None
    last = msgspec.structs.replace(said, id=place.show + "last")
    assert (await report(place.chat, place.show, place.viewer, last, "?")).code == "too_many_reports"


async def test_an_answer_names_the_message_that_it_answers_also_from_postgres(place):
    first = await place.say("question?")
    await command(place, "chat.post", place.host, Standing.HOST, text="answer", re=first.message)
    await copy_all(place.chat)
    for _ in range(2):
        assert [event.get("re") for event in await place.story()] == [None, first.message]
        await place.valkey.flushall()


async def test_terms_that_name_nothing_are_refused_and_the_lists_are_bounded(place):
    assert (await command(place, "terms.set", blocked=["*"]))["error"]["code"] == "term_invalid"
    assert (await command(place, "terms.set", blocked=["aa"] * 501))["error"]["code"] == "malformed"
    done = await command(place, "terms.set", blocked=["Idiot", "idiot ", "b*d"], permitted=["bird"])
    assert done["blocked"] == ["idiot", "b*d"]
    assert (await place.say("a bad one")).o is None
    assert (await place.say("a bird")).o is not None


async def test_a_person_who_is_nobody_to_the_show_moderates_nothing(place):
    stranger = Person("stranger", "S")
    for op in sorted(merge(commands_of(place.chat))):
        everybodys = {"question.ask", "question.vote", "poll.answer", "reaction.add", "warning.accept"}
        if op not in {"chat.post", "chat.report", *everybodys}:
            assert (await command(place, op, stranger, Standing.VIEWER))["error"]["code"] == "forbidden"
