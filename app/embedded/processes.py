"""Looks at and ends processes that are not our children: what an earlier start left behind. Starts none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

END_GUARD_S: Final = 3  # whoever hangs longer is killed: all of them survive that
POLL_S: Final = 0.02


def birth_of(pid: int) -> str | None:
    """When process `pid` began, in words that tell it from a later one of the same number; None when it is gone.

    A zombie is gone: it does nothing any more, and its number is held only for a parent that never asks.
    """
    if sys.platform != "linux":
        state, _, began = _ask_ps(pid, "stat=,lstart=").partition(" ")
        return began.strip() if began and not state.startswith("Z") else None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may contain anything
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None if fields[0] in {"Z", "X"} else f"{boot} {fields[19]}"


def command_of(pid: int) -> list[str]:
    """The command line of process `pid`; empty when it is gone."""
    if sys.platform != "linux":
        return _ask_ps(pid, "command=").split()
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def number_is_taken(pid: int) -> bool:
    """True when some process, a zombie even, has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end_stranger(pid: int, polite: signal.Signals) -> None:
    """Ends a process that is not our child: politely first, then for good. Returns when it is gone."""
    birth = birth_of(pid)
    for sign in (polite, signal.SIGKILL):
        if birth is None or birth_of(pid) != birth:
            return
        os.kill(pid, sign)
        guard = time.monotonic() + END_GUARD_S
        while birth_of(pid) == birth and time.monotonic() < guard:
            time.sleep(POLL_S)


def _ask_ps(pid: int, columns: str) -> str:
    return subprocess.run(  # noqa: S603 - a number as argument, and no shell
        ["/bin/ps", "-ww", "-o", columns, "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
