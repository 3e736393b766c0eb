"""The processes of a measurement: a server on one core, publisher and viewers on the other, and what each consumed."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bench.relay import janus
from bench.relay.native import OUT
from tests.running import free_port

ROOT = Path(__file__).parents[2]
SERVER_CORE, OTHER_CORE = 0, 1
END_GUARD_S = 5
SHOW = "bench"
SETTLE_S = 3.0  # by then everybody has caught up


class Process:
    """A child on one core that is spoken to in lines."""

    def __init__(self, command: Sequence[str], core: int, **environment: str) -> None:
        self.log = (OUT / "relay.log").open("ab")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
        )
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(self.process.pid, {cores[core % len(cores)]})

    def line(self) -> str:
        """The next line that it says; RuntimeError when it ended instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended; see {self.log.name}")
        return line.strip()

    def ask(self, command: Any = None) -> dict[str, Any]:
        """Its answer to a command."""
        self.say(command)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Its answer to what was said before."""
        return dict(json.loads(self.line()))

    def say(self, command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")

    def cpu_s(self) -> float:
        """CPU seconds of all its threads so far, by its own clock (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def rss_kib(self) -> int:
        """What it has in memory."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def end(self) -> None:
        """Ends it, at last by force."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(END_GUARD_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def start(core: int, module: str, *arguments: Any, **environment: str) -> Process:
    """A module of this bench, once it has said its first line."""
    process = Process([sys.executable, "-m", f"bench.relay.{module}", *map(str, arguments)], core, **environment)
    try:
        process.line()
    except BaseException:
        process.end()
        raise
    return process


class Site:
    """A server with its publisher and viewers. `kind`: ours, janus or limit."""

    def __init__(self, kind: str, address: str, **environment: str) -> None:
        self.kind = kind
        self.address = address
        self.port = free_port()
        self.processes: list[Process] = []
        self.http = httpx.Client()
        try:
            self.server = getattr(self, f"_start_{kind}")(environment)
        except BaseException:
            self.end()
            raise

    def _start_ours(self, environment: dict[str, str]) -> Process:
        self.control = control = f"http://127.0.0.1:{self.port}"
        server = self.python(
            SERVER_CORE,
            "ours",
            MEDIA_PORT=str(self.port),
            MEDIA_ADDRESS=self.address,
            MEDIA_CONTROL_URL=control,
            **environment,
        )
        self.publisher = self.python(OTHER_CORE, "publisher", "ours", control, self.address, SHOW)
        self.viewers = self.python(OTHER_CORE, "viewers", self.address, "ours", control, SHOW)
        return server

    def _start_janus(self, _: dict[str, str]) -> Process:
        command = janus.configure(OUT / "janus", self.address, self.port, 1)
        server = Process(command, SERVER_CORE)
        self.processes.append(server)
        self.viewers = self.python(
            OTHER_CORE, "viewers", self.address, "janus", f"http://{self.address}:{self.port}/janus"
        )
        self.publisher = self.python(OTHER_CORE, "publisher", "rtp", self.address, self.port + 1, self.port + 2)
        return server

    def _start_limit(self, _: dict[str, str]) -> Process:
        self.viewers = self.python(OTHER_CORE, "viewers", self.address, "limit")
        server = Process([sys.executable, "-m", "bench.relay.limit", self.address, str(self.port)], SERVER_CORE)
        self.processes.append(server)
        return server

    def python(self, core: int, module: str, *arguments: Any, **environment: str) -> Process:
        """A module of this bench that ends with the site."""
        process = start(core, module, *arguments, **environment)
        self.processes.append(process)
        return process

    def join(self, count: int) -> dict[str, Any]:
        """`count` more viewers."""
        joined = self.viewers.ask({"do": "join", "count": count})
        if self.kind == "limit":
            self.server.say([self.address, joined["ports"]])
            self.server.line()
            self.publisher = self.python(OTHER_CORE, "publisher", "rtp", self.address, self.port, self.port)
        return joined

    def watch(self, seconds: float) -> dict[str, Any]:
        """What the viewers got in so long, and what that cost the server."""
        self.viewers.ask({"do": "watch", "seconds": SETTLE_S})  # what came while they joined
        if self.kind == "ours":
            self.server.ask()  # the lag of joining is not that of playing
        sent = self.sent()
        began_s, before_s = time.monotonic(), self.server.cpu_s()
        seen = self.viewers.ask({"do": "watch", "seconds": seconds})
        cpu_s, took_s = self.server.cpu_s() - before_s, time.monotonic() - began_s
        seen |= {"us_per_packet": cpu_s / max(1, seen["packets"]) * 1e6, "load": cpu_s / took_s}
        if self.kind == "ours":
            seen |= self.server.ask() | {key: value - sent[key] for key, value in self.sent().items()}
        return seen

    def sent(self) -> dict[str, int]:
        """Our relay's own counters; the others have none that could be asked."""
        if self.kind != "ours":
            return {}
        figures = self.http.get(f"{self.control}/stats").json()
        return {"sent": figures["datagrams_out"], "dropped": figures["dropped"]}

    def end(self) -> None:
        self.http.close()
        for process in reversed(self.processes):
            process.end()
