"""The log of moderation: nobody rewrites it through the app's role, and who does so otherwise is found."""

import asyncio

import asyncpg
import pytest

from app.chat.audit import verify
from app.chat.purges import purge
from tests.chat_place import chat_place


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def some_acts(place, count=6):
    """Acts of several transactions at once."""
    await asyncio.gather(*(purge(place.chat, place.show, place.moderator, None) for _ in range(count)))


async def rewritten(place, statement):
    """Runs a statement as somebody who can switch the triggers off, and lets it be undone afterwards."""
    async with place.pg.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("ALTER TABLE moderation_acts DISABLE TRIGGER USER")
        await connection.execute(statement)
        chain = await verify(connection)
        await transaction.rollback()
        return chain


async def test_acts_that_are_written_at_once_make_one_chain(place):
    before = await verify(place.pg)
    await some_acts(place)
    chain = await verify(place.pg)
    assert chain.broken is None
    assert chain.length == before.length + 6
    assert (await verify(place.pg, chain.end.hex())).has_seen
    assert not (await verify(place.pg, "ab" * 32)).has_seen


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE moderation_acts SET act = 'nothing'",
        "UPDATE moderation_acts SET detail = '{}' WHERE n = 1",
        "DELETE FROM moderation_acts",
        "TRUNCATE moderation_acts",
    ],
)
async def test_the_log_cannot_be_rewritten(place, statement):
    await some_acts(place, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await place.pg.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "act = 'other'",
        "actor_id = target_account_id",
        'detail = \'{"reason": "other"}\'',
        "at = at + interval '1 microsecond'",
        "target_message_id = 'm'",
        "hash = sha256('x')",
    ],
)
async def test_an_act_that_was_rewritten_behind_the_triggers_is_found(place, change):
    await place.time_out(place.viewer)
    await some_acts(place, 2)
    n = (await verify(place.pg)).last_n - 2
    chain = await rewritten(place, f"UPDATE moderation_acts SET {change} WHERE n = {n}")
    assert chain.broken.n == n


async def test_an_act_that_was_taken_out_is_found_and_a_lost_tail_by_a_hash_noted_before(place):
    await some_acts(place, 3)
    chain = await verify(place.pg)
    middle = await rewritten(place, f"DELETE FROM moderation_acts WHERE n = {chain.last_n - 1}")
    assert middle.broken.n == chain.last_n
    async with place.pg.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("ALTER TABLE moderation_acts DISABLE TRIGGER USER")
        await connection.execute(f"DELETE FROM moderation_acts WHERE n = {chain.last_n}")
        cut = await verify(connection, chain.end.hex())
        await transaction.rollback()
    assert cut.broken is None
    assert not cut.has_seen
