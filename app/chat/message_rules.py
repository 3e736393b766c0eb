"""A message's id, made from the command that says it. Pure.

So a command that is repeated names the same message wherever it arrives and whatever was lost in between.
"""

import base64
import hashlib
from typing import Final

from app.rooms.bus import ONCE_TTL_MS

PERIOD_MS: Final = ONCE_TTL_MS // 2
"""A client's id may be used again for another message after two of these."""
DIGEST_BYTES: Final = 10  # 80 bits; only a second text for a given id would harm anybody but its author


def message_ids(show: str, person: str, key: str, now_ms: int) -> tuple[str, str]:
    """The message's id, and the one that it has if it was said in the period before. `key` is the person's own."""
    period = now_ms // PERIOD_MS
    return _id(show, person, key, period), _id(show, person, key, period - 1)


def _id(*parts: object) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        word = str(part).encode(errors="surrogatepass")
        digest.update(len(word).to_bytes(4, "big") + word)
    return base64.b32hexencode(digest.digest()).decode().lower()
