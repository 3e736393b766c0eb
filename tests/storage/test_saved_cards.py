"""Cards that buyers keep, with the simulated provider: named in every kind of order, and of nobody else."""

from app import clock
from app.checkout import pay, saved_cards
from app.checkout.card_rules import SAVED_MAX
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world


async def cards(buyer) -> list[dict]:
    return (await buyer.get("/api/saved-cards")).json()["cards"]


async def now(buyer, pool, method="works", key: str | None = None, **said):
    body = {"pool": pool, "quantity": 1, "method": method, **said}
    return await buyer.post("/api/buy-now", body, headers={"Idempotency-Key": key or clock.new_id()})


async def saved(world, buyer, pool, method="works") -> dict:
    order = await now(buyer, pool, method, keep=True)
    assert order.status_code == 201, order.text
    await world.settle_all()
    return (await cards(buyer))[0]


async def test_a_card_is_kept_pays_in_one_request_and_in_a_cart_and_is_removed(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        buyer, other = await world.buyers(2)
        assert (await now(buyer, pool)).status_code == 201
        kept = await saved(world, buyer, pool)
        assert (kept["last4"], kept["usable"], kept["expired"]) == ("4242", True, False)
        for _ in range(2):
            assert (await now(buyer, pool, kept["method"])).status_code == 201
        assert (await buyer.ask("PUT", f"/api/shops/{world.shop}/cart/{pool}", {"quantity": 2})).status_code == 200
        body = {"method": kept["method"], "agreed": {"total_minor": 2000}, "keep": True}
        order = await buyer.post(f"/api/shops/{world.shop}/cart/order", body, headers={"Idempotency-Key": "cart"})
        assert order.status_code == 201, order.text
        await world.settle_all()
        assert await cards(buyer) == [kept]
        name = await pg.fetchval("SELECT method FROM saved_cards WHERE id = $1", kept["id"])
        assert problem(await now(other, pool, kept["method"])) == (400, "method_unknown")
        assert problem(await now(other, pool, name)) == (402, "payment_declined")
        assert (await buyer.ask("DELETE", f"/api/saved-cards/{kept['id']}")).status_code == 204
        assert problem(await now(buyer, pool, kept["method"])) == (400, "method_unknown")
        await world.settle_all()
        assert problem(await now(buyer, pool, name)) == (402, "payment_declined")
        await world.settle_all()
        await world.check(pool)
        # The same card, kept once more, is there again.
        assert (await saved(world, buyer, pool))["last4"] == "4242"


async def test_what_is_repeated_under_a_key_is_one_request_also_when_its_card_was_removed_meanwhile(pg, valkey):
    """It was refused as unknown, while its payment went on; or as another request, where it asked to keep the card."""
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(9)
        buyer, key = await world.buyer(), clock.new_id()
        assert (await now(buyer, pool, key="k", keep=True)).status_code == 201
        assert problem(await now(buyer, pool, key="k")) == (422, "idempotency_mismatch")
        await world.settle_all()
        (kept,) = await cards(buyer)
        assert (await buyer.ask("PUT", f"/api/shops/{world.shop}/cart/{pool}", {"quantity": 2})).status_code == 200
        body = {"method": kept["method"], "agreed": {"total_minor": 2000}, "keep": True}

        async def cart():
            path = f"/api/shops/{world.shop}/cart/order"
            return await buyer.post(path, body, headers={"Idempotency-Key": "cart"})

        first = [await now(buyer, pool, kept["method"], key=key, keep=True), await cart()]
        orders = [order.json()["id"] for order in first]
        await pg.execute("UPDATE payment_attempts SET state = 'started' WHERE id = ANY ($1)", orders)
        assert (await buyer.ask("DELETE", f"/api/saved-cards/{kept['id']}")).status_code == 204
        again = [await now(buyer, pool, kept["method"], key=key, keep=True), await cart()]
        assert [problem(one) for one in again] == [(409, "in_progress")] * 2
        await pg.execute("UPDATE payment_attempts SET state = 'committed' WHERE id = ANY ($1)", orders)
        again = [await now(buyer, pool, kept["method"], key=key, keep=True), await cart()]
        assert [(one.status_code, one.json()["id"]) for one in again] == [(201, order) for order in orders]


async def test_a_kept_card_whose_bank_asks_is_asked_about_each_time_and_a_lent_one_is_one_for_all(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(9, per_buyer_limit=1))["pool"]
        buyer, second, third = await world.buyers(3)
        for first in (True, False):
            method = "challenges" if first else (await cards(buyer))[0]["method"]
            _, ordinary = await world.variant(1)
            key = clock.new_id()
            asked = await now(buyer, ordinary, method, key, keep=first)
            assert problem(asked) == (402, "payment_challenge")
            payment = asked.json()["details"]["payment"]
            assert (await buyer.post(f"/api/payments/{payment}/bank", {"approve": True})).status_code == 204
            assert (await buyer.post(f"/api/payments/{payment}/look")).status_code == 204
            assert (await now(buyer, ordinary, method, key, keep=first)).status_code == 201
            await world.settle_all()
        _, ordinary = await world.variant(1)
        lent = await saved(world, second, ordinary, "lent")
        assert (await now(third, pool, "lent")).status_code == 201
        assert problem(await now(second, pool, lent["method"])) == (409, "over_card_limit")


async def test_whoever_keeps_no_card_costs_no_statement_more_and_a_declined_one_is_not_kept(pg, valkey, monkeypatch):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(3)
        buyer = await world.buyer()
        assert problem(await now(buyer, pool, "declines", keep=True)) == (402, "payment_declined")
        await world.settle_all()
        assert await cards(buyer) == []

        async def never(*_):
            raise AssertionError("asked for a card that nobody named")

        for module, name in ((pay, "method_of"), (pay, "note_keep"), (pay, "note_look"), (saved_cards, "keep_card")):
            monkeypatch.setattr(module, name, never)
        assert (await now(buyer, pool)).status_code == 201
        assert (await world.order(buyer, await world.held(buyer, pool))).status_code == 201


async def test_the_oldest_makes_room_and_a_card_of_another_provider_is_shown_and_not_offered(pg, valkey):
    async with open_world(pg, valkey) as world:
        _, pool = await world.variant(3)
        buyer = await world.buyer()
        await pg.execute(
            """INSERT INTO saved_cards
                      (id, account_id, mark, method, attempt_id, brand, last4, exp_month, exp_year, kept_at)
               SELECT $1 || n, $1, n::text::bytea, 'pm_' || $1 || n, '', 'visa', '0000', 1, 2099,
                      now() - make_interval(days => n) FROM generate_series(1, $2) n""",
            buyer.account,
            SAVED_MAX,
        )
        await saved(world, buyer, pool)
        kept = await cards(buyer)
        assert [one["usable"] for one in kept] == [True] + [False] * (SAVED_MAX - 1)
        assert kept[-1]["id"] == f"{buyer.account}{SAVED_MAX - 1}"
        assert problem(await now(buyer, pool, kept[1]["method"])) == (400, "method_unknown")
        left = "SELECT subject FROM outbox WHERE topic = 'card.detach' AND done_at IS NULL"
        assert await pg.fetchval(left) == f"pm_{buyer.account}{SAVED_MAX}"  # waits for who keeps it
