"""The secret by which the demo's synthetic host proves itself to our own WHIP endpoint.

A random file in the data folder that only this user may read; the web role and the synthetic host both make it when
it is missing. It opens nothing but the demo show, and only in demo mode.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from app import clock
from app.settings import Settings

DEMO_SHOW: Final = "demo"
_FILE: Final = "synthetic-host.key"


def synthetic_key(settings: Settings) -> str:
    """The secret; made now when there is none. Two processes that make it at once get the same one."""
    path = settings.data_dir / _FILE
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        _make(path)
    return path.read_text("ascii").strip()


def _make(path: Path) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(clock.new_secret())
    with contextlib.suppress(FileExistsError):  # the other process was first: its secret counts
        path.hardlink_to(fresh)
    fresh.unlink()
