"""Somebody outside who is asked about messages: over the webhooks' way, within a limit, with a choice for no answer."""

import asyncio

import msgspec
import pytest
from standardwebhooks import Webhook

from app import clock
from app.chat import question_edge, talk_edge
from app.chat.audit import verify
from app.chat.delayed import release_due
from app.chat.events import Author, Chat
from app.chat.held_store import waiting_in
from app.chat.modes import SetModes, SetTerms, set_modes, set_terms
from app.chat.questions import ask
from app.chat.review_rules import Outcome
from app.chat.reviewers import ASKED_AT_ONCE_MAX, Reviewer, Reviewers
from app.chat.reviewing import SetReviewer, set_reviewer, view
from app.chat.watch_rules import Level
from app.chat.watching import Watch, watch
from app.person import Person, Standing
from app.rooms.command import Later
from app.rooms.dispatch import Asker, merge, run
from app.settings import Settings
from app.webhooks.asking import WebhookWayOut
from app.webhooks.parts import open_webhooks
from tests.chat_place import chat_over, chat_place
from tests.receiver import receiver, says
from tests.waiting import loop_turned


@pytest.fixture
async def place(pg, valkey):
    """A place whose questions go out, also to this machine."""
    place = await chat_place(pg, valkey)
    webhooks = open_webhooks(pg, Settings(webhooks_private=True))
    place.chat, place.rooms = chat_over(pg, valkey, way_out=WebhookWayOut(webhooks))
    yield place
    await webhooks.target.aclose()


async def choose(place, url, otherwise=Outcome.HOLD, limit_ms=3000):
    wanted = SetReviewer(url, limit_ms, otherwise)
    answer = await set_reviewer(place.chat, place.show, place.host, wanted)
    assert (answer.url, answer.otherwise, answer.limit_ms) == (url, otherwise, limit_ms)
    return answer.secret


async def test_the_reviewers_status_says_what_becomes_of_a_message(place):
    async with receiver() as reviewer:
        secret = await choose(place, reviewer.url)
        reviewer.answers += [says(200), says(202), says(403), says(204)]
        first = await place.say("one")
        assert first.o is not None
        assert (await place.say("two")).o is None
        assert (await place.say("three")).code == "not_now"
        await set_modes(place.chat, place.show, place.moderator, SetModes(delay_s=60))
        assert (await place.say("four")).delay_ms == 60_000
        await set_modes(place.chat, place.show, place.moderator, SetModes(delay_s=0))
        assert next((one.text, one.why) for one in await waiting_in(place.pg, place.show)) == ("two", "review")
        await set_terms(place.chat, place.show, place.moderator, SetTerms(["scam"]))
        assert (await place.say("a scam")).o is None  # a filter holds it: nobody is asked
        assert (await place.say("hello", person=place.host, standing=Standing.HOST)).o is not None
        asked = [Webhook(secret).verify(body, headers) for headers, body in reviewer.got]
        assert [one["data"]["text"] for one in asked] == ["one", "two", "three", "four"]
        assert asked[0]["type"] == "message.review"
        assert (asked[0]["data"]["account"], asked[0]["data"]["message"]) == (place.viewer.id, first.message)
        reviewer.answers.append(says(202))
        key, now_ms = clock.new_id(), clock.now_ms()
        question = await ask(place.chat, place.show, place.viewer, Standing.VIEWER, text="Why?", key=key, now_ms=now_ms)
        assert question.held
        assert await choose(place, reviewer.url, Outcome.SAY) == ""  # the same address, the same secret: shown once
        assert (await view(place.chat, place.show)).secret == ""
        assert (await place.say("five")).o is not None
        Webhook(secret).verify(reviewer.got[-1][1], reviewer.got[-1][0])
        other = await choose(place, reviewer.url + "?other", Outcome.SAY)
        assert other not in {secret, ""}
        assert (await place.say("six")).o is not None
        Webhook(other).verify(reviewer.got[-1][1], reviewer.got[-1][0])
        await set_reviewer(place.chat, place.show, place.host, SetReviewer())
        assert (await place.say("free")).o is not None
        assert len(reviewer.got) == 7
    assert (await view(place.chat, place.show)).url == ""
    assert (await verify(place.pg)).broken is None
    await release_due(place.chat)


