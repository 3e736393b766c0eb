"""The processes of a measurement: a server on one core, the generator on the other, and what the server consumed."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OUT = ROOT / "bench" / "out"
START_GUARD_S = 60
END_GUARD_S = 20
SERVER_CORE = 0
GENERATOR_CORE = 1
OPEN_FILES = 20_000


def _pin(process: subprocess.Popen, core: int) -> None:
    """Before it has threads or children of its own, which get the core from it."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, {cores[core % len(cores)]})


def free_ports() -> int:
    """A port such that it and the next are free at this moment."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def _tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in _read(task / "children").split()]
    return [pid, *(below for child in children for below in _tree(child))]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


class ServerProcess:
    """A server and its descendants. `cpu_s` and `rss_kib` count all of them."""

    def __init__(self, command: Sequence[str], port: int, environment: dict[str, str] | None = None) -> None:
        self.port = port
        self.log = (OUT / "server.log").open("ab")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        _pin(self.process, SERVER_CORE)

    def wait_listening(self) -> None:
        """Returns when the port answers."""
        deadline = time.monotonic() + START_GUARD_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"{self.process.args} did not start; see {self.log.name}")

    def cpu_s(self) -> float:
        """CPU seconds of all processes so far, by each one's own clock (clock_getcpuclockid(3))."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in _tree(self.process.pid))

    def rss_kib(self) -> int:
        """What all processes have in memory."""
        lines = [line for pid in _tree(self.process.pid) for line in _read(Path(f"/proc/{pid}/status")).splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def end(self) -> None:
        """Ends the server, if need be by force."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(END_GUARD_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Generator:
    """bench/rooms/load.c at work: one command, one answer."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [OUT / "load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        _pin(self.process, GENERATOR_CORE)

    def do(self, command: str, *more: str) -> dict[str, Any]:
        """The answer to a command."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n".join([command, *more]) + "\n")
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line that it says; `again` says two."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the generator ended")
        return dict(json.loads(line))

    def end(self) -> None:
        """Lets it go: with its standard input it ends."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(END_GUARD_S)
