"""Valkey does what it is asked and answers nobody: everyone is told so soon, and nothing is sold twice."""

import asyncio

from app import clock
from tests.storage.stock_world import open_world
from tests.valkey_servers import client_of, own_valkeys, switch
from tests.waiting import eventually

TIMEOUT_S = 0.3
TOLD_GUARD_S = 10


async def test_while_valkey_hangs_everyone_is_told_so_and_the_same_keys_go_on_afterwards(tmp_path, pg, monkeypatch):
    monkeypatch.setattr("app.storage.valkey.SOCKET_TIMEOUT_S", TIMEOUT_S)
    with own_valkeys(tmp_path) as start:
        server = await start()
        async with switch(server.port) as front, client_of(front.url) as valkey, open_world(pg, valkey) as world:
            pool = (await world.sale(3, per_buyer_limit=1))["pool"]
            payer, *takers = await world.buyers(5)
            hold, order_key, keys = await world.held(payer, pool), clock.new_id(), [clock.new_id() for _ in takers]

            async def all_ask():
                taking = (world.take(taker, pool, key=key) for taker, key in zip(takers, keys, strict=True))
                return await asyncio.gather(world.order(payer, hold, key=order_key), *taking)

            front.flowing.clear()
            told = await asyncio.wait_for(all_ask(), TOLD_GUARD_S)
            assert [answer.status_code for answer in told[1:]] == [503] * len(takers)
            assert told[0].status_code in {201, 503, 504}
            front.flowing.set()

            async def settled():
                answers = await all_ask()
                return answers if {answer.status_code for answer in answers} <= {201, 409} else None

            paid, *taken = await eventually(settled, 20, "Valkey answers again")
            assert paid.status_code == 201
            assert sorted(answer.status_code for answer in taken) == [201, 201, 409, 409]
            assert {answer.json()["code"] for answer in taken if answer.status_code == 409} == {"all_held"}
            await world.settle_all()
            await world.check(pool)
