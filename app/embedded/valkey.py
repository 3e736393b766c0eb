"""The bundled Valkey: its data folder, its start, its address. Never opens a lasting connection of its own.

It listens on a unix socket in a closed folder and on no port, and keeps an append-only file. The file reaches the disk
once a second: it outlives a killed process, but after the machine itself went down its last second may be missing, and
nothing tells. A Valkey that is a second old gives offsets out twice and forgets sanctions, so after a boot it starts
empty and is filled from Postgres, which is certain. With a file that reaches the disk before each answer a crowd would
lose a twentieth of its holds a second (bench/flash_sales), but Valkey then ends itself when the disk is full, where now
it refuses to write and goes on when there is room; and no hold would be saved, since the gate of a server that was
started again is rebuilt from Postgres anyway.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Final

from app.embedded.binaries import valkey_server
from app.embedded.child import spawn
from app.embedded.postgres import ServerFailedError

MAX_CLIENTS: Final = 2000
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")  # random(4); only Linux has it


def this_boot() -> str:
    """What tells this run of the machine from others; empty where the system has no such thing."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class EmbeddedValkey:
    """One server with its files in `folder`/valkey and its socket in `sockets`. One owner at a time."""

    end_signal: Final = signal.SIGTERM  # writes out the append-only file first

    def __init__(self, folder: Path, sockets: Path, boot: str | None = None) -> None:
        self._boot = this_boot() if boot is None else boot
        self.files = folder / "valkey"
        self.log = folder / "valkey.log"
        self._socket = sockets / "valkey.sock"

    @property
    def url(self) -> str:
        """The address for redis-py."""
        return f"unix://{self._socket}"

    def prepare(self) -> None:
        """Makes the folder, and empties one that another boot of the machine has written."""
        written_under = self.files / "boot"
        if self.files.exists() and (not written_under.exists() or written_under.read_text() != self._boot):
            shutil.rmtree(self.files)
        self.files.mkdir(mode=0o700, exist_ok=True)
        written_under.write_text(self._boot, encoding="ascii")

    def start(self) -> subprocess.Popen[bytes]:
        """Starts the server; it is ready when `is_ready` says so."""
        self._socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            return spawn(
                [
                    valkey_server(),
                    *("--dir", self.files, "--unixsocket", self._socket, "--unixsocketperm", "700", "--port", "0"),
                    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no"),
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
