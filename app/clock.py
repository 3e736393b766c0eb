"""The clock and the dice: the only places where the code asks for the time or for randomness.

Rules never import this module; actions read it once and hand `now` and fresh ids down as values.
"""

import secrets
import time
from typing import Final

# Crockford's base32 in lower case: no i, l, o, u, so an id survives being read aloud.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
ID_LENGTH: Final = 12  # 60 bits


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.monotonic()


def new_id() -> str:
    """A fresh public id: 12 characters, 60 random bits. Not a secret."""
    bits = secrets.randbits(5 * ID_LENGTH)
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(0, 5 * ID_LENGTH, 5))


def new_ordered_id() -> str:
    """A fresh public id that sorts after those of earlier milliseconds: 9 characters of time, 7 random. Not a secret.

    For rows that are written by the thousand: their index grows at its end instead of all over.
    """
    bits = now_ms() << 35 | secrets.randbits(35)
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(75, -1, -5))


def new_secret() -> str:
    """A fresh secret for a URL, header or cookie: 43 URL-safe characters, 256 random bits."""
    return secrets.token_urlsafe(32)
