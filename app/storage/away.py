"""Telling others after a commit, when those others may be away: the commit stands, the telling is made up for.

Owns the one place where such a failure is swallowed. Whoever uses it has a loop that says the same thing again.
"""

from collections.abc import Awaitable

import asyncpg
import redis.exceptions
import structlog

from app.storage.loops import is_infrastructure

log = structlog.get_logger()


async def unless_away(what: str, telling: Awaitable[object]) -> bool:
    """Awaits `telling`; False when Valkey or Postgres is away. Any other failure is a defect and rises."""
    try:
        await telling
    except (OSError, redis.exceptions.RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if not is_infrastructure(error):
            raise
        log.warning("telling.put_off", what=what, error=repr(error))
        return False
    return True
