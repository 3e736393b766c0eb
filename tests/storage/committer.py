"""A process that commits orders: told its attempts, it waits for "go" and commits them in small batches."""

import asyncio
import json
import sys

import msgspec

from app.checkout.commit import commit_orders, commit_with_coupons
from app.storage.group_commit import GroupCommit
from app.storage.own_connection import OwnConnection
from app.storage.postgres import open_pool

BATCH_MAX = 3


def say(line: str) -> None:
    """One line to the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url: str, attempts: list[str], *, coupons: bool) -> None:
    pg = await open_pool(url)
    own = OwnConnection(pg)
    commit = commit_with_coupons if coupons else commit_orders
    group = GroupCommit(lambda batch: commit(own, batch), batch_max=BATCH_MAX)
    await (await own.enter()).execute("SELECT 1")
    say("ready")
    sys.stdin.readline()
    outcomes = await asyncio.gather(*map(group.submit, attempts))
    say(msgspec.json.encode(outcomes).decode())
    await own.close()
    await pg.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), coupons=sys.argv[3:] == ["coupons"]))
