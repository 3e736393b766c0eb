"""The draw of a waiting room: who is served first among those who came before the start. Values in, values out.

Before anybody comes the seed's SHA-256 is published, after the draw the seed itself and the entries in their order.
An entry's key is SHA-256(seed · SHA-256(all entries, sorted) · entry); the smallest key comes first. Nobody without
the seed can foresee it; and since all entries are in every key, whoever knows it gains nothing from choosing one.
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


def draw_order(seed: bytes, entries: Sequence[str]) -> list[str]:
    """The entries in the order in which they are served. The order in which they are given does not matter."""
    crowd = hashlib.sha256("\n".join(sorted(entries)).encode()).digest()

    def key(entry: str) -> bytes:
        return hashlib.sha256(seed + crowd + entry.encode()).digest()

    return sorted(entries, key=key)


def draw_fault(*, commitment: str, seed_hex: str | None, entries: Sequence[str]) -> str | None:
    """What is wrong with a published draw, in one sentence; None when it is as it should be."""
    if seed_hex is None:
        return "The seed is not published yet: the draw is still to come."
    if not _HEX.fullmatch(seed_hex):
        return f"The seed is not {SEED_BYTES} bytes in hexadecimal."
    if commitment_of(bytes.fromhex(seed_hex)) != commitment.lower():
        return "The seed is not the one whose hash was published before."
    if len(set(entries)) != len(entries):
        return "An entry is in the order twice."
    if draw_order(bytes.fromhex(seed_hex), entries) != list(entries):
        return "The order is not the one that the seed gives."
    return None
