"""How the supervisor gets a role's process: branched off the stem where that is possible, started afresh elsewhere.

Owns the conversation with the stem (app/stem.py) and the look at a child that this process did not fork itself. Never
decides when a role is started or ended: that is app/supervisor.py's.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from app.embedded.child import spawn

REPOSITORY: Final = Path(__file__).parents[1]
MESSAGE_BYTES_MAX: Final = 65536
PR_SET_CHILD_SUBREAPER: Final = 36
STEM_PATIENCE_S: Final = 30.0  # loading a role's libraries is a matter of seconds


class Process(Protocol):
    """What is asked of a child's process: the part of subprocess.Popen that does not wait."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """The exit status (of a signal: its number, negative), or None while it runs. Reaps it."""

    def send_signal(self, sig: int, /) -> None:
        """Signals it, unless it has ended."""

    def kill(self) -> None:
        """SIGKILL."""


class Wish(msgspec.Struct, frozen=True):
    """What the stem is asked for. With it go the role's link and, for those that have one, the listening socket."""

    role: str
    changes: dict[str, str]  # of the environment that the stem was started with


class Branch:
    """A child of this process that the stem forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """See Process."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def send_signal(self, sig: int, /) -> None:
        """See Process."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """See Process."""
        self.send_signal(signal.SIGKILL)


class Stem:
    """The stem's process, started with the first wish and again when it died. For one event loop."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: socket.socket | None = None
        self._one_at_a_time = asyncio.Lock()

    async def grow(
        self,
        role: str,
        environment: Mapping[str, str],
        fresh_link: Callable[[], socket.socket],
        listener: socket.socket | None,
    ) -> Process:
        """A new process for `role` with `environment`, a superset of the stem's. Its files: what `fresh_link` returns,
        and `listener`. Each call of `fresh_link` cuts the link before: of two processes the first would end.
        """
        if sys.platform == "linux":
            async with self._one_at_a_time:
                with fresh_link() as link:
                    branch = await self._ask(role, environment, [link, *([listener] if listener else [])])
            if branch is not None:
                return branch
        with fresh_link() as link:
            return _start_afresh(role, environment, link, listener)

    async def _ask(self, role: str, environment: Mapping[str, str], files: list[socket.socket]) -> Branch | None:
        """None when there is no stem to be had, or it died of this wish, or hangs."""
        changes = {name: value for name, value in environment.items() if self.environment.get(name) != value}
        wish = msgspec.msgpack.encode(Wish(role, changes))
        libc = ctypes.CDLL(None)
        try:
            asked = self._open()
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            socket.send_fds(asked, [wish], [file.fileno() for file in files])
            async with asyncio.timeout(STEM_PATIENCE_S):
                number = await asyncio.get_running_loop().sock_recv(asked, 16)
        except OSError:  # TimeoutError is one
            number = b""
        finally:
            # Else every process that loses its parent below us would be ours to reap.
            libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        if number:
            return Branch(int(number))
        self.end()
        return None

    def _open(self) -> socket.socket:
        if self._asked is None:
            self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._asked.setblocking(False)
            with theirs:
                self._process = spawn(
                    [sys.executable, "-m", "app.stem"],
                    end_signal=signal.SIGKILL,
                    env=self.environment,
                    stdin=theirs.fileno(),
                    cwd=REPOSITORY,
                )
        return self._asked

    def end(self) -> None:
        """Ends the stem; what branched off lives on."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _start_afresh(
    role: str, environment: Mapping[str, str], link: socket.socket, listener: socket.socket | None
) -> Process:
    passed = () if listener is None else (listener.fileno(),)
    return spawn(
        [sys.executable, "-m", "app.roles", role, *(str(descriptor) for descriptor in passed)],
        end_signal=signal.SIGKILL,  # the servers go at the same moment: nothing is left to be done in order
        env=environment,
        stdin=link.fileno(),
        pass_fds=passed,
        cwd=REPOSITORY,
    )
