"""Payments that hang, die half-way, come late or are refused: no unit is lost, no money is taken twice."""

import asyncio

import asyncpg
import pytest

from app import clock
from app.checkout.provider import Answer
from app.checkout.settle import settle
from app.checkout.simulated import SimulatedProvider
from app.flash_sales.gate_wire import HoldRecord, encode, gate_keys, place_of, pool_of
from app.rooms.bus import staff_room
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world

AT_ONCE = {"settle_after_s": 0}


class Died(BaseException):
    """The process is gone at this very line."""


class DyingProvider(SimulatedProvider):
    """Dies before or after the provider heard of the payment."""

    def __init__(self, pg, *, after: bool):
        super().__init__(pg, silence_s=0)
        self.after = after
        self.dead = False

    async def authorise(self, payment, *asked):
        if self.after:
            await super().authorise(payment, *asked)
        if not self.dead:
            self.dead = True
            raise Died
        return await super().authorise(payment, *asked)


class RefusingProvider(SimulatedProvider):
    """Authorises, and then does not pay."""

    async def capture(self, _attempt, _order):
        return Answer.DECLINED


async def age(world, hold: str, by_ms: int) -> None:
    """Makes a hold as old as if `by_ms` had passed."""
    keys, place = gate_keys(pool_of(hold)), place_of(hold)
    shard = "abcdef".index(place[0])
    decided = await world.sales.gate.read(hold)
    one = decided.hold
    older = HoldRecord(
        one.state,
        one.person,
        one.quantity,
        one.price_minor,
        one.expires_at_ms - by_ms,
        one.first_expires_at_ms - by_ms,
        one.granted_at_ms - by_ms,
        one.key,
        one.body,
        one.show,
        one.attempt,
        one.id,
    )
    await world.valkey.hset(keys.holds[shard], place, encode(older))
    await world.valkey.zadd(keys.live[shard], {place: older.expires_at_ms})
    await world.valkey.hset(keys.config, "due", 0)


async def attempt_state(world, hold: str) -> str:
    return await world.pg.fetchval(
        "SELECT state FROM payment_attempts WHERE hold_id = $1 OR replaced_hold_id = $1", hold
    )


async def pending_payment(world, buyer, hold: str, key: str) -> None:
    """Pays by the method that hangs; the provider's answer is there when this returns."""
    assert problem(await world.order(buyer, hold, "hangs", key)) == (504, "payment_pending")
    await world.pg.execute("UPDATE simulated_payments SET answers_at = now() WHERE answers_at > now()")


