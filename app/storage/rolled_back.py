"""Transactions that Postgres rolls back for another's sake, a deadlock say: run again, a few times.

Owns that patience. Nothing else that fails is repeated here: only of these is it known that nothing has happened.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from app.storage.loops import backoff_s

TRIES_MAX: Final = 5

Answer = TypeVar("Answer")


async def until_it_stays(do: Callable[[], Awaitable[Answer]]) -> Answer:
    """`do()`; again, TRIES_MAX times in all, when its transaction was rolled back for the sake of others."""
    for tries in range(1, TRIES_MAX):
        try:
            return await do()
        except asyncpg.TransactionRollbackError:
            await asyncio.sleep(backoff_s(tries))
    return await do()
