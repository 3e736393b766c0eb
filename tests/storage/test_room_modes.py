"""Emoji only, buyers only, nothing twice, and what viewers see a little later than the staff, over the real stores."""

import asyncio

import pytest

from app import clock
from app.accounts.follows import follow, follows_for_s, unfollow
from app.chat import held_store, messages
from app.chat.answer_rules import Rule
from app.chat.answers import AnswerRules, set_rules
from app.chat.bans import SetBan, set_ban
from app.chat.copy import copy_all
from app.chat.delayed import release_due
from app.chat.messages import Posted, delete
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.purges import delete_of, purge
from app.chat.questions import Asked, ask
from app.chat.timeouts import end_timeout
from app.checkout.buyers import has_bought
from app.person import Person, Standing
from app.rooms.bus import Backlogged
from tests.chat_place import chat_over, chat_place


@pytest.fixture
async def place(pg, valkey):
    await pg.execute("TRUNCATE held_messages")  # what others left behind comes due too
    return await chat_place(pg, valkey)


async def modes(place, **wanted):
    await set_modes(place.chat, place.show, place.moderator, SetModes(**wanted))


async def somebody(place, name="Otto"):
    person = Person("p" + clock.new_id(), name)
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", person.id, person.name)
    return person


async def over(place):
    """As if the delay of all that waits were over."""
    await place.pg.execute("UPDATE held_messages SET kept_at = kept_at - interval '1 hour'")


async def texts(place):
    return [event["text"] for event in await place.story() if event["t"] == "chat"]


async def take_away(place, message):
    refusal = await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, message)
    return refusal and refusal.code


async def test_emoji_alone_are_said_and_questions_are_asked_in_words(place):
    await modes(place, emoji=True)
    assert (await place.say("hello")).code == "emoji_only"
    assert (await place.say("🔥")).o is not None
    assert (await place.say("hello", person=place.host, standing=Standing.HOST)).o is not None
    key, now_ms = clock.new_id(), clock.now_ms()
    asked = await ask(place.chat, place.show, place.viewer, Standing.VIEWER, text="Why?", key=key, now_ms=now_ms)
    assert isinstance(asked, Asked)


async def test_only_whose_order_stands_writes_where_buyers_do(place):
    place.chat = with_checkout(place)
    await modes(place, buyers=True)
    assert (await place.say("hello")).code == "buyers_only"
    order = "o" + place.show
    await place.pg.execute(
        "INSERT INTO orders (id, account_id, shop_id, state, total_minor, currency)"
        " VALUES ($1, $2, $3, 'paid', 100, 'EUR')",
        order,
        place.viewer.id,
        "shop" + place.show,
    )
    assert (await place.say("I have two")).o is not None
    assert (await place.say("hello", person=await somebody(place))).code == "buyers_only"
    for state in ("cancelled", "refunded"):
        await place.pg.execute("UPDATE orders SET state = $2 WHERE id = $1", order, state)
        assert (await place.say("I had two")).code == "buyers_only"
    await modes(place, buyers=False)
    assert (await place.say("hello")).o is not None


def with_checkout(place):
    """The place's chat, with checkout's answer to who has bought."""
    chat, _ = chat_over(place.pg, place.valkey, has_bought=lambda show, person: has_bought(place.pg, show, person))
    return chat


async def test_what_somebody_has_just_said_nobody_says_again_on_any_process(place):
    await modes(place, unique=True)
    otto = await somebody(place)
    other, here = chat_over(place.pg, place.valkey)[0], place.chat
    first = await place.say("First!", key="k")
    assert isinstance(first, Posted)
    place.chat = other
    again = await place.say("FIRST ...", person=otto)
    assert (again.code, again.retry_after_ms > 0) == ("not_unique", True)
    assert await place.say("First!", key="k") == first
    assert (await place.say("first", person=place.host, standing=Standing.HOST)).o is not None
    place.chat = here
    done = await asyncio.gather(*(place.say("me too", person=one) for one in (otto, place.viewer)))
    assert sorted(isinstance(one, Posted) for one in done) == [False, True]
    await modes(place, unique=False)
    assert isinstance(await place.say("first", person=otto), Posted)


async def test_viewers_see_it_later_and_the_staff_at_once(place):
    await modes(place, delay_s=60)
    posted = await place.say("hello", key="k")
    assert (posted.o, posted.delay_ms) == (None, 60_000)
    assert (await texts(place), await release_due(place.chat)) == ([], 0)
    (held,) = [event for event in await place.staff_story() if event["t"] == "held"]
    assert (held["id"], held["text"], held["why"]) == (posted.message, "hello", "delay")
    assert (await place.say("from the host", person=place.host, standing=Standing.HOST)).o is not None
    await over(place)
    others, _ = chat_over(place.pg, place.valkey)
    assert sorted(await asyncio.gather(*(release_due(one) for one in (place.chat, others)))) == [0, 1]
    assert await texts(place) == ["from the host", "hello"]
    assert (await place.staff_story())[-1] == {"t": "held.decided", "id": posted.message, "approved": True, "by": None}
    again = await place.say("hello", key="k")
    assert (again.message, again.o) == (posted.message, 2)
    await copy_all(place.chat)
    assert [row["body"] for row in await place.rows()] == ["from the host", "hello"]


async def test_a_message_that_was_delayed_is_answered_by_its_keyword_when_it_is_said(place):
    await set_rules(place.chat, place.show, place.host, AnswerRules([Rule(["oslo"], "Nine euros")]))
    await modes(place, delay_s=60)
    posted = await place.say("to Oslo?")
    assert await release_due(place.chat) == 0
    await over(place)
    assert await release_due(place.chat) == 1
    assert [(event["t"], event.get("re")) for event in await place.story()] == [
        ("chat", None),
        ("answer", posted.message),
    ]


async def test_a_room_that_takes_no_more_keeps_no_other_waiting(place, monkeypatch):
    """What waited behind a message of a full room waited until that room was empty."""
    monkeypatch.setattr(held_store, "DUE_MAX", 2)
    other = await chat_place(place.pg, place.valkey)
    await modes(other, delay_s=60)
    await modes(place, delay_s=60)
    for n in range(3):
        await place.say(f"number {n}")
    await other.say("hello")
    await over(place)
    speak, full = place.rooms.speak, {place.show}

    async def speak_unless_full(room, *said, **how):
        return Backlogged() if room in full else await speak(room, *said, **how)

    monkeypatch.setattr(place.rooms, "speak", speak_unless_full)
    assert await release_due(place.chat) == 1
    assert (await texts(place), await texts(other)) == ([], ["hello"])
    full.clear()
    assert await release_due(place.chat) == 3
    assert await texts(place) == ["number 0", "number 1", "number 2"]


async def test_what_was_taken_away_within_the_delay_nobody_ever_saw(place):
    await modes(place, delay_s=60)
    posted = await place.say("something vile", key="k")
    assert [await take_away(place, posted.message) for _ in range(2)] == [None, None]
    await over(place)
    await place.valkey.flushall()
    assert await release_due(place.chat) == 0
    assert (await place.say("something vile", key="k")).o is None
    assert await release_due(place.chat) == 0
    await modes(place, delay_s=0)
    assert "vile" not in str(await place.story())
    assert [row["body"] for row in await place.pg.fetch("SELECT body FROM held_messages")] == [""]
    acts = await place.pg.fetch("SELECT act FROM moderation_acts WHERE target_message_id = $1", posted.message)
    assert [row["act"] for row in acts] == ["message.delete"]


async def test_taken_away_while_it_is_let_out_it_is_a_tombstone_or_nothing(place):
    await modes(place, delay_s=60)
    for n in range(6):
        posted = await place.say(f"vile {n}")
        await over(place)
        done = await asyncio.gather(release_due(place.chat), take_away(place, posted.message))
        assert done[1] is None
    assert await texts(place) == []


