"""An own connection: kept out of the pool for a group that writes batch after batch, and how a batch is carried.

Owns that connection, the running again of what may succeed the next time, and the halving of a batch that has
something bad in it. It knows no statement. Between two uses the pool would reset the connection, a round trip each.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg

from app.outage import EXTERNAL, is_outage
from app.storage.loops import backoff_s

TRIES_MAX: Final = 8

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class OwnConnection:
    """A connection of `pg`, taken at the first use and kept. One user at a time. Close it before the pool."""

    def __init__(self, pg: asyncpg.Pool) -> None:
        self._pg = pg
        self._connection: Any = None

    async def enter(self) -> Any:
        """The connection. Whoever sees it fail closes this, and gets another the next time."""
        if self._connection is None:
            self._connection = await self._pg.acquire()
        return self._connection

    async def close(self) -> None:
        """Gives the connection back to the pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pg.release(connection)


async def insisting(
    own: OwnConnection, do: Callable[[Any, list[Item]], Awaitable[list[Answer]]], batch: list[Item]
) -> list[Answer]:
    """`do(connection, batch)`. A connection that was lost, a deadlock and the like: again, TRIES_MAX times in all.

    `do` must bear to be run again when nobody knows whether it has worked.
    """
    for tries in range(1, TRIES_MAX + 1):
        try:
            return await do(await own.enter(), batch)
        except EXTERNAL as error:
            if not is_outage(error):
                raise
            await own.close()  # it may be the connection; one that was lost does not even say so
            if tries == TRIES_MAX:
                raise
        await asyncio.sleep(backoff_s(tries))
    raise AssertionError("unreachable")


async def halving(
    connection: Any,
    do: Callable[[Any, list[Item]], Awaitable[list[Answer]]],
    batch: list[Item],
    alone: Callable[[Any, Item], Awaitable[Answer]],
) -> list[Answer]:
    """`do(connection, batch)`; when the database will not have something in it, halved until that is found.

    `alone` answers for it; its neighbours do not notice. `do` bears to be run again, as above.
    """
    try:
        return await do(connection, batch)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
        if len(batch) == 1:
            return [await alone(connection, batch[0])]
    middle = len(batch) // 2
    return [
        *await halving(connection, do, batch[:middle], alone),
        *await halving(connection, do, batch[middle:], alone),
    ]
