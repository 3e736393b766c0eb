"""The data folder: one owner at a time, a place for unix sockets, and who was started from it.

Never looks inside what the servers keep there.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import IO, Final

from app.embedded.processes import birth_of, end_stranger

SOCKET_PATH_BYTES_MAX: Final = 103  # 107 on Linux and 103 on macOS, without the closing zero
LONGEST_SOCKET_NAME: Final = "/.s.PGSQL.5432.lock"
_RECORD: Final = re.compile(r"(?P<pid>[0-9]{1,9}) (?P<polite>[0-9]{1,2}) (?P<birth>.+)")


class FolderBusyError(RuntimeError):
    """Another Hawker runs on this data folder; the message says so in one line."""


class FolderUnusableError(RuntimeError):
    """Nothing can be kept at this path; the message says so in one line."""


class DataFolder:
    """`path`, locked for this process from construction until the process ends or `close()` is called."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._records = self.path / "children"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._take_lock()
            self._records.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise FolderUnusableError(
                f"Cannot keep data in {path} ({error.strerror}). Set HAWKER_DATA to a folder of yours."
            ) from error
        self.end_leftovers()
        self.sockets = self._fresh_sockets_folder()

    def _take_lock(self) -> IO[str]:
        lock = (self.path / "lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise FolderBusyError(
                f"Hawker already runs on {self.path} (process {owner}). Stop it, or set HAWKER_DATA to another folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _fresh_sockets_folder(self) -> Path:
        folder = sockets_folder(self.path)
        if folder.is_symlink() or folder.exists():
            # In /tmp a stranger may have been first. Only its owner or root can move it away, so this fails loudly.
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        return folder

    def close(self) -> None:
        """Frees the folder for the next owner."""
        shutil.rmtree(self.sockets, ignore_errors=True)
        self._lock.close()

    def record(self, name: str, pid: int, polite: signal.Signals) -> None:
        """Notes that child `name` runs as `pid`, so that a later start can end it if this process cannot. OSError when
        the disk has no room for the note; nothing is left of it then.
        """
        line = f"{pid} {int(polite)} {birth_of(pid) or '-'}"
        with tempfile.NamedTemporaryFile("w", dir=self._records, prefix=".", delete=False, encoding="ascii") as new:
            try:
                new.write(line)
                new.flush()
                Path(new.name).rename(self._records / name)
            except OSError:
                Path(new.name).unlink()
                raise

    def forget(self, name: str) -> None:
        """Notes that child `name` has ended."""
        (self._records / name).unlink(missing_ok=True)

    def end_leftovers(self) -> list[str]:
        """Ends what an earlier owner started and could not end. Answers with the names of those that still ran."""
        ended = []
        for record in sorted(self._records.iterdir()):
            noted = _RECORD.fullmatch(record.read_text(encoding="ascii", errors="replace"))
            # A machine that lost its power may leave an empty note; nothing of that time still runs.
            if noted is not None and birth_of(int(noted["pid"])) == noted["birth"]:
                end_stranger(int(noted["pid"]), signal.Signals(int(noted["polite"])))
                ended.append(record.name)
            record.unlink()
        return ended


def sockets_folder(path: Path) -> Path:
    """Where the sockets of the data folder `path` (absolute) are: in `path`/run, or below /tmp when that is too long
    for a socket's address.
    """
    folder = path / "run"
    if len(os.fsencode(str(folder) + LONGEST_SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
        return folder
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path("/tmp") / f"hawker-{os.getuid()}-{digest}"  # noqa: S108 - made fresh and closed by its owner
