"""A process that commits orders: told its attempts, it waits for "go" and commits them in small batches.

With `blind` it does what a commit must never do: it reads the stock before it locks the pools.
"""

import asyncio
import json
import sys

import msgspec

from app import clock
from app.checkout import commit
from app.flash_sales.moment import from_ms
from app.storage.group_commit import GroupCommit
from app.storage.postgres import open_pool

BATCH_MAX = 3


def decide_before_the_lock() -> None:
    """Plants the fault: pools and buyers are read first, locked later."""
    lock, read = commit._LOCK_POOLS, commit._read_stock
    commit._LOCK_POOLS = lock.replace("FOR NO KEY UPDATE", "")

    async def read_then_lock(connection, rows):
        stock = await read(connection, rows)
        await connection.execute(lock, [row["id"] for row in rows])
        return stock

    commit._read_stock = read_then_lock


def say(line: str) -> None:
    """One line to the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url: str, attempts: list[str]) -> None:
    pg = await open_pool(url)
    group = GroupCommit(lambda batch: commit.commit_orders(pg, batch), batch_max=BATCH_MAX)
    wishes = [commit.Commitment(one, clock.new_id(), from_ms(clock.now_ms())) for one in attempts]
    await pg.execute("SELECT 1")
    say("ready")
    sys.stdin.readline()
    outcomes = await asyncio.gather(*map(group.submit, wishes))
    say(msgspec.json.encode(outcomes).decode())
    await pg.close()


if __name__ == "__main__":
    if sys.argv[2] == "blind":
        decide_before_the_lock()
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[3])))
