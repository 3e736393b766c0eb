"""Starts one child process that does not outlive its parent. Owns the launch; not what the child is for.

A child gets a session of its own, so that Ctrl-C reaches the parent alone and children end in the written order. On
Linux the kernel signals it when the parent is gone, however it went; elsewhere the next start ends what was left
(app/embedded/folder.py).
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

PR_SET_PDEATHSIG: Final = 1


def spawn(
    argv: Sequence[str | Path],
    *,
    end_signal: signal.Signals,
    take: Callable[[], None] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | None = subprocess.DEVNULL,
    output: IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts `argv`. Call it from the main thread: the kernel's signal follows the thread that forked.

    `take` runs in the child before exec; `end_signal` is what the child gets when this process dies; `output`
    receives stdout and stderr (None: shared with the parent).
    """
    parent = os.getpid()

    def prepare() -> None:
        if take is not None:
            take()
        if sys.platform == "linux":
            # After `take`: a change of user clears it.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(end_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return subprocess.Popen(  # noqa: S603 - our own programs, and no shell
        [str(part) for part in argv],
        preexec_fn=prepare,  # noqa: PLW1509 - called from the main thread, before there are others
        env=dict(env) if env is not None else None,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
        cwd=cwd,
    )


def end(child: subprocess.Popen[bytes], polite: signal.Signals, patience_s: float) -> None:
    """Signals `child`, waits, and kills it when it will not go. Reaps it in every case."""
    if child.poll() is None:
        child.send_signal(polite)
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()