async def test_who_was_silenced_within_the_delay_says_nothing_any_more(place):
    await modes(place, delay_s=60)
    otto = await somebody(place)
    await place.say("one of Otto's", person=otto)
    await place.say("one of Vera's")
    await place.say("another of Vera's")
    await set_ban(place.chat, place.show, place.moderator, Standing.MODERATOR, SetBan(otto.id))
    await place.valkey.flushall()
    await over(place)
    await release_due(place.chat)
    assert await texts(place) == ["one of Vera's", "another of Vera's"]
    await place.say("a third of Vera's")
    await delete_of(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    await over(place)
    assert await release_due(place.chat) == 0
    assert await texts(place) == []


async def test_who_was_timed_out_within_the_delay_is_not_heard_after_the_timeout_either(place):
    """Of a timeout that ended before the delay nothing was known any more when the message was let out."""
    await modes(place, delay_s=60)
    otto = await somebody(place)
    await place.say("vile", person=otto)
    await place.say("kind")
    await place.time_out(otto, 10)
    await place.time_out(place.viewer, 10)
    await end_timeout(place.chat, place.show, place.moderator, Standing.MODERATOR, place.viewer.id)
    await place.pg.execute("UPDATE sanctions SET until = now() - interval '1 s' WHERE account_id = $1", otto.id)
    await place.rooms.absolve(place.show, otto.id, None)
    await over(place)
    assert await release_due(place.chat) == 2
    assert await texts(place) == ["kind"]


async def test_what_was_cleared_before_its_row_was_there_is_not_let_out(place, monkeypatch):
    """The room was cleared after it had taken the message and before Postgres had."""
    await modes(place, delay_s=60)
    keep = messages.keep

    async def cleared_just_before(*kept):
        await purge(place.chat, place.show, place.host, None)
        await keep(*kept)

    monkeypatch.setattr(messages, "keep", cleared_just_before)
    await place.say("vile")
    monkeypatch.setattr(messages, "keep", keep)
    await place.say("kind")
    await over(place)
    await release_due(place.chat)
    assert await texts(place) == ["kind"]


async def test_what_the_room_kept_and_postgres_never_had_comes_with_the_retry_under_whatever_rules(place, monkeypatch):
    """Postgres was away just then; without the delay the retry was told that it waits, and it waited nowhere."""
    await modes(place, delay_s=60)

    async def away(*_):
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(messages, "keep", away)
        with pytest.raises(ConnectionError):
            await place.say("hello", key="k")
    await modes(place, delay_s=0)
    assert (await place.say("hello", key="k")).o is None
    assert await release_due(place.chat) == 1
    assert (await place.say("hello", key="k")).o is not None
    assert await texts(place) == ["hello"]


async def test_without_delay_what_waits_comes_at_once_in_its_order_and_a_term_still_holds(place):
    await set_terms(place.chat, place.show, place.moderator, SetTerms(["scam"]))
    await modes(place, delay_s=60)
    for n in range(3):
        await place.say(f"number {n}")
    scam = await place.say("a scam")
    assert (scam.o, scam.delay_ms) == (None, None)
    assert await release_due(place.chat) == 0
    await modes(place, delay_s=0)
    assert await release_due(place.chat) == 3
    assert await texts(place) == ["number 0", "number 1", "number 2"]
    assert [one.why for one in await held_store.waiting_in(place.pg, place.show)] == ["term"]


async def test_a_room_that_was_lost_after_it_was_said_does_not_say_it_twice(place):
    """The process that let it out died before Postgres knew."""
    await modes(place, delay_s=60)
    posted = await place.say("hello")
    await over(place)
    assert await release_due(place.chat) == 1
    await copy_all(place.chat)
    await place.pg.execute("UPDATE held_messages SET state = 'waiting', decided_at = NULL")
    await place.valkey.flushall()
    assert await release_due(place.chat) == 1
    assert [event["id"] for event in await place.story() if event["t"] == "chat"] == [posted.message]


async def test_followers_write_once_they_have_followed_for_long_enough_and_begin_anew(place):
    shop = "shop" + place.show
    await modes(place, followers_min=10)
    assert (await place.say("hello")).code == "followers_only"
    assert (await follow(place.pg, place.viewer.id, "no shop")).code == "not_found"
    done = await asyncio.gather(*(follow(place.pg, place.viewer.id, shop) for _ in range(4)))
    assert done == [None] * 4
    soon = await place.say("hello")
    assert (soon.code, 300_000 < soon.retry_after_ms <= 600_000) == ("followers_only", True)
    await place.pg.execute("UPDATE follows SET followed_at = now() - interval '10 minutes'")
    await follow(place.pg, place.viewer.id, shop)  # who follows already does not begin anew
    assert (await place.say("hello")).o is not None
    elsewhere = await chat_place(place.pg, place.valkey)
    assert await follows_for_s(place.pg, elsewhere.show, place.viewer.id) is None
    await unfollow(place.pg, place.viewer.id, shop)
    await follow(place.pg, place.viewer.id, shop)
    assert (await place.say("hello again")).code == "followers_only"
    await modes(place, followers_min=0)
    assert (await place.say("hello again")).o is not None
    await modes(place, followers_min=None)
    assert (await place.say("and all others", person=await somebody(place))).o is not None
