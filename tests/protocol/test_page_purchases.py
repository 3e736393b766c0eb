"""What the watch page asks for when its buyer presses "Buy now": by the short way, and as on the long way in all else.

The request is Chromium's, byte for byte, on a real uvicorn over the real stores.
"""

import asyncio
from collections import Counter

import pytest

from app import clock
from app.flash_sales.door import door_keys
from tests.protocol.callers import Caller
from tests.protocol.page_shop import GUARD_S, OTHERS, PATH, chromium, opened
from tests.storage.stock_world import World
from tests.waiting import eventually

AGREED = {"total_minor": 1000}
OLD = {"total_minor": 999}


@pytest.fixture
async def shop(pg, valkey, monkeypatch):
    async with opened(pg, valkey, monkeypatch) as made:
        yield made


async def test_the_pages_own_request_takes_the_short_way_and_becomes_an_order_in_its_wave(shop):
    """It never did: its buyer's session was not looked up lately, it names a card and says what it agreed to."""
    pool, buyer = await shop.pool(), await shop.world.buyer()
    card = await shop.keeps(buyer)
    status, order = await shop.press(buyer, pool, card, agreed=AGREED)
    assert (status, order["state"], order["total_minor"]) == (201, "authorised", 1000)
    assert +shop.ways == {"at once": 1}
    await shop.world.settle_all()
    await shop.world.check(pool)


async def test_a_browser_that_writes_the_body_behind_the_head_takes_it_too(shop):
    """So a request of two kilobytes may come, with a few more cookies, say."""
    pool, buyer = await shop.pool(), await shop.world.buyer()
    cookies = f"{OTHERS}; _gcl_au={'1.' * 300}"
    body = {"pool": pool, "quantity": 1, "method": "works", "show": shop.world.show}
    data = chromium(buyer, shop.port, body, "k", cookies=cookies)
    head, _, sent = data.partition(b"\r\n\r\n")
    status, _ = await shop.ask(head + b"\r\n\r\n", sent)
    assert (status, +shop.ways) == (201, {"at once": 1})


async def test_a_crowd_behind_one_network_with_a_limit_takes_it_and_none_gets_more(shop):
    """A large sale has such a limit unless its host says otherwise: all who came from outside went another way."""
    pool = await shop.knows((await shop.world.sale(9, per_address_limit=3, per_buyer_limit=1))["pool"])
    buyers = await shop.world.buyers(6)
    here, there = ["X-Forwarded-For: 198.51.100.7"], ["X-Forwarded-For: 192.0.2.1"]
    told = await asyncio.gather(*(shop.press(one, pool, lines=here) for one in buyers[:5]))
    told.append(await shop.press(buyers[5], pool, lines=there))
    assert Counter(body.get("code", "order") for _, body in told) == {"order": 4, "address_limit": 2}
    assert (shop.ways["at once"], shop.ways["by task"], shop.ways["long"]) == (6, 0, 0)
    # A decline gives its place in the network back.
    late, another = await shop.world.buyer(), ["X-Forwarded-For: 203.0.113.77"]
    assert (await shop.press(late, pool, "declines", lines=another))[0] == 402
    networks = door_keys(pool)[2]

    async def given_back() -> bool:
        return not await shop.world.valkey.hexists(networks, "203.0.113.0/24")

    await eventually(given_back, GUARD_S, "its units count no more")
    assert (await shop.press(late, pool, lines=another))[0] == 201
    counted = await shop.world.valkey.hgetall(networks)
    assert sorted(int(units) for units in counted.values()) == [1, 1, 3]
    await shop.world.settle_all()
    await shop.world.check(pool)


async def test_who_holds_and_pays_in_two_steps_goes_past_the_routes_too(shop):
    pool, buyer = await shop.pool(), await shop.world.buyer()

    async def post(path: str, **body) -> dict:
        status, told = await shop.ask(chromium(buyer, shop.port, body, clock.new_id(), path=path))
        assert status == 201, told
        return told

    hold = await post("/api/holds", pool=pool, quantity=1, show=shop.world.show)
    order = await post("/api/orders", hold=hold["id"], method="works", keep=True)
    assert +shop.ways == {"by task": 2}
    assert (await buyer.get("/api/holds")).json()["holds"] == []
    assert [one["id"] for one in (await buyer.get("/api/orders")).json()["orders"]] == [order["id"]]
    assert (await buyer.ask("PUT", "/api/orders", {})).status_code == 405


