"""Decides as whom a bundled server runs, and makes a child process become that before it executes.

Postgres refuses to run as root. No system user is created and no folder's permissions are opened; instead:
an ordinary user starts the servers as himself; root starts them in a user namespace in which root's own number reads
65534, so that files stay root's; where the kernel or the container forbids that, the child becomes nobody, the data
folder is given to nobody, and the one capability to pass by file permissions is kept so that a data folder or a
virtual environment under root's closed home stays reachable. A folder that already belongs to somebody keeps its owner.
"""

import ctypes
import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Final

NOBODY: Final = 65534
CLONE_NEWUSER: Final = 0x10000000
PR_SET_SECUREBITS: Final = 28
SECBIT_NO_SETUID_FIXUP: Final = 4
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
CAP_DAC_OVERRIDE: Final = 1
CAPABILITY_VERSION_3: Final = 0x20080522


class Footing(StrEnum):
    """The three ways of running a server."""

    SAME = "same"  # as whoever we are
    NAMESPACE = "namespace"  # root outside, an ordinary number inside
    OTHER = "other"  # another user, by setuid


class Stance:
    """A footing with its user. `take()` is called in the child between fork and exec."""

    def __init__(self, footing: Footing, uid: int, gid: int) -> None:
        self.footing = footing
        self.uid = uid
        self.gid = gid

    def take(self) -> None:
        """Becomes the server's user. Runs in the child; any failure there fails the launch."""
        match self.footing:
            case Footing.SAME:
                return
            case Footing.NAMESPACE:
                _enter_namespace()
            case Footing.OTHER:
                _become(self.uid, self.gid)

    def own(self, path: Path) -> None:
        """Gives `path` and all below it to the server's user. Only another user needs it."""
        if self.footing is not Footing.OTHER:
            return
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)


def choose_stance(folder: Path, program: Path, forced: Footing | None = None) -> Stance:
    """The stance for a server whose data is in `folder`, which exists. `forced` is for tests of the fallback."""
    if os.geteuid() != 0 and forced is None:
        return Stance(Footing.SAME, os.geteuid(), os.getegid())
    owner = folder.stat()
    if owner.st_uid != 0:  # it was started by somebody else before: stay that
        return Stance(Footing.OTHER, owner.st_uid, owner.st_gid)
    namespace = Stance(Footing.NAMESPACE, 0, 0)
    if forced in {None, Footing.NAMESPACE} and _works(namespace, folder, program):
        return namespace
    return Stance(Footing.OTHER, NOBODY, NOBODY)


def _works(stance: Stance, folder: Path, program: Path) -> bool:
    """True when a child on this stance can run `program` and write in `folder`."""
    if sys.platform != "linux":
        return False

    def take_and_look() -> None:
        stance.take()
        list(folder.iterdir())

    try:
        done = subprocess.run(  # noqa: S603 - our own program, and no shell
            [program, "--version"], preexec_fn=take_and_look, capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what} failed")


def _enter_namespace() -> None:
    _check(_libc().unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1", encoding="ascii")


def _become(uid: int, gid: int) -> None:
    keep = sys.platform == "linux"
    if keep:
        # Capabilities outlive the change of user, and access(2), by which Postgres looks at its own programs, counts
        # them; without this bit it asks with none.
        _check(_libc().prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep:
        _keep_file_access()


def _keep_file_access() -> None:
    """Carries CAP_DAC_OVERRIDE, and nothing else, over the coming exec (capabilities(7), ambient set)."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    one = 1 << CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(one, one, one, 0, 0, 0)  # effective, permitted, inheritable; low word, then high
    libc = _libc()
    _check(libc.capset(header, sets), "capset")
    _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "prctl(PR_CAP_AMBIENT)")
