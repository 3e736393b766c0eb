"""The worker's rounds: sales move by the clock, overdue holds end, live pools' gates follow Postgres.

Each round may run in several workers at once and may die anywhere: the next one does the rest.
"""

from typing import Any, Final

from app.flash_sales import sale_store
from app.flash_sales.gate_wire import DUE_NEVER_MS, gate_keys
from app.flash_sales.hold_index import BUSY_POOLS_KEY, HELD_POOLS_KEY, POOL_NOTED_S
from app.flash_sales.moment import valkey_now_ms
from app.flash_sales.parts import FlashSales
from app.flash_sales.pool_store import live_pools, read_pool
from app.flash_sales.rebuild import gate_differs, recount_gate
from app.flash_sales.sale_rules import OPEN_STATES, SaleState, event_due
from app.flash_sales.sales import change, say_sale, wind_up

DUE_MAX: Final = 500


async def move_sales(sales: FlashSales) -> None:
    """Starts, sells out, restocks and ends sales; brings the units of those that are over back."""
    rows = await sale_store.unfinished_sales(sales.pg)
    if not rows:
        return
    now_ms = await valkey_now_ms(sales.valkey)
    for row in rows:
        state = SaleState(row.view.state)
        if state not in OPEN_STATES:
            await wind_up(sales, row, cancelled=state is SaleState.CANCELLED)
            continue
        event = event_due(
            state,
            now_ms=now_ms,
            starts_at_ms=row.view.starts_at_ms,
            ends_at_ms=row.view.ends_at_ms,
            countdown_ms=row.view.countdown_s * 1000,
            allotment=row.view.allotment,
            sold=row.sold,
        )
        if event is not None:
            await change(sales, row, event, now_ms)


async def end_overdue_holds(sales: FlashSales) -> None:
    """Touches each pool whose first hold is overdue: hold.lua ends it, the voice tells owner and room."""
    now_ms = await valkey_now_ms(sales.valkey)
    due: list[Any] = await sales.valkey.zrangebyscore(HELD_POOLS_KEY, "-inf", now_ms, start=0, num=DUE_MAX)
    for name in due:
        pool = name.decode()
        await sales.gate.look(pool)
        if not await _note_next(sales, pool):
            await sales.valkey.zrem(HELD_POOLS_KEY, pool)
            await _note_next(sales, pool)  # taken between the look and the removal
    await _look_at_busy_pools(sales, now_ms)


async def _look_at_busy_pools(sales: FlashSales, now_ms: int) -> None:
    """Those where the last that was paid for at once is overdue: had its process died, nobody would have ended it."""
    quiet_since_ms = now_ms - 2 * int(POOL_NOTED_S * 1000)
    due: list[Any] = await sales.valkey.zrangebyscore(
        BUSY_POOLS_KEY, "-inf", quiet_since_ms, start=0, num=DUE_MAX, withscores=True
    )
    for name, _ in due:
        await sales.gate.look(name.decode())
        await _note_next(sales, name.decode())
    if due:  # but for those that were noted again meanwhile
        await sales.valkey.zremrangebyscore(BUSY_POOLS_KEY, "-inf", due[-1][1])


async def _note_next(sales: FlashSales, pool: str) -> bool:
    due: Any = await sales.valkey.hget(gate_keys(pool).config, "due")
    if due is None or int(due) >= DUE_NEVER_MS:
        return False
    await sales.valkey.zadd(HELD_POOLS_KEY, {pool: int(due)})
    return True


async def follow_postgres(sales: FlashSales) -> None:
    """Mends gates of live pools that missed a change, and says their state again in rooms that may have lost it."""
    for pool in await live_pools(sales.pg):
        config = await read_pool(sales.pg, pool)
        if config is not None and await gate_differs(sales.valkey, config):
            await sales.gate.sync(pool)
        result = (await sales.gate.look(pool)).result
        # Where the counts differ it is mostly for an order of this very moment; else the gate has lost some.
        differ = config is not None and result is not None and result.sold != config.sold
        if differ and await recount_gate(sales.pg, sales.valkey, pool):
            result = (await sales.gate.look(pool)).result
        if result is not None:
            await sales.voice.say_again(pool, result)
    for row in await sale_store.unfinished_sales(sales.pg):
        await say_sale(sales, row)


async def retire_sales(sales: FlashSales) -> None:
    """Takes sales that were over a while ago from people's pages. No later version of such a sale will come."""
    for row in await sale_store.gone_sales(sales.pg):
        await sales.rooms.set_state(row.view.show, f"sale:{row.view.id}", row.view.version + 1, None)
        await sales.rooms.set_state(row.view.show, f"pool:{row.view.pool}", 2**53 - 1, None)
        await sales.rooms.set_state(row.view.show, f"line:{row.view.pool}", 2**53 - 1, None)
