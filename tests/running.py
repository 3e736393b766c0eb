"""A whole Hawker as child processes: own data folder, free ports; its parts can be killed and are waited for."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx

from app.embedded.folder import sockets_folder
from app.embedded.postgres import DATABASE, USER
from tests.waiting import GUARD_S, eventually_now

ROOT = Path(__file__).parents[1]
UP_GUARD_S = 90
DOWN_GUARD_S = 60


# Below what kernels give to connections (Linux: from 32768 on): between a look and the server's start, or while a
# server is away to be started again, one of thousands of connections would take its number. Each process begins
# elsewhere.
PORTS = range(10_240, 32_760)
APART = 8  # a Hawker with several media processes takes the next ones, too
_places = itertools.count(os.getpid() * 1_709, APART)


def free_port() -> int:
    """A number that is free for TCP and for UDP, and is given to nobody else of this run."""
    while True:
        port = PORTS[next(_places) % len(PORTS)]
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


class RunningHawker:
    """`start()` it, talk to `base_url`, `stop()` it. `log` has every line that it wrote."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log: list[str] = []
        self._environment = environment
        self._process: subprocess.Popen | None = None

    @property
    def postgres_url(self) -> str:
        """The address of its database."""
        return f"postgresql://{USER}@/{DATABASE}?host={sockets_folder(self.data.resolve())}"

    @property
    def valkey_url(self) -> str:
        """The address of its Valkey."""
        return f"unix://{sockets_folder(self.data.resolve()) / 'valkey.sock'}"

    def start(self, *arguments: str, wait: bool = True) -> "RunningHawker":
        """Starts everything; returns when it says that it is up, unless told not to wait. `arguments` are serve's."""
        own = {"HAWKER_DATA": str(self.data), "PORT": str(self.port), "HOST": "127.0.0.1", "PYTHONUNBUFFERED": "1"}
        inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve", *arguments],
            cwd=ROOT,
            env={**inherited, **own, **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        already = len(self.log)
        threading.Thread(target=self._collect, args=(self._process.stdout,), daemon=True).start()
        if wait:
            eventually_now(lambda: self._is_up(already), UP_GUARD_S, "Hawker up")
        return self

    def _collect(self, lines) -> None:
        for line in lines:
            self.log.append(line.rstrip())

    def _is_up(self, already: int) -> bool:
        assert self._process.poll() is None, "Hawker ended:\n" + "\n".join(self.log[already:])
        return any("hawker: up in" in line for line in self.log[already:])

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Ends the supervisor and answers with its exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)  # a test that failed may have left it stopped
            self._process.send_signal(sign)
        status = self._process.wait(DOWN_GUARD_S)
        self._process = None
        return status

    @property
    def supervisor_pid(self) -> int:
        """The supervisor's process."""
        return self._process.pid

    def pid_of(self, name: str) -> int:
        """The process of `web`, `media`, `worker`, `postgres` or `valkey`."""
        return int((self.data / "children" / name).read_text().split()[0])

    def kill(self, name: str, sign: signal.Signals = signal.SIGKILL) -> int:
        """Kills one part; answers with the process that it was."""
        pid = self.pid_of(name)
        os.kill(pid, sign)
        return pid

    def wait_replaced(self, name: str, pid: int, guard_s: float = UP_GUARD_S) -> None:
        """Returns when another process does the work of `pid` and Hawker is ready."""
        eventually_now(lambda: self.has_replaced(name, pid) and self.is_ready(), guard_s, f"{name} started again")

    def has_replaced(self, name: str, pid: int) -> bool:
        """Whether another process than `pid` is there for the part; between the two there is none."""
        try:
            return self.pid_of(name) != pid
        except FileNotFoundError:
            return False

    def is_ready(self) -> bool:
        """What /readyz says."""
        try:
            return httpx.get(self.base_url + "/readyz", timeout=GUARD_S).status_code == 200
        except httpx.TransportError:
            return False
