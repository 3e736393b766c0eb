"""The draw of a waiting room: who is served first among those who came before the start. Values in, values out.

Before anybody comes the seed's SHA-256 is published; with the draw the seed itself and the SHA-256 of its crowd, all
entries, sorted; afterwards the entries in their order. An entry's key is SHA-256(seed · SHA-256(crowd) · entry); the
smallest key comes first. Nobody without the seed can foresee it; since all entries are in every key, whoever knows it
gains nothing from choosing one; and once the draw was said, nobody can be put into it or left out.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

SEED_BYTES: Final = 32
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


def commitment_of(seed: bytes) -> str:
    """What is published before: the seed's SHA-256, in hexadecimal."""
    return hashlib.sha256(seed).hexdigest()


def crowd_of(entries: Sequence[str]) -> bytes:
    """The SHA-256 of all entries, in whatever order they are given."""
    return hashlib.sha256("\n".join(sorted(entries)).encode()).digest()


def draw_order(seed: bytes, entries: Sequence[str]) -> list[str]:
    """The entries in the order in which they are served. The order in which they are given does not matter."""
    crowd = crowd_of(entries)

    def key(entry: str) -> bytes:
        return hashlib.sha256(seed + crowd + entry.encode()).digest()

    return sorted(entries, key=key)


def draw_fault(*, commitment: str, seed_hex: str | None, entries: Sequence[str], crowd: str | None) -> str | None:
    """What is wrong with a published draw, in one sentence; None when it is as it should be. `crowd` None: that hash is
    not known.
    """
    if seed_hex is None:
        return "The seed is not published yet: the draw is still to come."
    if not _HEX.fullmatch(seed_hex):
        return f"The seed is not {SEED_BYTES} bytes in hexadecimal."
    seed = bytes.fromhex(seed_hex)
    if commitment_of(seed) != commitment.lower():
        return "The seed is not the one whose hash was published before."
    return _fault_of_entries(seed, entries, crowd)


def _fault_of_entries(seed: bytes, entries: Sequence[str], crowd: str | None) -> str | None:
    if len(set(entries)) != len(entries):
        return "An entry is in the order twice."
    if crowd is not None and crowd_of(entries).hex() != crowd.lower():
        return "The entries are not those whose hash was said with the draw."
    return None if draw_order(seed, entries) == list(entries) else "The order is not the one that the seed gives."