# What happens in a shop, each on both ways. Asks, and gives what it was told.


async def buys(shop, buyer):
    pool = await shop.pool()
    return pool, [await shop.press(buyer, pool), await shop.press(buyer, pool, agreed=AGREED, keep=True)]


async def pays_with_own_card(shop, buyer):
    pool, card = await shop.pool(), await shop.keeps(buyer)
    return pool, [await shop.press(buyer, pool, card, keep=keep, agreed=AGREED) for keep in (False, True)]


async def is_not_agreed(shop, buyer):
    pool = await shop.pool()
    said = [OLD, {**AGREED, "policy": 1}, {**AGREED, "shipping": "post"}, AGREED]
    return pool, [await shop.press(buyer, pool, agreed=one, key="k") for one in said]


async def has_a_policy(shop, buyer):
    pool, told, first = await shop.pool(), [], {**AGREED, "policy": 1}
    for policy in ("Keep it.", "Send it back.", ""):
        await shop.asks(return_policy=policy)
        told.append(await shop.press(buyer, pool))
        told += [await shop.press(buyer, pool, agreed={**AGREED, "policy": version}) for version in (0, 2)]
        # What was bought under the first stays bought, whatever was changed meanwhile.
        told.append(await shop.press(buyer, pool, key="first", agreed=first))
    return pool, told


async def has_conditions(shop, buyer):
    pool = await shop.pool()
    await shop.asks(shipping=[{"id": "post", "name": "Post", "price_minor": 500}])
    told = [await shop.press(buyer, pool), await shop.press(buyer, pool, agreed=AGREED)]
    return pool, [*told, await shop.press(buyer, pool, agreed={"total_minor": 1500, "shipping": "post"})]


async def names_no_card_of_theirs(shop, buyer):
    pool, stranger = await shop.pool(), await shop.world.buyer()
    strangers, own = await shop.keeps(stranger), await shop.keeps(buyer)
    answers = [await shop.press(buyer, pool, strangers), await shop.press(buyer, pool, "saved_nothing")]
    answers.append(await shop.press(buyer, pool, own, key="k"))
    await shop.world.pg.execute("UPDATE saved_cards SET exp_year = 2020 WHERE id = $1", own.removeprefix("saved_"))
    answers += [await shop.press(buyer, pool, own), await shop.press(buyer, pool, own, key="k")]
    await shop.world.pg.execute("UPDATE simulated_cards SET detached_at = now() WHERE account_id = $1", buyer.account)
    await shop.world.pg.execute("UPDATE saved_cards SET exp_year = 2099 WHERE id = $1", own.removeprefix("saved_"))
    return pool, [*answers, await shop.press(buyer, pool, own), await shop.press(buyer, pool, own, key="k")]


async def fails_to_pay(shop, buyer):
    pool = await shop.pool(1)
    told = [await shop.press(buyer, pool, "declines", key="k", agreed=AGREED) for _ in range(2)]
    return pool, [*told, await shop.press(buyer, pool, key="k"), await shop.press(buyer, pool)]


async def is_asked_by_the_bank(shop, buyer):
    pool, card = await shop.pool(1), await shop.keeps(buyer, "challenges")
    told = [await shop.press(buyer, pool, card, key="k", agreed=AGREED) for _ in range(2)]
    payment = told[0][1]["details"]["payment"]
    assert (await buyer.post(f"/api/payments/{payment}/bank", {"approve": True})).status_code == 204
    assert (await buyer.post(f"/api/payments/{payment}/look")).status_code == 204
    return pool, [*told, await shop.press(buyer, pool, card, key="k", agreed=AGREED)]


async def uses_a_key_again(shop, buyer):
    pool, other = await shop.pool(), await shop.pool()
    told = list(await asyncio.gather(*(shop.press(buyer, pool, key="k", agreed=AGREED) for _ in range(3))))
    assert {status for status, _ in told} <= {201, 409, 504}
    told = [max(told, key=lambda one: one[0] == 201)]  # the others may have come while it was worked on
    for said in ({"agreed": AGREED}, {}, {"quantity": 2}, {"method": "declines"}, {"agreed": OLD}):
        told.append(await shop.press(buyer, pool, **{"key": "k", **said}))
    return pool, [*told, await shop.press(buyer, other, key="k", agreed=AGREED)]


