"""bench/relay/loops.c, built and bound: reading viewers in C, and the limit that the relay is held against.

Owns the compiling and the C types. SRTP comes from the very library that the relay uses, so both pay the same cipher.
"""

import ctypes
import subprocess
from pathlib import Path

from pylibsrtp._binding import ffi, lib

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "bench" / "out"
STREAMS = 4
PAUSE_US = 10_000


class Stream(ctypes.Structure):
    _fields_ = (
        ("ssrc", ctypes.c_uint32),
        ("used", ctypes.c_uint32),
        ("first", ctypes.c_int64),
        ("highest", ctypes.c_int64),
        ("packets", ctypes.c_uint64),
        ("doubled", ctypes.c_uint64),
        ("seen", ctypes.c_uint8 * 1024),
    )


class SocketAddress(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint8 * 2),
        ("host", ctypes.c_uint8 * 4),
        ("zero", ctypes.c_uint8 * 8),
    )


def build() -> None:
    """Compiles the loops. Needs cc."""
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", OUT / "loops.so", HERE / "loops.c"], check=True
    )


def loops() -> ctypes.CDLL:
    """The built library."""
    return ctypes.CDLL(str(OUT / "loops.so"))


def protect_address() -> int:
    """Where libsrtp's srtp_protect is in this process."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect")))
