"""Who is measured: how each server is built, started and spoken to."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from bench.rooms.processes import OUT, START_GUARD_S, Generator, ServerProcess, free_ports

PEERS: Final = Path(__file__).parent / "peers"
INSTALLED: Final = OUT / "peers"
WHOLE_DATA: Final = OUT / "whole"
POSTERS: Final = 50
NUMBERS_PER_ROUND: Final = 1_000_000


def build_own() -> None:
    """Compiles what is in C."""
    OUT.mkdir(exist_ok=True)
    for name in ("load", "floor"):
        source = Path(__file__).parent / f"{name}.c"
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", OUT / name, source], check=True)


def build() -> None:
    """Compiles what is in C and installs the peers, where that was not done before."""
    build_own()
    INSTALLED.mkdir(exist_ok=True)
    if not (INSTALLED / "node_modules/ws").exists():
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--prefix", INSTALLED, "ws"], check=True)
    if not (INSTALLED / "py/ready").exists():
        subprocess.run([sys.executable, "-m", "venv", INSTALLED / "py"], check=True)
        pip = [INSTALLED / "py/bin/python", "-m", "pip", "install", "--quiet", "socketify"]
        subprocess.run(pip, check=True)
        (INSTALLED / "py/ready").touch()


@dataclass
class Contender:
    """A server at work, with the generator connected to it."""

    name: str
    command: list[str]
    feed: str = "ws"
    path: str = "/"
    joins: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, round_number: int) -> tuple[ServerProcess, Generator]:
        """Server and generator, the feed open. End both."""
        port = free_ports()
        command = [part.replace("PORT", str(port)) for part in self.command]
        ports = {"PORT": str(port), "FEED_PORT": str(port + 1)}
        environment = {"NODE_PATH": str(INSTALLED / "node_modules"), **ports, **self.environment}
        server = ServerProcess(command, port, environment)
        generator = Generator()
        try:
            server.wait_listening()
            if self.feed == "post":
                _wait_ready(port)
            generator.do(f"server 127.0.0.1 {port} {self.path} {self.joins}")
            if self.feed == "post":
                generator.do(f"number {round_number * NUMBERS_PER_ROUND + 1}")
                generator.do(f"feed post {port} {self.path} {POSTERS}", *cookies())
            else:
                generator.do(f"feed {self.feed} {port + (self.feed in ('raw', 'nats'))} /publish 1")
        except BaseException:
            generator.end()
            server.end()
            raise
        return server, generator


def contenders() -> dict[str, Contender]:
    """All of them, by name. NATS takes part where `nats-server` is installed (Debian has a package of that name)."""
    uws = [str(INSTALLED / "py/bin/python"), str(PEERS / "uws_room.py"), "PORT"]
    ws = ["node", str(PEERS / "ws_room.cjs"), "PORT"]
    found = [
        Contender("floor", [str(OUT / "floor"), "PORT"], feed="raw"),
        Contender("naive", [sys.executable, str(PEERS / "naive.py"), "PORT"]),
        Contender("ws", ws),
        Contender("ws_joined", [*ws, "joined"]),
        Contender("uws", uws),
        Contender("uws_joined", [*uws, "joined"]),
        Contender("nats", ["nats-server", "-c", str(PEERS / "nats.conf")], feed="nats", joins=2),
        Contender("ours", [sys.executable, "-m", "bench.rooms.fan_out", "PORT"], "raw", "/ws/shows/bench", joins=1),
        Contender(
            "whole",
            [sys.executable, "-m", "app", "serve"],
            "post",
            "/ws/shows/demo",
            joins=1,
            environment={"HAWKER_DATA": str(WHOLE_DATA), "DEMO": "0", "CHAT_PER_10_S": "1000", "HOST": "127.0.0.1"},
        ),
    ]
    return {one.name: one for one in found if one.name != "nats" or shutil.which("nats-server")}


def prepare_whole() -> None:
    """Gives the whole service a show and people: the demo's, made by a first run."""
    shutil.rmtree(WHOLE_DATA, ignore_errors=True)
    port = free_ports()
    environment = {"HAWKER_DATA": str(WHOLE_DATA), "PORT": str(port), "HOST": "127.0.0.1", "DEMO": "1"}
    server = ServerProcess([sys.executable, "-m", "app", "serve"], port, environment)
    try:
        server.wait_listening()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            lines = []
            for _ in range(POSTERS):
                client.cookies.clear()
                answer = client.post("/api/session", json={"demo": "viewer"})
                answer.raise_for_status()
                lines.append(answer.headers["set-cookie"].partition(";")[0])
    finally:
        server.end()
    _cookie_file().write_text("\n".join(lines))


def _wait_ready(port: int) -> None:
    """The supervisor listens before its web role answers."""
    deadline = time.monotonic() + START_GUARD_S
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=START_GUARD_S).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError("the whole service was not ready")


def _cookie_file() -> Path:
    return WHOLE_DATA / "posters"


def cookies() -> list[str]:
    """The posters' cookies, `name=value`."""
    return _cookie_file().read_text().splitlines()
