"""Cards that buyers keep for next time: listed, named in a payment, removed, and kept in step with the provider.

A buyer names a card by an id of ours; the provider's id, the expiry and four digits are all that is known of it. What
the provider keeps is changed at the provider alone, by notes of the outbox: so whatever is lost on the way is asked
again, and of a card that was typed twice, in two windows say, one stays.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from app import clock
from app.checkout.address_rules import mark_of
from app.checkout.card_rules import SAVED_MAX, is_expired
from app.checkout.provider import Answer, KeptCard, Patience
from app.flash_sales.moment import from_ms
from app.refusal import Refusal

log = structlog.get_logger()

PREFIX: Final = "saved_"

NO_CARD: Final = Refusal("not_found", "You keep no such card.")
GONE: Final = Refusal("method_unknown", "You keep no such card any more. Choose another way to pay.")
EXPIRED: Final = Refusal("card_expired", "This card has expired. Choose another way to pay.")

_OWN: Final = """
    SELECT id, brand, last4, exp_month, exp_year, method FROM saved_cards
     WHERE account_id = $1 AND removed_at IS NULL ORDER BY kept_at DESC, id"""

_METHODS: Final = """
    SELECT c.id, c.account_id, c.method, c.exp_month, c.exp_year
      FROM unnest($1::text[], $2::text[]) AS t (id, account_id)
      JOIN saved_cards c ON c.id = t.id AND c.account_id = t.account_id AND c.removed_at IS NULL"""

# What was read of the card goes with it; the mark stays, so that no late word brings it back.
_REMOVE: Final = """
    WITH removed AS (
        UPDATE saved_cards SET removed_at = now(), brand = '', last4 = ''
         WHERE id = ANY ($1) AND account_id = $2 AND removed_at IS NULL RETURNING method
    )
    INSERT INTO outbox (topic, subject) SELECT 'card.detach', method FROM removed RETURNING subject"""

_NOTE: Final = "INSERT INTO outbox (topic, subject) VALUES ($1, $2)"

_PAYMENT: Final = "SELECT account_id, method FROM payment_attempts WHERE id = $1 AND line = 1"

# Of an account's cards one is kept after the other.
_LOCK: Final = "SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE"

_SAME: Final = """
    SELECT method, attempt_id, removed_at IS NULL AS stands FROM saved_cards WHERE account_id = $1 AND mark = $2"""

_KEEP: Final = """
    INSERT INTO saved_cards AS s (id, account_id, mark, attempt_id, method, brand, last4, exp_month, exp_year)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (account_id, mark) DO UPDATE
       SET attempt_id = $4, method = $5, brand = $6, last4 = $7, exp_month = $8, exp_year = $9, kept_at = now(),
           removed_at = NULL"""

_CROWDED: Final = """
    SELECT id FROM saved_cards WHERE account_id = $1 AND removed_at IS NULL ORDER BY kept_at DESC, id OFFSET $2"""

_RENEW: Final = """
    UPDATE saved_cards SET brand = $2, last4 = $3, exp_month = $4, exp_year = $5
     WHERE method = $1 AND removed_at IS NULL"""

_LOST: Final = """
    UPDATE saved_cards SET removed_at = now(), brand = '', last4 = '' WHERE method = $1 AND removed_at IS NULL"""


class SavedCard(msgspec.Struct, frozen=True):
    """A card that the caller keeps. `method` is what a payment names; `usable` while it can be paid with here: the
    provider that keeps it takes payments, and it has not expired.
    """

    id: str
    method: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    expired: bool
    usable: bool


def is_saved(method: str) -> bool:
    """Whether a method that a buyer names is one of their saved cards."""
    return method.startswith(PREFIX)


async def method_of(pg: asyncpg.Pool, person: str, method: str, now_ms: int) -> str | Refusal:
    """The provider's name of a saved card that this person may pay with."""
    return (await methods_of(pg, [(person, method)], now_ms))[0]


