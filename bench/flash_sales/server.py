"""A bundled Valkey on a core of its own, a pool in it, and the pool's books.

Owns the server's process. The pool is put there by the product's own scripts; no Postgres is needed, because a gate
that is in place never asks for it.
"""

import contextlib
import math
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import redis

from app.embedded.binaries import valkey_server
from app.flash_sales.gate import HOLD_SCRIPT
from app.flash_sales.gate_wire import HoldRecord, PoolLabel, encode, encode_label, gate_keys
from app.flash_sales.rebuild import INSTALL_SCRIPT

START_GUARD_S = 20
SYNCS = 200
SYNC_BYTES = 36_000  # what 128 holds append to the file
ALLOTMENT = 10**9
LIMIT = 5
LABEL = PoolLabel(
    shop="c5t1q0d8w7xz",
    show="k3m9v2h6p4rj",
    sale="n8b7g1y0s5fa",
    product="e2w4x6z8q0tc",
    variant="j1r3v5h7m9kp",
    title="Stoneware bowl, blue",
    currency="EUR",
    list_minor=4900,
)


@dataclass(frozen=True)
class Cores:
    """Who runs where, and how long a sync of a batch's bytes takes on the server's core."""

    server: int
    client: int
    sync_ms: float


def choose_cores() -> Cores:
    """The server where the disk answers soonest: on the core that its interrupts do not come to, a sync takes up to
    twice as long, which a server that is pinned nowhere does not have to bear.
    """
    cores = sorted(os.sched_getaffinity(0))
    try:
        took_ms = {core: _sync_ms(core) for core in cores}
    finally:
        os.sched_setaffinity(0, cores)
    server = min(cores, key=took_ms.__getitem__)
    return Cores(server, next((core for core in cores if core != server), server), took_ms[server])


def _sync_ms(core: int) -> float:
    pin(0, core)
    took = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(SYNC_BYTES))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def pin(pid: int, core: int) -> None:
    """Puts a process, before it has threads of its own, on one core."""
    os.sched_setaffinity(pid, {core})


def prefer(pid: int) -> None:
    """Before all other work of the machine, where we may: what others do meanwhile is not what a hold costs."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)


@contextlib.contextmanager
def preferred_session() -> Iterator[None]:
    """The same for our session: Linux may share the cores between sessions first (sched_autogroup), and then a
    process' own priority counts within its session alone.
    """
    group = Path("/proc/self/autogroup")
    try:
        before = group.read_text().split()[-1]
        group.write_text("-20")
    except (OSError, IndexError):
        yield
        return
    try:
        yield
    finally:
        group.write_text(before)


def waited_s(pid: int) -> float:
    """How long this process' first thread was ready to run and had no core, ever; nan where Linux does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return math.nan


@dataclass(frozen=True)
class Books:
    """A pool as its keys tell it, each figure counted from another key. `told` is what callers were granted."""

    left: int
    held: int
    sold: int
    records: int
    live: int
    by_buyer: int
    told: int

    @property
    def balanced(self) -> bool:
        """True when every way of counting gives the same."""
        units = {self.held, self.records, self.live, self.by_buyer, self.told}
        return len(units) == 1 and self.left + self.held + self.sold == ALLOTMENT


class Server:
    """One Valkey, pinned, with its files in a folder that is gone afterwards."""

    def __init__(self, appendfsync: str, core: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hwk-bench-"))
        self.socket = str(self._folder / "valkey.sock")
        command = [
            valkey_server(),
            *("--dir", self._folder, "--unixsocket", self.socket, "--port", "0", "--save", "", "--daemonize", "no"),
            *("--appendonly", "yes", "--appendfsync", appendfsync, "--loglevel", "warning"),
            # A rewrite of the file would fall into one contender's turn and not into another's.
            *("--auto-aof-rewrite-percentage", "0"),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        pin(self._process.pid, core)
        prefer(self._process.pid)
        self.client = redis.Redis(unix_socket_path=self.socket)
        self._wait_ready()
        self._install = self.client.register_script(INSTALL_SCRIPT.source)
        self.hold_sha = self.client.script_load(HOLD_SCRIPT.source)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_GUARD_S
        while time.monotonic() < deadline:
            try:
                self.client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("Valkey did not start")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def put_pool(self, pool: str) -> None:
        """An open pool with a limit per buyer and more units than anybody can take, in a server with nothing else."""
        self.client.execute_command("FLUSHALL", "SYNC")  # else it is freed during the turn, on the same core
        values = (ALLOTMENT, 0, 0, ALLOTMENT, 2900, LIMIT, 1, 2**52, "open", encode_label(LABEL))
        self._install(gate_keys(pool).all, [1, encode(values), encode([]), encode([])])

    def books(self, pool: str, told: int) -> Books:
        """Reads everything. Every hold of these measurements is of one unit."""
        keys = gate_keys(pool)
        left, held, sold = (int(one) for one in self.client.hmget(keys.config, "left", "held", "sold"))
        records = (msgspec.msgpack.decode(one, type=HoldRecord) for key in keys.holds for one in self.client.hvals(key))
        return Books(
            left=left,
            held=held,
            sold=sold,
            records=sum(one.quantity for one in records if one.state == "held"),
            live=sum(self.client.zcard(key) for key in keys.live),
            by_buyer=sum(int(one) for key in keys.buyers for one in self.client.hvals(key)),
            told=told,
        )

    def close(self) -> None:
        """Ends the server and removes its files."""
        self.client.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(START_GUARD_S)
        shutil.rmtree(self._folder, ignore_errors=True)
