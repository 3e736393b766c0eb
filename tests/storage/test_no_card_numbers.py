"""No card number ever enters: whatever a caller puts where, none is found in any table or in any line of the log."""

import re

import structlog

from app import clock
from tests.protocol.callers import problem
from tests.storage.stock_world import open_world

CARDS = ("4242424242424242", "4000 0025 0000 3155", "5555-5555-5555-4444", "378282246310005")
_DIGITS = re.compile(r"(?<![\w.])[3-6](?:[ -]?\d){12,18}(?!\w)")  # no card begins with another digit
_TEXTS = """
    SELECT table_name, column_name FROM information_schema.columns
     WHERE table_schema = 'public' AND data_type IN ('text', 'jsonb', 'json', 'bytea')"""


def luhn(digits: str) -> bool:
    """Whether the check digit is right."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def card_numbers(text: str) -> list[str]:
    """What looks like one: 13 to 19 digits, perhaps in groups, with a right check digit."""
    found = [re.sub(r"\D", "", match) for match in _DIGITS.findall(text)]
    return [digits for digits in found if luhn(digits)]


def test_the_search_finds_card_numbers_and_not_our_ids():
    assert [card_numbers(f"paid with {card}.") for card in CARDS] == [[re.sub(r"\D", "", card)] for card in CARDS]
    assert card_numbers(f"{clock.new_id()} 4242424242424241 2026-11-22 12:00:00.000000+00") == []


async def test_no_table_and_no_log_keeps_a_card_number(pg, valkey):
    async with open_world(pg, valkey) as world:
        pool = (await world.sale(2))["pool"]
        buyer = await world.buyer()
        hold = await world.held(buyer, pool)
        order_path = f"/api/shops/{world.shop}/orders/nothing/refunds"
        with structlog.testing.capture_logs() as logged:
            for card in CARDS:
                packed = re.sub(r"\D", "", card)
                assert problem(await world.order(buyer, hold, card)) in {(400, "malformed"), (400, "method_unknown")}
                assert problem(await world.order(buyer, hold, packed)) == (400, "method_unknown")
                assert problem(await world.order(buyer, f"{pool}-{packed}")) == (404, "not_found")
                await buyer.post("/api/orders", {"hold": hold, "method": "works", "card": card})
                await buyer.post(f"/api/payments/{packed}/look")
                headers = {"Idempotency-Key": clock.new_id()}
                await world.host.post(order_path, {"amount_minor": 1, "currency": packed}, headers=headers)
            assert (await world.order(buyer, hold)).status_code == 201
            await world.settle_all()
        assert card_numbers(repr(logged)) == []
        for row in await pg.fetch(_TEXTS):
            column = f'"{row["column_name"]}"'
            kept = await pg.fetch(
                f'SELECT {column}::text AS text FROM "{row["table_name"]}" WHERE {column} IS NOT NULL'
            )
            found = [number for one in kept for number in card_numbers(one["text"] or "")]
            assert found == [], f"{row['table_name']}.{row['column_name']}"
        keys = [key async for key in valkey.scan_iter()]
        assert card_numbers(repr(keys)) == []
