"""The clock and the dice: the only places where the code asks for the time or for randomness.

Rules never import this module; actions read it once and hand `now` and fresh ids down as values.
"""

import secrets
import time
from typing import Final

# Crockford's base32 in lower case: no i, l, o, u, so an id survives being read aloud.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [one + other for one in _ALPHABET for other in _ALPHABET]
ID_LENGTH: Final = 12  # 60 bits
_DICE: Final = (1 << 35) - 1


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.monotonic()


def new_id() -> str:
    """A fresh public id: 12 characters, 60 random bits. Not a secret."""
    return _spell(secrets.randbits(5 * ID_LENGTH), ID_LENGTH)


def new_ordered_id() -> str:
    """A fresh public id that sorts after those of earlier milliseconds: 9 characters of time, 7 random. Not a secret.

    For rows that are written by the thousand: their index grows at its end instead of all over.
    """
    return _spell(now_ms() << 35 | secrets.randbits(35), 16)


def new_ordered_ids(count: int) -> list[str]:
    """So many of them, of the same millisecond. No two are alike, as by mere chance two of a crowd's a day would be."""
    common, low = divmod(now_ms() << 35, 1 << 40)
    head, dice = _spell(common, 8), dict[int, None]()
    while len(dice) < count:
        thrown = secrets.token_bytes(5 * (count - len(dice)))
        dice.update((int.from_bytes(thrown[at : at + 5]) & _DICE, None) for at in range(0, len(thrown), 5))
    return [head + _spell(low | one, 8) for one in dice]


def _spell(number: int, length: int) -> str:
    """Two characters at a time; `length` is even."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * length - 10, -1, -10)])


def new_secret() -> str:
    """A fresh secret for a URL, header or cookie: 43 URL-safe characters, 256 random bits."""
    return secrets.token_urlsafe(32)
