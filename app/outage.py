"""Which failures say that Postgres, Valkey or the network is away, and nothing about our own code.

Such a failure is waited out, or told as "try again"; every other one is a defect and rises.
"""

from typing import Final

import asyncpg
import redis.exceptions

EXTERNAL: Final = (
    OSError,
    redis.exceptions.RedisError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ExceptionGroup,  # of a TaskGroup whose tasks met any of these
)
"""Everything that may come from outside, for an `except`; `is_outage` tells which of it is one."""

_AWAY: Final = (
    OSError,  # refused, reset, no such socket, no route, out of time
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.OutOfMemoryError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # starting up, shutting down, crashed, cancelled
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.PostgresIOError,  # a disk that fails otherwise
    asyncpg.ReadOnlySQLTransactionError,  # the server is not the one that writes, any more or yet
    asyncpg.TransactionRollbackError,  # serialization, deadlock: the same again may do
)

# What Valkey answers while it cannot write or is busy, and redis-py has no class for.
_WORDS_OF_VALKEY: Final = ("MISCONF", "NOREPLICAS", "BUSY", "FAILOVER")
_IN_A_PIPELINE: Final = " of pipeline caused error: "
"""After this redis-py repeats, as a tuple in words, what was said to a command among others."""


def is_outage(failure: BaseException) -> bool:
    """True when the other side is away. Of asyncpg's own errors only those of a connection that broke in between."""
    if isinstance(failure, ExceptionGroup):
        return all(is_outage(one) for one in failure.exceptions)
    if isinstance(failure, asyncpg.InternalClientError):
        return "another operation" in str(failure)
    if isinstance(failure, asyncpg.InterfaceError):
        # A connection that was lost while nobody used it has been given back by the pool itself.
        return "clos" in str(failure) or "released back to the pool" in str(failure)
    if isinstance(failure, redis.exceptions.ResponseError) and not isinstance(failure, _AWAY):
        said = str(failure).rpartition(_IN_A_PIPELINE)[2].lstrip("('\"")
        return said.split(" ", 1)[0] in _WORDS_OF_VALKEY
    return isinstance(failure, _AWAY)
