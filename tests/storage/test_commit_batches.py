"""A batch of orders: nobody pays for a neighbour's misfortune, nothing that was lost on the way is done twice."""

import asyncio
import random
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from app.checkout.attempts import write_attempts
from app.checkout.commit import commit_orders
from app.storage import own_connection
from app.storage.own_connection import OwnConnection
from app.storage.postgres import open_pool
from tests.protocol.callers import problem
from tests.storage import commit_model
from tests.storage.stock_world import open_world
from tests.storage.test_commit_race import attempts_on
from tests.waiting import eventually

GOOD = 255


@asynccontextmanager
async def failing(pg, table: str, body: str):
    """While it lasts, every row that is written to `table` runs this piece of PL/pgSQL first."""
    await pg.execute(f"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$")
    await pg.execute(f"CREATE TRIGGER fault BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fault()")
    try:
        yield
    finally:
        await pg.execute("DROP FUNCTION fault CASCADE")


@asynccontextmanager
async def own(pg):
    connection = OwnConnection(pg)
    yield connection
    await connection.close()


async def test_one_poisonous_order_among_255_good_ones_is_refused_alone(pg, valkey):
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(GOOD + 1, per_buyer_limit=99))["pool"]
        ids = await attempts_on(world, pool, [buyer.account for buyer in await world.buyers(4)], GOOD + 1)
        bad = ids[100]
        async with failing(pg, "ledger", f"IF NEW.order_id = '{bad}' THEN RAISE numeric_value_out_of_range; END IF;"):
            outcomes = await commit_orders(connection, ids)
        assert [one.order for one in outcomes] == [None if id_ == bad else id_ for id_ in ids]
        assert outcomes[100].refusal.code == "order_invalid"
        assert (await world.pool_row(pool))["sold"] == GOOD
        assert await pg.fetchval("SELECT state FROM payment_attempts WHERE id = $1", bad) == "voiding"
        await world.settle_all()
        await world.check(pool)


@pytest.mark.parametrize("fault", ["serialization_failure", "deadlock_detected"])
async def test_what_may_succeed_the_next_time_is_run_again(pg, valkey, fault):
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(9))["pool"]
        ids = await attempts_on(world, pool, [(await world.buyer()).account], 3)
        await pg.execute("CREATE SEQUENCE faults")
        async with failing(pg, "orders", f"IF nextval('faults') <= 2 THEN RAISE {fault}; END IF;"):
            outcomes = await commit_orders(connection, ids)
        await pg.execute("DROP SEQUENCE faults")
        assert [one.order for one in outcomes] == ids
        await world.settle_all()
        await world.check(pool)


async def test_what_never_succeeds_is_not_run_for_ever(pg, valkey, monkeypatch):
    monkeypatch.setattr(own_connection, "TRIES_MAX", 3)
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(9))["pool"]
        ids = await attempts_on(world, pool, [(await world.buyer()).account], 3)
        await pg.execute("CREATE SEQUENCE faults")
        async with failing(pg, "orders", "PERFORM nextval('faults'); RAISE serialization_failure;"):
            with pytest.raises(asyncpg.SerializationError):
                await commit_orders(connection, ids)
        assert await pg.fetchval("SELECT last_value FROM faults") == 3
        await pg.execute("DROP SEQUENCE faults")
        assert [one.order for one in await commit_orders(connection, ids)] == ids


class Counted:
    """A connection whose questions are counted."""

    def __init__(self, connection):
        self.connection = connection
        self.asked = []

    async def fetch(self, statement, *args):
        self.asked.append(len(args[0]))
        return await self.connection.fetch(statement, *args)


async def test_all_who_are_refused_in_company_are_decided_in_one_question_more_and_each_alone(pg, valkey):
    """They were asked for one by one, each in a transaction of its own, while all their neighbours waited."""
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(20, per_buyer_limit=20))["pool"]
        ids = await attempts_on(world, pool, [buyer.account for buyer in await world.buyers(4)], 40)
        # The second takes what 17 others could have; it does not fit after the first, and must not shut them out.
        await pg.execute("UPDATE payment_attempts SET quantity = 20, amount_minor = 12000 WHERE id = $1", ids[1])
        counted = connection._connection = Counted(await connection.enter())
        outcomes = await commit_orders(connection, ids)
        connection._connection = counted.connection
        assert [one.order for one in outcomes] == [ids[0], None, *ids[2:21], *[None] * 19]
        assert {one.refusal.code for one in outcomes if one.refusal} == {"sold_out"}
        assert counted.asked == [40, 39]
        states = dict(await pg.fetch("SELECT id, state FROM payment_attempts WHERE id = ANY($1)", ids))
        assert [states[one] for one in ids] == ["committed", "voiding", *["committed"] * 19, *["voiding"] * 19]
        await world.settle_all()
        await world.check(pool)


