"""A host's sale and a place in line whose transactions are rolled back for others' sake: tried again, a few times."""

import pytest

from app.storage import rolled_back
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world
from tests.storage.test_commit_batches import failing
from tests.storage.test_lines import join


async def made(world, variant: str):
    body = {"variant": variant, "price_minor": 600, "allotment": 3, "per_buyer_limit": 1, "duration_s": 60}
    return await world.host.post(f"/api/shows/{world.show}/flash-sales", body)


@pytest.mark.parametrize("fault", ["serialization_failure", "deadlock_detected"])
async def test_what_may_succeed_the_next_time_is_tried_again_and_moves_its_units_once(pg, valkey, fault):
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        await pg.execute("CREATE SEQUENCE faults")
        body = f"IF nextval('faults') <= 2 THEN RAISE {fault}; END IF;"
        async with failing(pg, "flash_sales", body):
            sale = await made(world, variant)
        assert sale.status_code == 201, sale.text
        await pg.execute("ALTER SEQUENCE faults RESTART")
        async with failing(pg, "line_entries", body):
            assert (await join(world, await world.buyer(), sale.json()["pool"])).json()["place"] == 1
        await pg.execute("DROP SEQUENCE faults")
        assert ((await world.gate(ordinary)).left, (await world.gate(sale.json()["pool"])).left) == (2, 3)
        await world.check(ordinary)


async def test_what_never_succeeds_is_told_as_such_and_moves_nothing(pg, valkey, monkeypatch):
    monkeypatch.setattr(rolled_back, "TRIES_MAX", 2)
    async with open_world(pg, valkey) as world:
        variant, ordinary = await world.variant(5)
        await pg.execute("CREATE SEQUENCE faults")
        async with failing(pg, "flash_sales", "PERFORM nextval('faults'); RAISE deadlock_detected;"):
            assert problem(await made(world, variant)) == (503, "unavailable")
        assert await pg.fetchval("SELECT last_value FROM faults") == 2
        await pg.execute("DROP SEQUENCE faults")
        assert (await world.gate(ordinary)).left == 5
        await world.check(ordinary)
