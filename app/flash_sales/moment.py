"""The clock of holds and sales: Valkey's. Every process and every script read the same one."""

from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis


async def valkey_now_ms(valkey: Redis) -> int:
    """Unix time in milliseconds, as hold.lua sees it."""
    seconds, microseconds = await valkey.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def from_ms(moment_ms: int) -> datetime:
    """Unix milliseconds as an aware datetime, exactly."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC) + timedelta(milliseconds=moment_ms % 1000)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds, exactly: no float in between."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1000 + moment.microsecond // 1000
