"""What the command line does beside serving: migrate, make accounts and shops, check a draw.

Works on the database of DATABASE_URL, else on the bundled one: beside a running Hawker through its socket, or by
starting the bundled Postgres for the moment.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import msgspec

from app.accounts.name_rules import clean_email
from app.accounts.passwords import hash_now, weak
from app.accounts.register import create_account as register_account
from app.accounts.register import create_shop as register_shop
from app.chat.audit import verify
from app.chat.audit_rules import Chain
from app.embedded.child import end
from app.embedded.folder import DataFolder, FolderBusyError, sockets_folder
from app.embedded.postgres import EmbeddedPostgres
from app.flash_sales.draws import check_draw
from app.refusal import CommandRefusedError, Refusal
from app.settings import Settings
from app.storage.migrations import migrate
from app.storage.postgres import open_pool

END_PATIENCE_S: Final = 20
READY_POLL_S: Final = 0.01
DRAW_TIMEOUT_S: Final = 10


async def migrate_database(settings: Settings) -> list[str]:
    """Brings the database to the current schema; answers with the files that were applied."""
    async with _database(settings) as url:
        return await migrate(url)


async def create_account(settings: Settings, name: str, email: str, password: str) -> str:
    """The id of a new account. The operator may choose any name."""
    refused = weak(password)
    if refused is not None:
        raise CommandRefusedError(refused.message)
    digest = hash_now(password)
    async with _pool(settings) as pool:
        account = await register_account(pool, name=name, email=email, password_hash=digest, may_be_reserved=True)
    return _accepted(account)


async def verify_audit(settings: Settings, known_hash: str = "") -> Chain:
    """The log of moderation, its chain computed again, on the look-out for a hash in hexadecimal."""
    async with _pool(settings) as pool:
        return await verify(pool, known_hash)


async def create_shop(settings: Settings, name: str, host: str, currency: str) -> str:
    """The id of a new shop whose first host is the account with the address `host`."""
    async with _pool(settings) as pool:
        account = await pool.fetchval("SELECT id FROM accounts WHERE email_folded = $1", _accepted(clean_email(host)))
        if account is None:
            raise CommandRefusedError(f"There is no account with the address {host}; make it with create-account.")
        shop = await register_shop(pool, name=name, currency=currency.upper(), host=account)
    return _accepted(shop)


def _accepted(outcome: str | Refusal) -> str:
    if isinstance(outcome, Refusal):
        raise CommandRefusedError(outcome.message)
    return outcome


async def verify_draw(source: str, commitment: str, entry: str = "", crowd: str = "") -> str:
    """What is right about the published draw at `source`: a file, an http address, or - for standard input."""
    try:
        published = await _read_draw(source)
    except (OSError, httpx.HTTPError) as error:
        why, _, _ = str(error).partition("\n")
        raise CommandRefusedError(f"{source} cannot be read: {why}") from error
    try:
        return check_draw(published, commitment or None, entry or None, crowd or None)
    except msgspec.DecodeError as error:
        raise CommandRefusedError(f"{source} is no published draw: {error}") from error
    except ValueError as error:
        raise CommandRefusedError(f"The draw is not right. {error}") from error


async def _read_draw(source: str) -> bytes:
    if source == "-":
        return await asyncio.to_thread(sys.stdin.buffer.read)
    if source.startswith(("http://", "https://")):
        async with httpx.AsyncClient(timeout=DRAW_TIMEOUT_S) as client:
            answer = await client.get(source)
            return answer.raise_for_status().content
    return await asyncio.to_thread(Path(source).read_bytes)


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    async with _database(settings) as url:
        await migrate(url)
        pool = await open_pool(url)
        try:
            yield pool
        finally:
            await pool.close()


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    if settings.database_url:
        yield settings.database_url
        return
    try:
        folder = DataFolder(settings.data_dir)
    except FolderBusyError:  # Hawker runs: its Postgres is up
        path = settings.data_dir.resolve()
        yield EmbeddedPostgres(path, sockets_folder(path)).url
        return
    try:
        server = EmbeddedPostgres(folder.path, folder.sockets)
        child = server.start(server.prepare())
        try:
            while not server.is_ready(child):
                await asyncio.sleep(READY_POLL_S)
            yield server.url
        finally:
            end(child, server.end_signal, END_PATIENCE_S)
    finally:
        folder.close()