async def test_nobody_is_asked_about_words_that_the_room_would_not_have(place):
    """A banned person could make the reviewer be asked, as often as they liked."""
    async with receiver() as reviewer:
        await choose(place, reviewer.url)
        await place.time_out(place.viewer)
        assert (await place.say("one")).code == "timed_out"
        key, now_ms = clock.new_id(), clock.now_ms()
        question = await ask(place.chat, place.show, place.viewer, Standing.VIEWER, text="Why?", key=key, now_ms=now_ms)
        assert question.code == "timed_out"
        assert reviewer.got == []
        calm = Person("calm" + place.show, "Cal")
        said = await place.say("two", "key", calm)
        assert (await place.say("two", "key", calm)).message == said.message  # a retry
        assert len(reviewer.got) == 1
        await set_modes(place.chat, place.show, place.moderator, SetModes(slow_s=60))
        reviewer.answers.append(says(403))
        assert (await place.say("three", person=calm)).code == "not_now"
        assert (await place.say("four", person=calm)).code == "too_fast"  # turned down, they have had their turn
        assert len(reviewer.got) == 2


async def test_nobody_is_asked_about_a_restricted_persons_words(place):
    """They wait for a moderator, whatever anybody outside says."""
    await watch(place.chat, place.show, place.moderator, Standing.MODERATOR, Watch(place.viewer.id, Level.RESTRICTED))
    async with receiver() as reviewer:
        await choose(place, reviewer.url)
        assert (await place.say("one")).o is None
        key, now_ms = clock.new_id(), clock.now_ms()
        question = await ask(place.chat, place.show, place.viewer, Standing.VIEWER, text="Why?", key=key, now_ms=now_ms)
        assert question.held
        assert reviewer.got == []


async def test_a_retry_of_what_waits_is_told_as_the_first_try_was(place):
    async with receiver() as reviewer:
        await choose(place, reviewer.url)
        await set_modes(place.chat, place.show, place.moderator, SetModes(delay_s=60))
        first = await place.say("one", "key")
        assert first.delay_ms == 60_000
        assert await place.say("one", "key") == first
        waiting = [one.text for one in await waiting_in(place.pg, place.show)]
        assert waiting == ["one"]


async def test_where_somebody_outside_is_asked_the_answer_comes_later(place):
    """The person's other commands do not wait for it."""
    commands = merge(talk_edge.commands(place.chat), question_edge.commands(place.chat))
    asker = Asker(place.show, place.viewer, Standing.VIEWER, "192.0.2.1")
    post, question = (
        '{"op": "chat.post", "id": "%s", "text": "hello"}',
        '{"op": "question.ask", "id": "%s", "text": "Why?"}',
    )
    assert isinstance(await run(commands, post % 1, asker), bytes)
    async with receiver() as reviewer:
        await choose(place, reviewer.url)
        for frame in (post % 2, question % 3):
            answer = await run(commands, frame, asker)
            assert isinstance(answer, Later)
            assert b"error" not in await answer.work()
        assert len(reviewer.got) == 2
        staff = msgspec.structs.replace(asker, person=place.host, standing=Standing.HOST)
        assert isinstance(await run(commands, post % 4, staff), bytes)


