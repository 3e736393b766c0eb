"""Which answers of a real Valkey and a real Postgres are an outage, to be waited out, and which are a defect."""

import shutil
from collections.abc import Awaitable

import asyncpg
import pytest
from redis.exceptions import ResponseError

from app.outage import EXTERNAL, is_outage
from app.storage.valkey import open_valkey
from tests.valkey_servers import OwnValkey
from tests.waiting import eventually

WRITES = "return redis.call('SET', KEYS[1], 'x')"


@pytest.fixture
async def full(tmp_path):
    """A Valkey that could not write to its disk, and takes nothing more therefore."""
    server = OwnValkey(tmp_path / "v")
    await server.ready()
    client = open_valkey(server.url)
    shutil.rmtree(tmp_path / "v")
    await client.config_set("save", "3600 1")
    await client.bgsave()

    async def failed() -> bool:
        return (await client.info("persistence"))["rdb_last_bgsave_status"] == "err"

    await eventually(failed, what="a save that fails")
    yield client
    await client.aclose()
    server.kill()


async def failure_of(asked: Awaitable[object]) -> BaseException:
    """What it raises."""
    with pytest.raises(EXTERNAL) as raised:
        await asked
    return raised.value


async def test_a_valkey_that_cannot_write_is_away_whatever_way_it_says_so(full):
    failures = [await failure_of(full.set("a", "b")), await failure_of(full.eval(WRITES, 1, "a"))]
    for transaction in (False, True):
        together = full.pipeline(transaction=transaction)
        together.get("a")
        together.set("a", ") of pipeline")
        failures.append(await failure_of(together.execute()))
    assert all("MISCONF" in str(one) for one in failures), failures
    assert all(is_outage(one) for one in failures), failures


async def test_a_valkey_without_memory_or_replicas_is_away(full):
    await full.config_set("stop-writes-on-bgsave-error", "no")
    await full.config_set("maxmemory", "1")
    assert is_outage(await failure_of(full.set("a", "b")))
    await full.config_set("maxmemory", "0")
    await full.config_set("min-replicas-to-write", "1")
    assert is_outage(await failure_of(full.set("a", "b")))


async def test_a_wrong_command_is_a_defect_also_when_it_quotes_such_a_word(valkey):
    await valkey.set("MISCONF", "x")
    together = valkey.pipeline(transaction=False)
    together.hset("MISCONF", "MISCONF ", "BUSY")
    for failure in (await failure_of(together.execute()), ResponseError("ERR unknown command MISCONF")):
        assert not is_outage(failure), failure


@pytest.mark.parametrize(
    ("state", "away"),
    [
        ("53100", True),  # the disk is full
        ("53200", True),
        ("53300", True),
        ("57P01", True),
        ("57P03", True),
        ("57014", True),
        ("58030", True),  # a write that fails otherwise
        ("25006", True),  # a server that was demoted
        ("40001", True),
        ("40P01", True),
        ("22012", False),
        ("23505", False),
        ("42601", False),
        ("XX000", False),
    ],
)
async def test_what_postgres_cannot_do_now_is_told_apart_from_what_it_never_will(pg, state, away):
    async with pg.acquire() as connection:
        failure = await failure_of(connection.execute(f"DO $$BEGIN RAISE 'no' USING ERRCODE = '{state}'; END$$"))
    assert isinstance(failure, asyncpg.PostgresError)
    assert is_outage(failure) is away


def test_a_group_is_an_outage_when_all_in_it_are():
    away, defect = asyncpg.DiskFullError("no space"), ResponseError("ERR syntax error")
    assert is_outage(ExceptionGroup("", [away, ExceptionGroup("", [ResponseError("MISCONF no space")])]))
    assert not is_outage(ExceptionGroup("", [away, defect]))