async def test_who_is_alone_is_asked_for_once(pg, valkey):
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(1))["pool"]
        ids = await attempts_on(world, pool, [(await world.buyer()).account], 2)
        counted = connection._connection = Counted(await connection.enter())
        outcomes = [(await commit_orders(connection, [one]))[0] for one in ids]
        connection._connection = counted.connection
        assert [one.order for one in outcomes] == [ids[0], None]
        assert counted.asked == [1, 1]


class Cutter:
    """Stands between us and Postgres; `armed`, it cuts the line instead of passing the next answer on."""

    def __init__(self, server: str):
        self.server = server
        self.armed = False
        self.cuts = 0

    async def __call__(self, reader, writer):
        up_reader, up_writer = await asyncio.open_unix_connection(self.server)
        await asyncio.gather(self._pass(reader, up_writer), self._answer(up_reader, writer))

    async def _pass(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _answer(self, reader, writer):
        while data := await reader.read(65536):
            if self.armed:
                self.armed = False
                self.cuts += 1
                break
            writer.write(data)
        writer.close()


@asynccontextmanager
async def cut_off(pg_url: str, folder):
    """A pool of connections through a Cutter, and the Cutter."""
    sockets = parse_qs(urlsplit(pg_url).query)["host"][0]
    cutter = Cutter(f"{sockets}/.s.PGSQL.5432")
    listener = await asyncio.start_unix_server(cutter, folder / ".s.PGSQL.5432")
    pool = await open_pool(pg_url.replace(sockets, str(folder)))
    try:
        yield cutter, pool
    finally:
        pool.terminate()
        listener.close()


async def test_an_order_whose_answer_was_lost_is_found_by_its_hold_before_anybody_is_told(pg, pg_url, valkey, tmp_path):
    async with open_world(pg, valkey) as world, cut_off(pg_url, tmp_path) as (cutter, far), own(far) as connection:
        pool = (await world.sale(9))["pool"]
        ids = await attempts_on(world, pool, [(await world.buyer()).account], 3)
        assert [one.order for one in await commit_orders(connection, ids[:1])] == ids[:1]
        cutter.armed = True
        outcomes = await commit_orders(connection, ids)
        assert cutter.cuts == 1
        assert [one.order for one in outcomes] == ids
        assert {one.made_at for one in outcomes} == {None}  # all were there already: nothing was done twice
        assert (await world.pool_row(pool))["sold"] == 3
        await world.settle_all()
        await world.check(pool)


async def test_an_attempt_whose_answer_was_lost_is_found_again_and_is_its_own(pg, pg_url, valkey, tmp_path):
    """The buyer was told "in progress" for half a minute, and then that the payment never came through."""
    async with open_world(pg, valkey) as world, cut_off(pg_url, tmp_path) as (cutter, far), own(far) as connection:
        pool = (await world.sale(9))["pool"]
        buyer, other = await world.buyers(2)
        written = []

        async def through_the_cutter(batch):
            cutter.armed = len(written) == 1
            written.append(await write_attempts(connection, batch))
            return written[-1]

        world.checkout.attempts._decide = through_the_cutter
        for person in (other, buyer):
            answer = await world.order(person, await world.held(person, pool))
            assert answer.status_code == 201, answer.text
        assert cutter.cuts == 1
        await world.settle_all()
        await world.check(pool)


async def test_a_request_that_is_cancelled_withdraws_nothing_that_is_being_committed(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(9))["pool"]
        attempt = (await attempts_on(world, pool, [(await world.buyer()).account], 1))[0]
        async with pg.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM pools WHERE id = $1 FOR UPDATE", pool)
            waiting = asyncio.create_task(world.checkout.commits.submit(attempt))

            async def waits() -> bool:
                return await pg.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND query LIKE '%commit_orders%')"
                )

            await eventually(waits, what="the commit waits for the pool")
            waiting.cancel()
            await asyncio.wait([waiting])
        await world.checkout.commits.drain()
        assert await pg.fetchval("SELECT state FROM orders WHERE id = $1", attempt) == "authorised"
        await world.settle_all()
        await world.check(pool)


ROWS_READ = """
    SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
     WHERE relname IN ('payment_attempts', 'payment_marks', 'orders', 'order_lines', 'pool_buyers', 'pools')"""
MARKS = "INSERT INTO payment_marks SELECT id, 'card', decode(md5(id), 'hex') FROM payment_attempts"


