"""Scripts on a real Valkey, and values through a real Postgres."""

import asyncio

from redis.asyncio import Redis

from app.storage.valkey import Script
from tests.waiting import loop_turned

TURNS = 40  # of the loop: more than a command takes


async def test_a_script_runs_again_after_valkey_forgot_it(valkey, tmp_path):
    path = tmp_path / "add.lua"
    path.write_text("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    add = Script(path)
    assert await add(valkey, ["n"], [2]) == 2
    await valkey.script_flush()
    assert await add(valkey, ["n"], [3]) == 5


async def test_jsonb_goes_in_and_out_as_plain_values(pg):
    value = {"a": [1, "ü", None]}
    assert await pg.fetchval("SELECT $1::jsonb", value) == value


async def cancelled_after(valkey: Redis, turns: int) -> bool:
    """Whether a task that uses Valkey ends as cancelled when it is cancelled after so many turns of the loop."""
    task = asyncio.create_task(valkey.get("n"))
    await loop_turned(turns)
    if not task.cancel():
        return True  # it was done before
    await asyncio.wait({task})
    return task.cancelled()


async def test_who_is_cancelled_while_a_command_goes_out_ends(valkey):
    """redis-py lost a cancellation in one of these turns, and a role that was told to stop never did."""
    assert await valkey.set("n", 1)
    for turns in range(TURNS):
        assert await cancelled_after(valkey, turns), turns
        assert await valkey.get("n") == b"1", turns  # no answer is taken for another's


async def test_the_turn_in_which_a_cancellation_can_be_lost_is_among_those_that_are_tried(valkey_url):
    async with Redis.from_url(valkey_url, socket_timeout=5) as plain:
        await plain.ping()
        lost = [turns for turns in range(TURNS) if not await cancelled_after(plain, turns)]
    assert lost, "redis-py sends otherwise by now: HeedsCancellation may go"
