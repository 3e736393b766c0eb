"""The stem: a process that loads the libraries of the roles once, from which the roles' processes branch off.

Owns the branching; what a role does is app/roles.py's, and who asks for one is app/branches.py. A role that branches
off starts in milliseconds and shares the libraries' memory with the others. The stem itself opens nothing, runs no
thread and no event loop, so nothing of it can go wrong in a copy. It ends when its standard input closes.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
from typing import Final

import msgspec

from app.branches import MESSAGE_BYTES_MAX, Wish
from app.embedded.child import PR_SET_PDEATHSIG
from app.roles import Link, load_role, run_role
from app.settings import settings_with

PR_SET_NAME: Final = 15
DESCRIPTORS_MAX: Final = 2  # the link to the supervisor, and the listening socket


class _BranchingError(RuntimeError):
    """The process between stem and branch could not do its part."""


def main() -> None:
    """Grows branches until the supervisor is gone. In a branch: does the role's work, to its end."""
    # Nothing that is loaded here is ever garbage; and what no collector touches stays shared.
    gc.disable()
    supervisor = os.getppid()
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as asked:
        while True:
            message, descriptors, _, _ = socket.recv_fds(asked, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX)
            if not message:
                return
            wish = msgspec.msgpack.decode(message, type=Wish)
            load_role(wish.role)
            gc.freeze()
            branch = _branch_off()
            if branch is None:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            asked.send(str(branch).encode())
    _live(wish, supervisor, descriptors)


def _branch_off() -> int | None:
    """The number of the new process; None in that process itself, once it is the supervisor's child.

    The supervisor inherits it from a process in the middle that ends at once (it is a "subreaper" meanwhile), so that
    it watches and reaps a role as it does any child.
    """
    told, tell = os.pipe()
    over, until = os.pipe()  # `until` closes in the stem when the middle is gone
    middle = os.fork()
    if middle:
        os.close(tell)
        os.close(over)
        number = os.read(told, 16)
        os.close(told)
        os.waitpid(middle, 0)
        os.close(until)
        if not number:
            raise _BranchingError
        return int(number)
    try:
        branch = os.fork()
        if branch:
            os.write(tell, str(branch).encode())
    except OSError:
        os._exit(1)
    if branch:
        os._exit(0)
    for descriptor in (told, tell, until):
        os.close(descriptor)
    os.read(over, 1)  # nothing ever comes: it closes
    os.close(over)
    return None


def _live(wish: Wish, supervisor: int, descriptors: list[int]) -> None:
    """What app/embedded/child.py does for other children, and then the role."""
    os.setsid()
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NAME, f"hawker-{wish.role}"[:15].encode(), 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.close(nothing)
    gc.enable()
    link, *listener = (socket.socket(fileno=descriptor) for descriptor in descriptors)
    run_role(wish.role, settings_with(wish.changes), Link(link), listener[0] if listener else None)


if __name__ == "__main__":
    main()
