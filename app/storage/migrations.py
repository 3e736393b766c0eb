"""Brings a database to the current schema: plain SQL files in the order of their names, each applied once.

A file that was applied may not change afterwards: its digest is kept and compared. Functions stand in files of their
own, which may change: each is made anew after the migrations when its text is another one. An own page of code,
because a migration framework would bring a second driver and a quarter of a second to every start.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import asyncpg

FOLDER: Final = Path(__file__).with_name("migrations")
FUNCTIONS: Final = Path(__file__).with_name("functions")
"""Each file is one CREATE OR REPLACE FUNCTION; a migration drops one whose arguments or columns change."""
LOCK: Final = 0x68_61_77_6B  # any number, the same for all who migrate

_LEDGER: Final = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        name text PRIMARY KEY,
        sha256 bytea NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS schema_functions (
        name text PRIMARY KEY,
        sha256 bytea NOT NULL
    )"""
_KEEP_FUNCTION: Final = """
    INSERT INTO schema_functions (name, sha256) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256
"""


class MigrationError(RuntimeError):
    """The database and the files disagree; the message names the file."""


async def migrate(url: str, folder: Path = FOLDER, functions: Path = FUNCTIONS) -> list[str]:
    """Applies what is missing and answers with the migrations' names. Safe to run from several processes at once."""
    connection = await asyncpg.connect(url)
    try:
        missing = await _apply_missing(connection, folder)
        await _renew_functions(connection, functions)
        return missing
    finally:
        await connection.close()


async def _apply_missing(connection: Any, folder: Path) -> list[str]:
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)  # the connection's end frees it
    await connection.execute("SET client_min_messages = warning")
    await connection.execute(_LEDGER)
    rows = await connection.fetch("SELECT name, sha256 FROM schema_migrations")
    applied = {row["name"]: row["sha256"] for row in rows}
    files = _read(folder)
    for name in sorted(applied.keys() - files.keys()):
        raise MigrationError(f"The database has {name}, which this version does not know: it is from a newer one.")
    missing = [name for name in files if name not in applied]
    for name, source in files.items():
        digest = hashlib.sha256(source).digest()
        if name in applied:
            if applied[name] != digest:
                raise MigrationError(f"{name} was changed after it had been applied; write a new file instead.")
            continue
        if any(name < other for other in applied):
            raise MigrationError(f"{name} sorts before files that were already applied; give it a later number.")
        async with connection.transaction():
            await connection.execute(source.decode())
            await connection.execute("INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, digest)
    return missing


async def _renew_functions(connection: Any, folder: Path) -> None:
    rows = await connection.fetch("SELECT name, sha256 FROM schema_functions")
    made = {row["name"]: row["sha256"] for row in rows}
    for name, source in _read(folder).items():
        digest = hashlib.sha256(source).digest()
        if made.get(name) != digest:
            async with connection.transaction():
                await connection.execute(source.decode())
                await connection.execute(_KEEP_FUNCTION, name, digest)


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.sql"))}
