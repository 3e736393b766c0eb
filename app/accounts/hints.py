"""From which device and address accounts sign in, as hashes under a key that Postgres does not have.

Owns the table account_hints, the key, and the cookie by which a browser is known again. Equal hints say that two
accounts may be one person's; nobody can read a device or an address out of them, and they are forgotten after a while.
"""

import hmac
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg
from starlette.requests import HTTPConnection

from app import clock
from app.http.origin_rules import address_group
from app.settings import Settings

DEVICE_COOKIE: Final = "__Host-hawker-device"
DEVICE_S: Final = 365 * 24 * 3600
KEPT_DAYS: Final = 90
HINTS_MAX: Final = 20
"""Of one account and kind so many are kept, the last."""

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NOTE: Final = """
INSERT INTO account_hints (account_id, kind, hash) SELECT $1, h.kind, h.hash
FROM unnest($2::text[], $3::bytea[]) AS h (kind, hash)
ON CONFLICT (account_id, kind, hash) DO UPDATE SET seen_at = now()
"""
_FORGET_SOME: Final = """
DELETE FROM account_hints WHERE account_id = $1 AND (kind, hash) IN (
    SELECT kind, hash FROM (
        SELECT kind, hash, row_number() OVER (PARTITION BY kind ORDER BY seen_at DESC) AS place
        FROM account_hints WHERE account_id = $1
    ) all_of_them WHERE place > $2
)
"""
_FORGET_OLD: Final = "DELETE FROM account_hints WHERE seen_at < now() - make_interval(days => $1)"


def hint_key(settings: Settings) -> bytes:
    """The key: HINT_KEY, else one that this machine keeps beside its data. Web roles on several machines need the
    former, or each knows only its own.
    """
    if settings.hint_key:
        return settings.hint_key.encode()
    path = settings.data_dir / "hint.key"
    if not path.exists():
        _make(path)
    return path.read_bytes()


def _make(path: Path) -> None:
    """Whole or not at all: another process may make it in the same moment, and the first one counts. On the disk before
    anything is hashed under it: whose machine lost its power would find an empty key, and none of its hints again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"hint.{os.getpid()}.{clock.new_id()}")
    try:
        fresh.touch(mode=0o600)
        fresh.write_text(clock.new_secret())
        _sync(fresh)
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
    _sync(path.parent)  # also for the key of another process, which may not have come so far


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def device_of(connection: HTTPConnection) -> str | None:
    """By what the browser is known again, None when it is not."""
    value = connection.cookies.get(DEVICE_COOKIE, "")
    return value if _SECRET.fullmatch(value) else None


def device_cookie() -> str:
    """The Set-Cookie value by which a browser is known from now on."""
    return f"{DEVICE_COOKIE}={clock.new_secret()}; Path=/; Max-Age={DEVICE_S}; HttpOnly; Secure; SameSite=Lax"


class Hints:
    """Notes them. `read_key` is asked once, when there is something to note."""

    def __init__(self, pg: asyncpg.Pool, read_key: Callable[[], bytes]) -> None:
        self._pg = pg
        self._read_key = read_key
        self._key: bytes | None = None

    async def note(self, account: str, device: str | None, address: str) -> None:
        """The account signed in from there. Addresses that say nothing (this machine's own) are not noted."""
        place = address_group(address)
        seen = [("device", device)] * (device is not None) + [("address", place)] * (place is not None)
        if not seen:
            return
        self._key = self._key or self._read_key()
        hashes = [hmac.digest(self._key, f"{kind} {value}".encode(), "sha256") for kind, value in seen]
        await self._pg.execute(_NOTE, account, [kind for kind, _ in seen], hashes)
        await self._pg.execute(_FORGET_SOME, account, HINTS_MAX)


async def forget_old(pg: Any) -> None:
    """Forgets what was not seen for KEPT_DAYS."""
    await pg.execute(_FORGET_OLD, KEPT_DAYS)
