"""The outbox's notes: an outage costs none of their tries, a broken one stands aside alone, a hanging provider holds up
nobody who waits for something else.
"""

import asyncio

import pytest
from prometheus_client import generate_latest

from app.checkout.meters import read_meters
from app.checkout.outbox import FAILURES_MAX, KICKS_OF_A_CROWD, Lane, Outbox, pause_s
from tests.waiting import eventually

DAY_S = 86_400.0


@pytest.fixture(autouse=True)
async def empty(pg):
    await pg.execute("DELETE FROM outbox")


async def note(pg, topic: str, *subjects: str) -> None:
    await pg.execute("INSERT INTO outbox (topic, subject) SELECT $1, unnest($2::text[])", topic, list(subjects))


async def due(pg) -> None:
    await pg.execute("UPDATE outbox SET next_try_at = now() WHERE done_at IS NULL AND set_aside_at IS NULL")


def outbox_of(pg, **lanes) -> Outbox:
    return Outbox(pg, [Lane(name, effects, 8, 3600.0) for name, effects in lanes.items()])


async def test_an_outage_of_a_thousand_tries_sets_no_note_aside(pg):
    """After 200 tries, some three hours, a note was never done: an order stayed uncaptured for ever."""
    away = True
    captured = []

    async def capture(subject: str) -> bool:
        if away:
            raise ConnectionRefusedError
        captured.append(subject)
        return True

    outbox = outbox_of(pg, provider={"capture": capture})
    await note(pg, "capture", "a")
    await pg.execute("UPDATE outbox SET tries = 1000")
    for _ in range(FAILURES_MAX + 2):
        await due(pg)
        await outbox.run()
    assert await pg.fetchval("SELECT next_try_at - now() > interval '59 minutes' FROM outbox")
    away = False
    await due(pg)
    await outbox.run()
    assert captured == ["a"]
    assert (await outbox.count()).waiting == 0


def test_tries_are_spread_over_days_and_whoever_is_back_is_asked_soon():
    pauses = [pause_s(tries, 3600.0) for tries in range(1, 200)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1
    assert sum(pauses) > 7 * DAY_S
    away_s = 0.0
    for pause in pauses:
        assert pause <= 1 + away_s
        away_s += pause


async def test_a_broken_note_stands_aside_alone_and_is_counted(pg):
    done = []

    async def act(subject: str) -> bool:
        if subject == "poison":
            raise ValueError("\x00broken")
        done.append(subject)
        return True

    outbox = outbox_of(pg, house={"act": act})
    await note(pg, "act", "one", "poison", "two")
    await note(pg, "nobody knows", "x")
    for _ in range(FAILURES_MAX):
        await due(pg)
        await outbox.run()
    assert sorted(done) == ["one", "two"]
    rows = await pg.fetch(
        "SELECT topic, failures, last_error FROM outbox WHERE set_aside_at IS NOT NULL ORDER BY topic"
    )
    assert [(row["topic"], row["failures"]) for row in rows] == [("act", FAILURES_MAX), ("nobody knows", FAILURES_MAX)]
    assert "broken" in rows[0]["last_error"]
    await read_meters(pg, outbox)
    assert b"hawker_outbox_set_aside 2.0" in generate_latest()
    assert b"hawker_outbox_waiting 0.0" in generate_latest()
    assert await outbox._run_once(outbox.lanes[0]) == 0


async def test_who_waits_for_the_provider_keeps_no_other_note_waiting(pg):
    never = asyncio.Event()
    told = []

    async def capture(_subject: str) -> bool:
        return await never.wait()

    async def tell(subject: str) -> bool:
        told.append(subject)
        return True

    outbox = outbox_of(pg, house={"tell": tell}, provider={"capture": capture})
    await note(pg, "capture", *(str(n) for n in range(60)))
    await note(pg, "tell", "you")
    outbox.kick()
    await asyncio.wait_for(outbox._draining["house"], 60)
    assert told == ["you"]
    never.set()
    await asyncio.wait_for(outbox.close(), 60)
    assert (await outbox.count()).waiting == 0


async def test_the_first_of_a_crowd_leave_their_notes_to_the_worker_as_the_others_do(pg):
    """They brought as many notes of the others here as one claim takes."""
    told = []

    async def tell(subject: str) -> bool:
        told.append(subject)
        return True

    outbox = outbox_of(pg, house={"tell": tell}, provider={})
    await note(pg, "tell", "first", "other")
    outbox.kick()
    outbox.kick(KICKS_OF_A_CROWD + 1)
    await asyncio.wait_for(outbox._draining["house"], 60)
    assert told == []
    await outbox.run()
    assert sorted(told) == ["first", "other"]


async def test_closing_does_not_wait_for_a_provider_that_hangs(pg, monkeypatch):
    monkeypatch.setattr("app.checkout.outbox.CLOSE_WAIT_S", 0.05)
    asked = asyncio.Event()

    async def capture(_subject: str) -> bool:
        asked.set()
        return await asyncio.Event().wait()

    outbox = outbox_of(pg, house={}, provider={"capture": capture})
    await note(pg, "capture", "a")
    outbox.kick()
    await asyncio.wait_for(asked.wait(), 60)
    await asyncio.wait_for(outbox.close(), 60)
    assert (await outbox.count()).waiting == 1


async def test_what_is_worked_on_stays_its_own_however_long_and_is_anybodys_soon_after_a_death(pg):
    """A note of a process that was killed waited for as long as the slowest work might take."""
    lease_s = 1.0
    going_on, repeated = asyncio.Event(), []

    async def slow(_subject: str) -> bool:
        return await going_on.wait()

    async def again(subject: str) -> bool:
        repeated.append(subject)
        return True

    one = Outbox(pg, [Lane("house", {"act": slow}, 1, 3600.0)], lease_s)
    other = Outbox(pg, [Lane("house", {"act": again}, 1, 3600.0)], lease_s)
    await note(pg, "act", "a", "b")
    working = asyncio.create_task(one.run())
    claimed = await eventually(
        lambda: pg.fetchval("SELECT min(next_try_at) FROM outbox WHERE tries = 1 HAVING count(*) = 2")
    )
    await eventually(lambda: pg.fetchval("SELECT now() - $1 > interval '0.2 second'", claimed))
    await other.run()
    assert repeated == []
    working.cancel()  # as good as killed: it tells nobody
    await asyncio.gather(working, return_exceptions=True)

    async def taken_over() -> bool:
        await other.run()
        return sorted(repeated) == ["a", "b"]

    await eventually(taken_over, what="the other takes them over")