async def test_a_commit_reads_its_own_rows_alone_though_its_plan_was_made_when_there_were_none(pg, valkey):
    async with open_world(pg, valkey) as world, own(pg) as connection:
        pool = (await world.sale(99, per_buyer_limit=99))["pool"]
        people = [buyer.account for buyer in await world.buyers(4)]
        for table in ("payment_attempts", "payment_marks", "orders", "order_lines", "pool_buyers"):
            await pg.execute(f"VACUUM {table}")  # which notes that it is empty
        await commit_orders(connection, ["nobody"])
        ids = (await attempts_on(world, pool, people, 1500))[:30]
        await pg.execute(MARKS)
        server = await connection.enter()

        async def rows_read() -> int:
            await server.execute("SELECT pg_stat_force_next_flush()")
            return await server.fetchval(ROWS_READ)

        before = await rows_read()
        outcomes = await commit_orders(connection, ids)
        assert [one.order for one in outcomes] == ids
        assert await rows_read() - before < 100 * len(ids)


@pytest.mark.parametrize("seed", range(4))
async def test_a_batch_is_decided_as_if_each_had_come_in_its_turn(pg, valkey, seed):
    dice = random.Random(seed)
    async with open_world(pg, valkey) as world, own(pg) as connection:
        limits = {}
        for limit in (2, 5, None):
            pool = (await world.sale(6, per_buyer_limit=limit))["pool"] if limit else (await world.variant(6))[1]
            limits[pool] = limit
        people = [buyer.account for buyer in await world.buyers(4)]
        wishes, ids = [], []
        for _ in range(30):
            buyer, pool, quantity = dice.choice(people), dice.choice(list(limits)), dice.randint(1, 4)
            ids += await attempts_on(world, pool, [buyer], 1)
            await pg.execute("UPDATE payment_attempts SET quantity = $2 WHERE id = $1", ids[-1], quantity)
            wishes.append((buyer, [(pool, quantity)]))
        outcomes = await commit_orders(connection, ids)
        decided = ["order" if one.order else "refused" for one in outcomes]
        assert decided == commit_model.decide(wishes, dict.fromkeys(limits, 6), limits, {})
        assert {one.refusal.code for one in outcomes if one.refusal} <= {"sold_out", "over_limit"}


async def test_an_order_of_several_lines_stands_or_falls_as_one(pg, valkey):
    """The same item twice is counted together; a sale's and ordinary stock take the same road."""
    async with open_world(pg, valkey) as world:
        sale = (await world.sale(5, per_buyer_limit=3))["pool"]
        _, ordinary = await world.variant(5)
        buyer = await world.buyer()
        holds = [await world.held(buyer, sale, 2), await world.held(buyer, sale), await world.held(buyer, ordinary)]
        body = {"hold": holds[0], "more": holds[1:], "method": "works"}
        answer = await buyer.post("/api/orders", body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["total_minor"] == 3 * 600 + 1000
        assert [line["quantity"] for line in answer.json()["lines"]] == [2, 1, 1]
        again = await buyer.post("/api/orders", body, headers={"Idempotency-Key": "k"})
        assert again.json() == answer.json()
        await world.settle_all()
        for pool in (sale, ordinary):
            await world.check(pool)
        entries = "SELECT account, sum(amount_minor)::int FROM ledger_entries WHERE order_id = $1 GROUP BY 1"
        posted = dict(await pg.fetch(entries, answer.json()["id"]))
        assert posted == {"captured": 2800, "authorised": 0, "owed": -2800}
        assert sum(posted.values()) == 0
        held = [await world.held(buyer, ordinary), await world.held(buyer, ordinary)]
        assert (await buyer.ask("DELETE", f"/api/holds/{held[1]}")).status_code == 204
        body = {"hold": held[0], "more": held[1:], "method": "works"}
        refused = await buyer.post("/api/orders", body, headers={"Idempotency-Key": "k2"})
        assert problem(refused) == (409, "hold_ended")
        assert (await world.order(buyer, held[0])).status_code == 201  # it was let go again
        await world.settle_all()
        await world.check(ordinary)


async def test_a_crash_between_decline_and_gate_gives_the_hold_back(pg, valkey, monkeypatch):
    """The hold stayed "being paid": it could not be given back until its extension had passed."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)

        async def die(*_args, **_options):
            raise ConnectionResetError

        with monkeypatch.context() as patched:
            patched.setattr(world.sales.gate, "resume", die)
            assert problem(await world.order(buyer, hold, "declines"))[0] == 503
        assert problem(await buyer.ask("DELETE", f"/api/holds/{hold}")) == (409, "in_progress")
        await world.settle_all()
        assert (await world.buy_now(other, pool)).status_code == 201
        await world.settle_all()
        await world.check(pool)
