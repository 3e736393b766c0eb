"""Brings a pool's gate in line with Postgres: the whole gate under a new epoch, or just its configuration.

Postgres decides, the gate follows; nothing here ever copies the other way.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import asyncpg
from redis.asyncio import Redis

from app.flash_sales import pool_store
from app.flash_sales.gate_wire import PoolConfig, encode, encode_label, gate_keys, keys_before_shards
from app.storage.valkey import SERVER_LUA, Argument, Script

SHARDS_LUA: Final = Path(__file__).with_name("shards.lua")
INSTALL_SCRIPT: Final = Script(Path(__file__).with_name("install.lua"), before=(SERVER_LUA, SHARDS_LUA))
_POOL: Final = Script(Path(__file__).with_name("pool.lua"), before=(SERVER_LUA,))
_LOCK_SPACE: Final = 0x706F6F6C  # advisory locks of this module, beside those of others

# Whoever comes second waits here, and finds the gate in place. The lock outlives the transaction on purpose: until
# install.lua has run, a second rebuild would raise the epoch again and lose the holds granted in between.
_QUEUE_UP: Final = "SELECT pg_advisory_lock($1, hashtext($2))"
_NEXT: Final = "SELECT pg_advisory_unlock($1, hashtext($2))"


async def rebuild_gate(pg: asyncpg.Pool, valkey: Redis, pool: str) -> bool:
    """Makes sure that the gate of `pool` is in place; False when there is no such pool."""
    async with pg.acquire() as connection:
        await connection.execute(_QUEUE_UP, _LOCK_SPACE, pool)
        try:
            return await _rebuild_alone(connection, valkey, pool)
        finally:
            if not connection.is_closed():
                await connection.execute(_NEXT, _LOCK_SPACE, pool)


async def _rebuild_alone(connection: asyncpg.pool.PoolConnectionProxy, valkey: Redis, pool: str) -> bool:
    config = await pool_store.read_pool(connection, pool)
    if config is None:
        return False
    if _text(await _POOL(valkey, [gate_keys(pool).config], ["look", config.epoch])) == "done":
        return True
    async with connection.transaction():
        # FOR UPDATE waits for payment attempts being written and for commits; both look at the epoch again after.
        await pool_store.lock_pool(connection, pool)
        await pool_store.raise_epoch(connection, pool)
        config = await pool_store.read_pool(connection, pool)
        assert config is not None
        holds = await pool_store.open_attempts(connection, pool)
        counts = Counter(await pool_store.buyers(connection, pool))
    held = sum(record.quantity for record in holds)
    for record in holds:
        counts[record.person] += record.quantity
    left = config.allotment - config.sold - held
    values = (
        left,
        held,
        config.sold,
        config.allotment,
        config.price_minor,
        config.per_buyer_limit,
        config.starts_at_ms,
        config.ends_at_ms,
        config.state,
        encode_label(config.label),
    )
    args: list[Argument] = [
        config.epoch,
        encode(values),
        encode(holds),
        encode(list(counts.items())),
    ]
    await INSTALL_SCRIPT(valkey, gate_keys(pool).all, args)
    await valkey.unlink(*keys_before_shards(pool))
    return True


async def sync_gate(pg: asyncpg.Pool, valkey: Redis, pool: str) -> None:
    """Tells the gate the pool's price, window, limit, state and allotment; rebuilds it when it is missing."""
    async with pg.acquire() as connection, connection.transaction():
        # Under the lock, what is said last is what was written last.
        if not await pool_store.lock_pool(connection, pool):
            return
        config = await pool_store.read_pool(connection, pool)
        assert config is not None
        answer = await set_gate(valkey, config)
    if answer == "stale":
        await rebuild_gate(pg, valkey, pool)


async def set_gate(valkey: Redis, config: PoolConfig) -> str:
    """Says "done", or "stale" when the gate is missing or of another epoch. The caller holds the pool's lock."""
    args: list[Argument] = [
        "set",
        config.epoch,
        config.price_minor,
        config.per_buyer_limit,
        config.starts_at_ms,
        config.ends_at_ms,
        config.state,
        encode_label(config.label),
        config.allotment,
    ]
    return _text(await _POOL(valkey, [gate_keys(config.pool).config], args))


async def gate_differs(valkey: Redis, config: PoolConfig) -> bool:
    """True when the gate says something else than Postgres did a moment ago: worth a sync."""
    fields = ["epoch", "allotment", "price", "limit", "starts", "ends", "state", "label"]
    there: list[Any] = await valkey.hmget(gate_keys(config.pool).config, fields)
    wanted = [
        config.epoch,
        config.allotment,
        config.price_minor,
        config.per_buyer_limit,
        config.starts_at_ms,
        config.ends_at_ms,
        config.state,
        encode_label(config.label),
    ]
    return [None if one is None else one.decode() for one in there] != [str(one) for one in wanted]


async def recount_gate(pg: asyncpg.Pool, valkey: Redis, pool: str) -> bool:
    """Rebuilds a gate that counts other sold units than Postgres and has nothing more to hear of; True when it did.

    So is a gate that Valkey brought back from a moment ago (a power cut, a failover): its epoch is right, yet orders
    that it had been told of are forgotten, and it would grant their units again.
    """
    async with pg.acquire() as connection, connection.transaction():
        if not await pool_store.lock_pool(connection, pool):
            return False
        config = await pool_store.read_pool(connection, pool)
        assert config is not None
        there: list[Any] = await valkey.hmget(gate_keys(pool).config, ["epoch", "sold"])
        epoch, sold = there
        if epoch is None or int(epoch) != config.epoch or int(sold) == config.sold:
            return False
        if await pool_store.untold_orders(connection, pool):
            return False
        await pool_store.raise_epoch(connection, pool)
    return await rebuild_gate(pg, valkey, pool)


async def shrink_gate(valkey: Redis, pool: str, epoch: int, units: int) -> str:
    """Takes free units out: "done", "short" or "stale". The caller holds the pool's lock and writes Postgres next."""
    return _text(await _POOL(valkey, [gate_keys(pool).config], ["shrink", epoch, units]))


async def close_gate(valkey: Redis, pool: str, epoch: int) -> str:
    """Ends all granting for good: "done", "short" while a hold is open, or "stale"."""
    return _text(await _POOL(valkey, [gate_keys(pool).config], ["close", epoch]))


def _text(answer: bytes | str) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer
