"""Telling others after a commit, when those others may be away: the commit stands, the telling is made up for.

Owns the one place where such a failure is swallowed. Whoever uses it has a loop that says the same thing again.
"""

from collections.abc import Awaitable

import structlog

from app.outage import EXTERNAL, is_outage

log = structlog.get_logger()


async def unless_away(what: str, telling: Awaitable[object]) -> bool:
    """Awaits `telling`; False when Valkey or Postgres is away. Any other failure is a defect and rises."""
    try:
        await telling
    except EXTERNAL as error:
        if not is_outage(error):
            raise
        log.warning("telling.put_off", what=what, error=repr(error))
        return False
    return True