async def test_a_payment_that_hangs_is_pending_and_then_settled(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold, key = await world.held(buyer, pool), clock.new_id()
        assert problem(await world.order(buyer, hold, "hangs", key)) == (504, "payment_pending")
        assert problem(await world.order(buyer, hold, "hangs", key)) == (409, "in_progress")
        assert problem(await world.order(buyer, hold, "works")) == (504, "payment_pending")
        released = await buyer.ask("DELETE", f"/api/holds/{hold}")
        assert problem(released) == (409, "in_progress")
        assert problem(await world.take(other, pool)) == (409, "all_held")
        await world.pg.execute("UPDATE simulated_payments SET answers_at = now() WHERE answers_at > now()")
        await settle(world.checkout)
        ordered = await world.order(buyer, hold, "hangs", key)
        assert ordered.status_code == 201, ordered.text
        await settle(world.checkout)
        await world.settle_all()
        await world.check(pool)
        hints = [type(hint).__name__ for _, person, hint in world.rooms.hints if person == buyer.account]
        assert hints == ["OrderPaid"]


async def test_a_silent_provider_is_given_up_in_the_end_and_can_never_charge(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, hold_extended_max_s=0, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        assert problem(await world.order(buyer, hold, "hangs", key)) == (504, "payment_pending")
        await settle(world.checkout)
        await world.settle_all()
        assert problem(await world.order(buyer, hold, "hangs", key)) == (409, "hold_ended")
        await world.pg.execute("UPDATE simulated_payments SET answers_at = now()")
        await settle(world.checkout)
        assert await attempt_state(world, hold) == "voided"
        assert await world.pg.fetchval("SELECT state FROM simulated_payments WHERE method = 'hangs' AND captures = 0")
        await world.check(pool)
        assert (await world.gate(pool)).left == 1


async def test_payments_that_hang_keep_no_other_from_being_settled(pg, valkey, monkeypatch):
    """The hundred oldest were asked about again and again; who came after them waited until those were given up."""
    monkeypatch.setattr("app.checkout.settle.BATCH_MAX", 2)
    async with open_world(pg, valkey, payment_timeout_s=0.5, **AT_ONCE) as world:
        pool = (await world.sale(6))["pool"]
        buyers = await world.buyers(6)
        holds = [await world.held(buyer, pool) for buyer in buyers]
        for buyer, hold in zip(buyers, holds, strict=True):
            assert problem(await world.order(buyer, hold, "hangs")) == (504, "payment_pending")
        silent = "UPDATE simulated_payments SET answers_at = now() + $1 * interval '1 hour' WHERE attempt_id = ANY($2)"
        attempts = "SELECT id FROM payment_attempts WHERE pool_id = $1 ORDER BY updated_at"
        ids = [row["id"] for row in await pg.fetch(attempts, pool)]
        await pg.execute(silent, 1, ids[:-1])
        await pg.execute(silent, -1, ids[-1:])
        await settle(world.checkout)
        states = [await attempt_state(world, hold) for hold in holds]
        assert states[:-1] == ["started"] * 5
        assert states[-1] in {"committed", "captured"}
        await pg.execute(silent, -1, ids)
        await settle(world.checkout)
        await world.settle_all()
        await world.check(pool)


@pytest.mark.parametrize("after", [True, False])
async def test_a_crash_around_authorisation_is_settled(pg, valkey, after):
    async with open_world(pg, valkey, provider=DyingProvider(pg, after=after), **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        with pytest.raises(Died):
            await world.order(buyer, hold, key=key)
        assert problem(await world.order(buyer, hold, key=key)) == (409, "in_progress")
        await settle(world.checkout)
        await world.settle_all()
        again = await world.order(buyer, hold, key=key)
        if after:
            assert again.status_code == 201, again.text
        else:
            assert problem(again) == (409, "hold_ended")
            assert await attempt_state(world, hold) == "voided"
        await world.settle_all()
        await world.check(pool)


async def test_a_crash_between_extension_and_attempt_does_not_block_the_hold(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        dead = await world.sales.gate.extend(
            hold, person=buyer.account, attempt="dead", for_ms=60_000, total_max_ms=300_000
        )
        assert dead.code == "extended"
        assert (await world.order(buyer, hold)).status_code == 201
        await world.settle_all()
        await world.check(pool)


async def test_an_expired_hold_cannot_be_paid_and_its_unit_is_free(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold = await world.held(buyer, pool)
        await age(world, hold, 120_001)
        assert problem(await world.order(buyer, hold)) == (409, "hold_ended")
        assert (await world.take(other, pool)).status_code == 201
        await world.sales.voice.drain()
        assert [(person, type(hint).__name__) for _, person, hint in world.rooms.hints] == [
            (buyer.account, "HoldExpired")
        ]
        await world.check(pool)


async def test_a_payment_in_flight_extends_its_hold_but_not_for_ever(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, hold_extended_max_s=130) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        await age(world, hold, 100_000)
        await pending_payment(world, buyer, hold, clock.new_id())
        record = (await world.sales.gate.read(hold)).hold
        assert record.expires_at_ms - record.granted_at_ms == 130_000
        assert record.first_expires_at_ms - record.granted_at_ms == 120_000


@pytest.mark.parametrize("still_free", [True, False])
async def test_a_payment_that_outlives_its_hold_is_honoured_only_through_a_new_one(pg, valkey, still_free):
    async with open_world(pg, valkey, payment_timeout_s=0.5, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer, other = await world.buyers(2)
        hold, key = await world.held(buyer, pool), clock.new_id()
        await pending_payment(world, buyer, hold, key)
        await age(world, hold, 600_000)
        if not still_free:
            await world.held(other, pool)
        await settle(world.checkout)
        await world.settle_all()
        answer = await world.order(buyer, hold, "hangs", key)
        if still_free:
            assert answer.status_code == 201, answer.text
            assert (await world.order(buyer, hold)).json()["id"] == answer.json()["id"]
        else:
            assert problem(answer) == (409, "hold_ended")
            assert await attempt_state(world, hold) == "voided"
        await world.settle_all()
        await world.check(pool)


async def test_a_second_click_takes_nothing_from_the_payment_that_was_first(pg, valkey):
    """The second had put its name on the hold before it saw that the first was written; the settler then took the
    first one's hold for somebody else's, found no other unit and voided the payment.
    """
    async with open_world(pg, valkey, payment_timeout_s=0.5, **AT_ONCE) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold, key = await world.held(buyer, pool), clock.new_id()
        await pending_payment(world, buyer, hold, key)
        second = await world.sales.gate.extend(
            hold, person=buyer.account, attempt="second", for_ms=60_000, total_max_ms=300_000, force=True
        )
        assert second.code == "extended"
        await settle(world.checkout)
        answer = await world.order(buyer, hold, "hangs", key)
        assert answer.status_code == 201, answer.text
        await world.settle_all()
        await world.check(pool)


async def test_a_late_payment_at_yesterdays_price_is_voided(pg, valkey):
    async with open_world(pg, valkey, payment_timeout_s=0.5, **AT_ONCE) as world:
        variant, pool = await world.variant(5, price_minor=1000)
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        await pending_payment(world, buyer, hold, clock.new_id())
        await age(world, hold, 600_000)
        await pg.execute("UPDATE variants SET price_minor = 1100 WHERE id = $1", variant)
        await world.sales.gate.sync(pool)
        await settle(world.checkout)
        await world.settle_all()
        assert await attempt_state(world, hold) == "voided"
        await world.check(pool)
        assert (await world.gate(pool)).left == 5


async def test_a_refused_capture_cancels_the_order_and_returns_the_unit(pg, valkey):
    async with open_world(pg, valkey, provider=RefusingProvider(pg, silence_s=0)) as world:
        pool = (await world.sale(1, per_buyer_limit=1))["pool"]
        buyer = await world.buyer()
        order = await world.order(buyer, await world.held(buyer, pool))
        assert order.status_code == 201
        for _ in range(3):
            await world.settle_all()
        assert (await buyer.get(f"/api/orders/{order.json()['id']}")).json()["state"] == "cancelled"
        assert [(person, type(hint).__name__, hint.order) for _, person, hint in world.rooms.hints] == [
            (buyer.account, "OrderCancelled", order.json()["id"])
        ]
        staff = [event.order.state for room, event in world.rooms.events if room == staff_room(world.show)]
        assert staff[-1] == "cancelled"
        await world.sales.voice.drain()
        state = world.rooms.value(world.show, f"pool:{pool}")
        assert (state.left, state.sold, state.status) == (1, 0, "open")
        assert (await world.take(buyer, pool)).status_code == 201
        await world.check(pool)


async def test_a_capture_refused_after_the_sale_was_closed_returns_the_unit_to_ordinary_stock(pg, valkey):
    """The unit went back into the closed pool, from which nobody can buy: lost to the shop."""
    async with open_world(pg, valkey, provider=RefusingProvider(pg, silence_s=0)) as world:
        variant, ordinary = await world.variant(3)
        body = {"variant": variant, "price_minor": 600, "allotment": 3, "per_buyer_limit": 5, "duration_s": 600}
        sale = (await world.host.post(f"/api/shows/{world.show}/flash-sales", body)).json()
        buyer = await world.buyer()
        hold = await world.held(buyer, sale["pool"], 2)
        # Committed, and nobody has come to the capture yet.
        await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT 'infinity'")
        try:
            assert (await world.order(buyer, hold)).status_code == 201
        finally:
            await pg.execute("ALTER TABLE outbox ALTER next_try_at SET DEFAULT now()")
        assert (await world.host.post(f"/api/shows/{world.show}/flash-sales/{sale['id']}/end")).status_code == 200
        assert (await world.pool_row(sale["pool"]))["closed_at"] is not None
        assert (await world.pool_row(ordinary))["allotment"] == 1
        await world.settle_all()
        await world.settle_all()
        rows = [await world.pool_row(pool) for pool in (sale["pool"], ordinary)]
        assert [(row["allotment"], row["sold"]) for row in rows] == [(0, 0), (3, 0)]
        assert (await world.take(buyer, ordinary, 3)).status_code == 201
        await world.check(sale["pool"])
        await world.check(ordinary)


async def test_a_double_click_makes_one_order(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(5))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        answers = await asyncio.gather(*(world.order(buyer, hold) for _ in range(8)))
        made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        assert len(made) == 1
        assert {problem(answer) for answer in answers if answer.status_code != 201} <= {(504, "payment_pending")}
        await world.settle_all()
        await world.check(pool)


async def test_a_poisonous_order_fails_alone(pg, valkey):
    """A line whose title is not allowed among 40 good ones: 40 orders and one refusal."""
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(50, per_buyer_limit=50))["pool"]
        buyers = await world.buyers(41)
        holds = [await world.held(buyer, pool) for buyer in buyers]
        await pg.execute(
            "CREATE OR REPLACE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.hold_id = TG_ARGV[0] THEN RAISE check_violation; END IF; RETURN NEW; END $$"
        )
        await pg.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON order_lines"
            f" FOR EACH ROW EXECUTE FUNCTION refuse_poison('{holds[20]}')"
        )
        try:
            pairs = zip(buyers, holds, strict=True)
            answers = await asyncio.gather(*(world.order(buyer, hold) for buyer, hold in pairs))
        finally:
            await pg.execute("DROP TRIGGER poison ON order_lines")
        assert [answer.status_code for answer in answers] == [201] * 20 + [422] + [201] * 20
        await world.settle_all()
        await world.check(pool)


async def test_connections_that_die_during_commits_lose_no_order(pg, pg_url, valkey):
    async with open_world(pg, valkey) as world, asyncpg.create_pool(pg_url, min_size=1, max_size=1) as apart:
        pool = (await world.sale(30, per_buyer_limit=30))["pool"]
        buyers = await world.buyers(30)
        holds = [await world.held(buyer, pool) for buyer in buyers]

        async def cut() -> int:
            # Each is waited for: who takes a connection next must know that it is dead.
            return await apart.fetchval(
                """SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                    WHERE pid <> pg_backend_pid() AND datname = current_database()
                      AND (query LIKE '%commit_orders%' OR query LIKE '%outbox%')"""
            )

        answers, cuts = [], 0
        for buyer, hold in zip(buyers, holds, strict=True):
            answer, cut_off = await asyncio.gather(world.order(buyer, hold, key=f"key-{hold}"), cut())
            answers.append(answer)
            cuts += cut_off
        assert cuts > 0
        await pg.execute("UPDATE payment_attempts SET updated_at = now() - interval '1 hour' WHERE pool_id = $1", pool)
        await settle(world.checkout)
        acknowledged = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        kept = {row["id"] for row in await pg.fetch("SELECT id FROM orders WHERE show_id = $1", world.show)}
        assert acknowledged <= kept
        for buyer, hold, answer in zip(buyers, holds, answers, strict=True):
            again = await world.order(buyer, hold, key=f"key-{hold}")
            if answer.status_code == 201:
                assert again.json() == answer.json()
        await world.settle_all()
        await world.settle_all()
        await world.check(pool)


async def test_no_payment_begins_on_a_hold_that_cannot_be_extended_for_as_long_as_it_may_take(pg, valkey):
    async with open_world(pg, valkey, hold_ttl_s=4, hold_extended_max_s=4, payment_timeout_s=5) as world:
        pool = (await world.sale(1))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        assert problem(await world.order(buyer, hold)) == (409, "hold_ended")
        assert await pg.fetchval("SELECT count(*) FROM payment_attempts WHERE pool_id = $1", pool) == 0
        kept = (await world.sales.gate.read(hold)).hold
        assert (kept.state, kept.attempt, kept.expires_at_ms) == ("held", "", kept.first_expires_at_ms)
        await world.check(pool)
