"""New accounts, guests and shops: the rows that begin a person's or a shop's life.

Owns their SQL and the names' uniqueness. The command line and the demo's seed call it as well as sign-up.
"""

from typing import Final, Literal

import asyncpg

from app import clock
from app.accounts.name_rules import clean_email, clean_name, fold_name, is_reserved
from app.money import CURRENCIES
from app.refusal import Refusal

GUESTS_MAX: Final = 20_000
SHOP_NAME_LENGTH_MAX: Final = 80

# A new account; nothing happens when its name or address is taken.
_INSERT_ACCOUNT: Final = """
INSERT INTO accounts (id, name, name_folded, email_folded, password_hash, demo_role)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING id
"""
# Which of the two was taken.
_NAME_TAKEN: Final = "SELECT 1 FROM accounts WHERE name_folded = $1"
# The next guest's number. A sequence: guests who come at once get numbers of their own without waiting.
_GUEST_NUMBER: Final = "SELECT nextval('guest_numbers')"
# A shop, and who serves in it.
_INSERT_SHOP: Final = "INSERT INTO shops (id, name, currency) VALUES ($1, $2, $3)"
_INSERT_MEMBER: Final = """
INSERT INTO shop_members (shop_id, account_id, role) VALUES ($1, $2, $3)
ON CONFLICT (shop_id, account_id) DO UPDATE SET role = excluded.role
"""


async def create_account(
    pg: asyncpg.Pool,
    *,
    name: str,
    email: str | None,
    password_hash: str | None,
    demo_role: Literal["viewer", "moderator", "host"] | None = None,
    may_be_reserved: bool = False,
) -> str | Refusal:
    """The id of a new account. `may_be_reserved`: the operator may give names that read like staff's."""
    clean = clean_name(name)
    if isinstance(clean, Refusal):
        return clean
    if not may_be_reserved and is_reserved(clean):
        return Refusal("name_reserved", "That name would pass for the staff's; choose another.")
    folded_email = None if email is None else clean_email(email)
    if isinstance(folded_email, Refusal):
        return folded_email
    folded = fold_name(clean)
    account = await pg.fetchval(_INSERT_ACCOUNT, clock.new_id(), clean, folded, folded_email, password_hash, demo_role)
    if account is not None:
        return str(account)
    if await pg.fetchval(_NAME_TAKEN, folded):
        return Refusal("name_taken", "That name, or one that looks like it, is taken.")
    return Refusal("email_taken", "There is an account with that address; sign in instead.")


async def create_guest(pg: asyncpg.Pool) -> str | Refusal:
    """The id of a fresh demo viewer, called "Guest" and a number. Bounded: a demo is not a way to fill the disk."""
    number = await pg.fetchval(_GUEST_NUMBER)
    if number > GUESTS_MAX:
        return Refusal("too_many_guests", "This demo has had all the guests it takes; sign up instead.")
    guest = await create_account(pg, name=f"Guest {number}", email=None, password_hash=None, demo_role="viewer")
    if isinstance(guest, Refusal) and guest.code == "name_taken":  # somebody signed up under that very name
        return await create_guest(pg)
    return guest


async def create_shop(pg: asyncpg.Pool, *, name: str, currency: str, host: str) -> str | Refusal:
    """The id of a new shop with its first host (an account's id)."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= SHOP_NAME_LENGTH_MAX or not clean.isprintable():
        return Refusal("name_invalid", f"A shop's name has 1 to {SHOP_NAME_LENGTH_MAX} printable characters.")
    if currency not in CURRENCIES:
        return Refusal("malformed", f"{currency!r} is not a currency that Hawker knows (ISO 4217).")
    shop = clock.new_id()
    async with pg.acquire() as connection, connection.transaction():
        await connection.execute(_INSERT_SHOP, shop, clean, currency)
        await connection.execute(_INSERT_MEMBER, shop, host, "host")
    return shop


async def add_member(pg: asyncpg.Pool, *, shop: str, account: str, role: Literal["host", "lead", "moderator"]) -> None:
    """Makes the account a host or a moderator of the whole shop."""
    await pg.execute(_INSERT_MEMBER, shop, account, role)