async def wants_more_than_there_is(shop, buyer):
    pool = await shop.knows((await shop.world.sale(4, per_buyer_limit=2))["pool"])
    other = await shop.world.buyer()
    told = [await shop.press(buyer, pool, quantity=3), await shop.press(buyer, pool, quantity=2)]
    await shop.world.held(other, pool)
    third = await shop.world.buyer()
    told += [await shop.press(buyer, pool), await shop.press(third, pool, quantity=2)]
    told += [await shop.press(third, pool), await shop.press(await shop.world.buyer(), pool)]
    for hold in (await other.get("/api/holds")).json()["holds"]:
        assert (await other.ask("DELETE", f"/api/holds/{hold['id']}")).status_code == 204
    return pool, [*told, await shop.press(other, pool), await shop.press(await shop.world.buyer(), pool)]


async def is_turned_away(shop, buyer):
    pool = await shop.pool()
    told = [await shop.press(buyer, pool, "nonsense"), await shop.press(buyer, clock.new_id())]
    told += [await shop.press(buyer, pool, show="elsewhere"), await shop.press(buyer, pool, quantity=0)]
    told.append(await shop.press(buyer, pool, price_minor=1))
    await shop.world.pg.execute(
        "INSERT INTO sanctions (id, kind, account_id, shop_id, by_account_id) VALUES ($1, 'ban', $2, $3, $4)",
        clock.new_id(),
        buyer.account,
        shop.world.shop,
        shop.world.host.account,
    )
    return pool, [*told, await shop.press(buyer, pool, agreed=AGREED)]


CASES = [
    buys,
    pays_with_own_card,
    is_not_agreed,
    has_a_policy,
    has_conditions,
    names_no_card_of_theirs,
    fails_to_pay,
    is_asked_by_the_bank,
    uses_a_key_again,
    wants_more_than_there_is,
    is_turned_away,
]


async def left_behind(world: World, buyer: Caller, pool: str) -> dict:
    """What is there afterwards, without the ids."""
    await world.settle_all()
    await world.check(pool)

    async def rows(statement: str):
        return [tuple(row) for row in await world.pg.fetch(statement, buyer.account)]

    gate = await world.gate(pool)
    return {
        "orders": await rows("SELECT state, total_minor FROM orders WHERE account_id = $1 ORDER BY id"),
        "attempts": await rows(
            """SELECT state, refusal, split_part(method, '_', 2), quantity, amount_minor, idempotency_key IS NOT NULL
                 FROM payment_attempts WHERE account_id = $1 ORDER BY id"""
        ),
        "totals": await rows(
            """SELECT t.goods_minor, t.total_minor, t.policy_version > 0 FROM payment_totals t
                 JOIN payment_attempts a ON a.id = t.attempt_id WHERE a.account_id = $1 ORDER BY a.id"""
        ),
        "books": await rows(
            """SELECT s.state, s.captures FROM simulated_payments s JOIN payment_attempts a ON a.id = s.attempt_id
                WHERE a.account_id = $1 ORDER BY a.id"""
        ),
        "tries": await rows(
            """SELECT kind, declined_at IS NOT NULL FROM payment_tries t JOIN payment_attempts a ON a.id = t.attempt_id
                WHERE a.account_id = $1 ORDER BY a.id, kind"""
        ),
        "gate": (gate.sold, gate.held, gate.left),
        "holds": len((await buyer.get("/api/holds")).json()["holds"]),
    }


def without_ids(told: list[tuple[int, dict]]) -> list:
    """What was told, with each id named by when it first came up."""
    names: dict[str, str] = {}

    def named(value):
        return names.setdefault(value, f"id {len(names)}")

    def plainly(body: dict) -> dict:
        if body.get("code") == "payment_challenge":
            return {**body, "details": {name: named(value) for name, value in body["details"].items()}}
        return {
            name: named(value) if name in {"id", "created_at", "shop", "show"} else value
            for name, value in body.items()
        }

    return [(status, plainly(body)) for status, body in told]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_both_ways_give_the_same_answers_and_leave_the_same_behind(pg, valkey, monkeypatch, case):
    seen = []
    for path in (PATH, f"{PATH}?by=the-long-way"):
        with monkeypatch.context() as patched:
            async with opened(pg, valkey, patched) as shop:
                shop.path = path
                buyer = await shop.world.buyer()
                pool, told = await case(shop, buyer)
                seen.append((without_ids(told), await left_behind(shop.world, buyer, pool)))
                assert (shop.ways["at once"] > 0, shop.ways["long"] > 0) == (path == PATH, path != PATH)
    assert seen[0] == seen[1]
