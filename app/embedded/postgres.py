"""The bundled Postgres: its data folder, its start, its address. Never opens a connection of its own.

It listens on a unix socket in a closed folder and nowhere else, with every promise of durability left on.
"""

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from app.embedded.binaries import postgres_bin
from app.embedded.child import spawn
from app.embedded.footing import Footing, Stance, choose_stance
from app.embedded.processes import birth_of, command_of, end_stranger, number_is_taken

USER: Final = "hawker"
DATABASE: Final = "postgres"
MAX_CONNECTIONS: Final = 200
READY_LINE: Final = 7  # of postmaster.pid, counted from 0: the state of the server

_OPTIONS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": str(MAX_CONNECTIONS),
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}


class ServerFailedError(RuntimeError):
    """A bundled server did not come up; the message names its log."""


class EmbeddedPostgres:
    """One cluster in `folder`/postgres, with its socket in `sockets`. One owner at a time (app/embedded/folder.py)."""

    end_signal: Final = signal.SIGINT  # "fast" shutdown: open transactions are rolled back, then a checkpoint

    def __init__(self, folder: Path, sockets: Path, forced: Footing | None = None) -> None:
        self.cluster = folder / "postgres"
        self.log = folder / "postgres.log"
        self._sockets = sockets
        self._forced = forced
        self._bin = postgres_bin()

    @property
    def url(self) -> str:
        """The address of the database. Has no secret: the socket's folder is closed to others."""
        return f"postgresql://{USER}@/{DATABASE}?host={self._sockets}"

    def prepare(self) -> Stance:
        """Makes the cluster when there is none yet. An interrupted attempt leaves only a folder to throw away."""
        if self.cluster.exists():
            stance = choose_stance(self.cluster, self._bin / "postgres", self._forced)
            self._clear_stale_pid()
        else:
            stance = self._create()
        stance.own(self._sockets)
        return stance

    def _clear_stale_pid(self) -> None:
        """Removes a postmaster.pid whose number belongs to somebody else by now, or to a zombie.

        Postgres itself only sees that the number is taken and would refuse to start. A postmaster of this very
        cluster cannot be running by right, as we own the folder: it is ended.
        """
        note = self.cluster / "postmaster.pid"
        try:
            pid = int(note.read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return
        if self._is_our_postmaster(pid):
            end_stranger(pid, self.end_signal)
        elif number_is_taken(pid):
            note.unlink(missing_ok=True)

    def _is_our_postmaster(self, pid: int) -> bool:
        return birth_of(pid) is not None and str(self.cluster) in command_of(pid)

    def _create(self) -> Stance:
        raw = self.cluster.with_name("postgres.new")
        if raw.exists():
            shutil.rmtree(raw)
        raw.mkdir(mode=0o700)
        stance = choose_stance(raw, self._bin / "postgres", self._forced)
        stance.own(raw)
        done = subprocess.run(  # noqa: S603 - our own program, and no shell
            [
                self._bin / "initdb",
                *("-D", raw, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            ],
            preexec_fn=stance.take,
            cwd=raw.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailedError(f"initdb failed: {done.stderr.decode(errors='replace').strip()}")
        raw.rename(self.cluster)
        return stance

    def start(self, stance: Stance) -> subprocess.Popen[bytes]:
        """Starts the server; it is ready when `is_ready` says so."""
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            return spawn(
                [self._bin / "postgres", "-D", self.cluster, "-k", self._sockets, *options],
                end_signal=self.end_signal,
                take=stance.take,
                output=log,
            )

    def is_ready(self, child: subprocess.Popen[bytes]) -> bool:
        """True once the server takes connections. Raises ServerFailedError when it has ended instead."""
        if child.poll() is not None:
            raise ServerFailedError(f"Postgres ended with {child.returncode}; see {self.log}")
        try:
            lines = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > READY_LINE and lines[0].strip() == str(child.pid) and lines[READY_LINE].strip() == "ready"
