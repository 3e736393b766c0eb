"""The bundled Valkey: its data folder, its start, its address. Never opens a lasting connection of its own.

It listens on a unix socket in a closed folder and on no port, and keeps an append-only file that reaches the disk
before each answer: what was answered outlives a killed process and a power cut. A Valkey that came back a second old
would give offsets out twice and forget sanctions, and nothing would tell. One sync serves all that was asked in a turn
of its loop, so a crowd pays a twentieth for it (bench/flash_sales). When the disk is full it ends, and is started again
until there is room.
"""

import contextlib
import signal
import socket
import subprocess
from pathlib import Path
from typing import Final

from app.embedded.binaries import valkey_server
from app.embedded.child import spawn
from app.embedded.postgres import ServerFailedError

MAX_CLIENTS: Final = 2000


class EmbeddedValkey:
    """One server with its files in `folder`/valkey and its socket in `sockets`. One owner at a time."""

    end_signal: Final = signal.SIGTERM  # writes out the append-only file first

    def __init__(self, folder: Path, sockets: Path) -> None:
        self.files = folder / "valkey"
        self.log = folder / "valkey.log"
        self._socket = sockets / "valkey.sock"

    @property
    def url(self) -> str:
        """The address for redis-py."""
        return f"unix://{self._socket}"

    def prepare(self) -> None:
        """Makes the folder."""
        self.files.mkdir(mode=0o700, exist_ok=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the server; it is ready when `is_ready` says so."""
        self._socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            return spawn(
                [
                    valkey_server(),
                    *("--dir", self.files, "--unixsocket", self._socket, "--unixsocketperm", "700", "--port", "0"),
                    *("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"),
                    *("--maxclients", str(MAX_CLIENTS), "--maxmemory-policy", "noeviction"),
                    *("--loglevel", "warning", "--always-show-logo", "no"),
                ],
                end_signal=self.end_signal,
                output=log,
            )

    def is_ready(self, child: subprocess.Popen[bytes]) -> bool:
        """True once the server answers PING. Raises ServerFailedError when it has ended instead."""
        if child.poll() is not None:
            raise ServerFailedError(f"Valkey ended with {child.returncode}; see {self.log}")
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.settimeout(1)
            probe.connect(str(self._socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        return False