@pytest.mark.parametrize(
    ("otherwise", "told"), [(Outcome.SAY, "said"), (Outcome.HOLD, "held"), (Outcome.REFUSE, "not_now")]
)
async def test_where_no_answer_comes_in_time_the_shops_choice_counts(place, otherwise, told):
    await choose(place, "http://127.0.0.1:9/nobody", otherwise)
    assert await becomes(place, "one") == told
    hanging = asyncio.Event()

    async def never(*_):
        await hanging.wait()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    async with server:
        await choose(place, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", otherwise, limit_ms=100)
        assert await becomes(place, "two") == told
        hanging.set()


async def becomes(place, text):
    answer = await place.say(text)
    if not hasattr(answer, "o"):
        return answer.code
    return "held" if answer.o is None else "said"


@pytest.mark.parametrize(
    "url", ["http://example.org/", "https://127.0.0.1/", "https://10.0.0.1/", "ftp://x", "nothing"]
)
async def test_nobody_on_a_private_network_is_asked(pg, valkey, url):
    place = await chat_place(pg, valkey)
    webhooks = open_webhooks(pg, Settings())
    place.chat, place.rooms = chat_over(pg, valkey, way_out=WebhookWayOut(webhooks))
    refused = await set_reviewer(place.chat, place.show, place.host, SetReviewer(url))
    assert refused.code == "url_invalid"
    await webhooks.target.aclose()


class SlowWayOut:
    """Its far side answers when it is let."""

    def __init__(self):
        self.asked, self.answers = [], asyncio.Event()

    async def ask(self, url, *_):
        self.asked.append(url)
        await self.answers.wait()
        return 200


def by(account):
    return Chat("m", Author(account, "Vera", Standing.VIEWER), "hello", 0)


async def test_about_one_author_one_question_is_under_way_at_a_time():
    """One person with many sockets took all the places there are at a reviewer's."""
    way_out = SlowWayOut()
    reviewers = Reviewers(None, way_out)
    slow = Reviewer("https://slow.example/", "s", 60_000, Outcome.HOLD)
    hasty = Reviewer(slow.url, "s", 1, Outcome.HOLD)
    async with asyncio.TaskGroup() as group:
        many = [group.create_task(reviewers.ask("show", by("p"), slow)) for _ in range(ASKED_AT_ONCE_MAX + 4)]
        await loop_turned()
        assert len(way_out.asked) == 1
        many.append(group.create_task(reviewers.ask("show", by("q"), slow)))
        await loop_turned()
        assert len(way_out.asked) == 2
        assert await reviewers.ask("show", by("p"), hasty) is None  # waited in vain
        way_out.answers.set()
    assert [one.result() for one in many] == [200] * (ASKED_AT_ONCE_MAX + 5)
    assert len(reviewers._turns) == 0


async def test_a_slow_reviewer_is_asked_so_much_at_once_and_takes_nothing_from_another():
    """A busy room's questions to one that hung took all connections, so that other shops' reviewers got no question."""
    way_out = SlowWayOut()
    reviewers = Reviewers(None, way_out)
    messages = [by(f"p{n}") for n in range(ASKED_AT_ONCE_MAX)]
    message = by("other")
    slow, other = (Reviewer(f"https://{name}.example/", "s", 3000, Outcome.HOLD) for name in ("slow", "other"))
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(reviewers.ask("show", one, slow)) for one in messages]
        await loop_turned()
        assert await reviewers.ask("show", message, slow) is None
        first.append(group.create_task(reviewers.ask("show", message, other)))
        await loop_turned()
        way_out.answers.set()
    assert way_out.asked == [slow.url] * ASKED_AT_ONCE_MAX + [other.url]
    assert [one.result() for one in first] == [200] * (ASKED_AT_ONCE_MAX + 1)
    assert await reviewers.ask("show", message, slow) == 200


async def test_a_crowd_that_writes_at_once_reads_once_whom_the_shop_asks():
    """Each second every message that was under way read it anew."""

    class Counting:
        """Postgres, as far as it is asked here; it answers when it is let."""

        def __init__(self):
            self.asked, self.answers = 0, asyncio.Event()

        async def fetchrow(self, *_):
            self.asked += 1
            await self.answers.wait()

    counting = Counting()
    reviewers = Reviewers(counting, SlowWayOut())
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(reviewers.of("show")) for _ in range(30)]
        await loop_turned()
        assert counting.asked == 1
        reviewers.forget()  # changed while it was read: who asks from now on reads again
        first.append(group.create_task(reviewers.of("show")))
        await loop_turned()
        assert counting.asked == 2
        first[0].cancel()
        counting.answers.set()
    assert [one.result() for one in first[1:]] == [None] * 30
    assert await reviewers.of("show") is None
    assert counting.asked == 2
