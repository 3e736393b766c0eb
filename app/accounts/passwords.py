"""Passwords: argon2id in threads of its own, a few at a time.

Owns the parameters and the bound on work and memory. It never sees an account.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.refusal import Refusal

T = TypeVar("T")

PASSWORD_LENGTH_MIN: Final = 10
PASSWORD_LENGTH_MAX: Final = 200
AT_ONCE_MAX: Final = 2
WAITING_MAX: Final = 64
BUSY_RETRY_MS: Final = 2000

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Verified against when there is no such account, so that the answer takes as long.
_NOBODY: Final = "$argon2id$v=19$m=19456,t=2,p=1$aGF3a2VyLW5vYm9keS1oZQ$" + "A" * 43


class Passwords:
    """Hashes and verifies; at most AT_ONCE_MAX run, WAITING_MAX wait, the rest are refused."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="argon2")
        self._waiting = 0

    async def hash(self, password: str) -> str | Refusal:
        """The hash to keep."""
        return await self._run(_hasher.hash, password)

    async def verify(self, kept: str | None, password: str) -> bool | Refusal:
        """Whether `password` is the one behind `kept`. None (no such account) takes as long and is False."""
        matches = await self._run(_matches, kept or _NOBODY, password)
        return matches if isinstance(matches, Refusal) else matches and kept is not None

    async def _run(self, work: Callable[..., T], *values: str) -> T | Refusal:
        if self._waiting >= WAITING_MAX:
            return Refusal("busy", "Many people are signing in; try again.", retry_after_ms=BUSY_RETRY_MS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *values)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the threads. Work that has not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def hash_now(password: str) -> str:
    """The hash, computed here and now: for the command line, never on an event loop."""
    return _hasher.hash(password)


def _matches(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def weak(password: str) -> Refusal | None:
    """Why a new password will not do. Length is what counts (NIST SP 800-63B)."""
    if PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX and len(set(password)) > 2:
        return None
    return Refusal(
        "password_weak", f"A password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters, varied."
    )
