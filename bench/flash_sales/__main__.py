"""`make bench-flash-sales`: holds a second, ours beside what plain Valkey calls allow. See README.md.

The last line is one JSON object. The run fails when, after any turn, the pool's books do not balance.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from bench.flash_sales import contenders
from bench.flash_sales.contenders import POOL, Taken
from bench.flash_sales.server import Server, choose_cores, pin, prefer, preferred_session, waited_s
from bench.verdict import tell_verdict

ROUNDS = int(os.environ.get("ROUNDS") or 5)
TURN_S = float(os.environ.get("TURN_S") or 2)
EVALSHA_HOLDS = 60_000
BATCH_HOLDS = 1000 * contenders.BATCH
TARGETS = {
    "holds_over_evalsha": (1.7, ">="),
    "holds_over_batch_limit": (0.45, ">="),
    "p99_ms_open_loop_80": (10, "<="),
    "appendfsync_always_ratio": (0.9, ">="),
    "holds_per_s": None,
}
Turn = Callable[[Server], Taken]


def turns(closed: dict[str, Taken]) -> dict[str, tuple[str, Turn]]:
    """A round: the server's appendfsync and the turn, in this order. `closed` is filled on the way."""
    return {
        "evalsha": ("everysec", lambda server: contenders.evalsha(server, EVALSHA_HOLDS)),
        "batches alone": ("everysec", lambda server: contenders.batches(server, BATCH_HOLDS)),
        "redis-py, 64": ("everysec", lambda server: contenders.one_by_one(server, TURN_S)),
        "ours, 1": ("everysec", lambda server: contenders.ours(server, 1, TURN_S)),
        "ours, 64": ("everysec", lambda server: contenders.ours(server, 64, TURN_S)),
        "ours, 256": ("everysec", lambda server: contenders.ours(server, 256, TURN_S)),
        "ours, open 80 %": (
            "everysec",
            lambda server: contenders.ours_open(server, 0.8 * closed["ours, 256"].per_s, TURN_S),
        ),
        "ours, 4096": ("everysec", lambda server: contenders.ours(server, 4096, TURN_S)),
        "ours, 4096, always": ("always", lambda server: contenders.ours(server, 4096, TURN_S)),
        "ours, 256, always": ("always", lambda server: contenders.ours(server, 256, TURN_S)),
        "ours, 1, always": ("always", lambda server: contenders.ours(server, 1, TURN_S)),
    }


def one_round(servers: dict[str, Server]) -> dict[str, Taken]:
    """Every turn once, each on an empty server, its books checked."""
    taken: dict[str, Taken] = {}
    for name, (appendfsync, turn) in turns(taken).items():
        server = servers[appendfsync]
        server.put_pool(POOL)
        before_s = waited_s(server.pid) + waited_s(os.getpid())
        done = turn(server)
        waited = waited_s(server.pid) + waited_s(os.getpid()) - before_s
        taken[name] = replace(done, waited_share=waited / done.seconds)
        books = server.books(POOL, taken[name].holds)
        if not books.balanced:
            raise SystemExit(f"{name}: the books do not balance: {books}")
    return taken


def ratios(taken: dict[str, Taken]) -> dict[str, float]:
    """The last line's figures, of one round."""
    ours = taken["ours, 256"].per_s
    return {
        "holds_over_evalsha": ours / taken["evalsha"].per_s,
        "holds_over_batch_limit": ours / taken["batches alone"].per_s,
        "p99_ms_open_loop_80": taken["ours, open 80 %"].p99_ms,
        "appendfsync_always_ratio": taken["ours, 4096, always"].per_s / taken["ours, 4096"].per_s,
        "holds_per_s": ours,
    }


def table(rounds: list[dict[str, Taken]]) -> list[str]:
    """Medians of every turn, with the smallest and the largest."""
    lines = [f"{'':20}{'holds/s':>10}{'least':>10}{'most':>10}{'waited':>10}{'p99 ms':>10}"]
    for name in rounds[0]:
        rates = [one[name].per_s for one in rounds]
        waits = statistics.median(one[name].p99_ms for one in rounds)
        shown = "" if waits != waits else f"{waits:10.2f}"
        waited = statistics.median(one[name].waited_share for one in rounds)
        of_rates = f"{statistics.median(rates):10.0f}{min(rates):10.0f}{max(rates):10.0f}"
        lines.append(f"{name:20}{of_rates}{waited:9.0%} {shown}")
    return lines


def main() -> int:
    """Measures, prints."""
    began_s = time.monotonic()
    cores = choose_cores()
    print(f"server on core {cores.server}, where a sync takes {cores.sync_ms:.2f} ms; asker on core {cores.client}")
    servers = {appendfsync: Server(appendfsync, cores.server) for appendfsync in ("everysec", "always")}
    pin(0, cores.client)
    prefer(os.getpid())
    try:
        rounds = []
        with preferred_session():
            for number in range(1, ROUNDS + 1):
                rounds.append(one_round(servers))
                said = {key: round(value, 2) for key, value in ratios(rounds[-1]).items()}
                print(f"round {number}: {json.dumps(said)}", flush=True)
    finally:
        for server in servers.values():
            server.close()
    print("\n".join(["", *table(rounds), "", f"{time.monotonic() - began_s:.0f} s"]))
    told = [ratios(one) for one in rounds]
    result = {key: statistics.median(one[key] for one in told) for key in TARGETS}
    tell_verdict(TARGETS, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