async def methods_of(pg: asyncpg.Pool, named: Sequence[tuple[str, str]], now_ms: int) -> list[str | Refusal]:
    """The same for many, of whom each names a card of their own: (person, method)."""
    cards = [method.removeprefix(PREFIX) for _, method in named]
    rows = await pg.fetch(_METHODS, cards, [person for person, _ in named])
    found = {(row["account_id"], row["id"]): row for row in rows}
    now = from_ms(now_ms)
    return [_method(found.get((person, card)), now) for (person, _), card in zip(named, cards, strict=True)]


def _method(row: Any, now: datetime) -> str | Refusal:
    if row is None:
        return GONE
    return EXPIRED if is_expired(row["exp_month"], row["exp_year"], now) else str(row["method"])


async def own_cards(pg: asyncpg.Pool, provider: Patience, person: str, now_ms: int) -> list[SavedCard]:
    """All that this person keeps, the latest first."""
    now = from_ms(now_ms)
    return [_card(row, provider, now) for row in await pg.fetch(_OWN, person)]


async def remove_card(pg: asyncpg.Pool, person: str, card: str) -> Refusal | None:
    """Nothing is paid with it from now on; the provider hears of it by the outbox."""
    return None if await pg.fetch(_REMOVE, [card], person) else NO_CARD


async def note_keep(pg: asyncpg.Pool, attempt: str) -> None:
    """The provider has said yes to a payment whose card its buyer wants to keep."""
    await pg.execute(_NOTE, "card.keep", attempt)


async def note_look(pg: asyncpg.Pool, method: str) -> None:
    """Something may have happened to a card at the provider."""
    await pg.execute(_NOTE, "card.look", method)


async def keep_card(pg: asyncpg.Pool, providers: Patience, attempt: str) -> bool:
    """Notes the card that the provider keeps since this payment. An effect of the outbox.

    Of a card that was kept twice the later payment's stays, and the provider is to forget the other.
    """
    payment = await pg.fetchrow(_PAYMENT, attempt)
    card = await providers.of(payment["method"]).card_kept(attempt)
    if isinstance(card, Answer):
        return card is not Answer.SILENT
    person, mark = payment["account_id"], mark_of(card.fingerprint)
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK, person)
        same = await connection.fetchrow(_SAME, person, mark)
        if same is None or same["attempt_id"] < attempt:
            shown = (card.brand, card.last4, card.exp_month, card.exp_year)
            await connection.execute(_KEEP, clock.new_id(), person, mark, attempt, card.method, *shown)
            crowded = [row["id"] for row in await connection.fetch(_CROWDED, person, SAVED_MAX)]
            await connection.execute(_REMOVE, crowded, person)
        if same is not None and same["attempt_id"] != attempt:
            await _forget_other(connection, same, card, attempt)
    return True


async def _forget_other(connection: Any, same: Any, card: KeptCard, attempt: str) -> None:
    """Of two that are the same card: the earlier one's method, unless it went when it was removed."""
    earlier = same["method"] if same["attempt_id"] < attempt else card.method
    later = card.method if same["attempt_id"] < attempt else same["method"]
    if earlier != later and (same["stands"] or earlier == card.method):
        await connection.execute(_NOTE, "card.detach", earlier)


async def look_at_card(pg: asyncpg.Pool, providers: Patience, method: str) -> bool:
    """What the provider says of a card by now is what its buyer sees. An effect of the outbox."""
    card = await providers.of(method).kept_card(method)
    if card is Answer.SILENT:
        return False
    if isinstance(card, KeptCard):
        await pg.execute(_RENEW, method, card.brand, card.last4, card.exp_month, card.exp_year)
    else:
        await pg.execute(_LOST, method)
        log.info("checkout.card_lost", method=method)
    return True


async def detach_card(providers: Patience, method: str) -> bool:
    """The provider keeps it no more. An effect of the outbox."""
    return await providers.of(method).forget_card(method)


def _card(row: Any, provider: Patience, now: datetime) -> SavedCard:
    expired = is_expired(row["exp_month"], row["exp_year"], now)
    return SavedCard(
        id=row["id"],
        method=PREFIX + row["id"],
        brand=row["brand"],
        last4=row["last4"],
        exp_month=row["exp_month"],
        exp_year=row["exp_year"],
        expired=expired,
        usable=not expired and provider.knows(row["method"]),
    )
