"""When one message is a flood in itself, and whether it has a link. Pure: text in, yes or no out.

How fast a person writes, and how often the same, is counted where all workers meet: in the room's script.
"""

import hashlib
import re
from typing import Final

from app.chat.fold_rules import fold

SAME_SIGN_MAX: Final = 24
"""So often may one sign follow itself: cheering is no flood."""
WORDS_COUNTED_MIN: Final = 10
SAME_WORD_SHARE: Final = 4
"""A text of many words is a flood when no more than one word in so many is new."""
PICTURES_MAX: Final = 30
CAPITALS_MIN: Final = 60
"""A text this long that is written in capitals alone is shouting."""

_STRETCHED: Final = re.compile(rf"(\S)\1{{{SAME_SIGN_MAX}}}")
_PICTURES: Final = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
_SPACES: Final = re.compile(r"\W+")
_RUN: Final = re.compile(r"([^\W\d])\1+")
# Addresses as people write them; which endings count is a choice of the common ones, and of any after "www.".
_ENDINGS: Final = (
    "com|net|org|info|biz|shop|store|online|site|live|club|xyz|top|link|click|app|dev|io|co|tv|gg|ly|cc|ws|de|ch|uk|eu|"
    "fr|es|nl|pl|ru|cn|ca|au|jp|br"
)
_WORDLIKE_ENDINGS: Final = "it|me|to|in|us|at|be|is|am|so|my"  # only with a path: people forget the space after a dot
_LINK: Final = re.compile(
    rf"[a-z][a-z0-9+]{{1,9}}://\S|\bwww\.\S|(?<![\w@.])(?:[a-z0-9-]+\.)+(?:{_ENDINGS})(?=[/:?#]|[.,;!)]*(?:\s|$))"
    rf"|(?<![\w@.])(?:[a-z0-9-]+\.)+(?:{_WORDLIKE_ENDINGS})/"
    rf"|\b[a-z0-9-]{{2,}}\s*[\[(]?\s*\bdot\b\s*[\])]?\s*(?:com|net|org|io|shop)\b",
)


def is_flood(text: str) -> bool:
    """Whether the message would fill the room with the same: one sign, one word, pictures, or shouting."""
    if _STRETCHED.search(text):
        return True
    if not text.isascii() and len(_PICTURES.findall(text)) > PICTURES_MAX:
        return True
    if len(text) >= CAPITALS_MIN and text.isupper():
        return True
    words = text.lower().split()
    return len(words) >= WORDS_COUNTED_MIN and len(set(words)) * SAME_WORD_SHARE <= len(words)


def has_link(text: str) -> bool:
    """Whether the message leads somewhere else, also when the dot is written out."""
    folded = fold(text) if not text.isascii() else text.lower()
    if "." not in folded and "dot" not in folded and "://" not in folded:
        return False
    return _LINK.search(folded) is not None


def likeness(text: str) -> str:
    """The same for texts that say the same: case, look-alikes, spacing, signs and stretching do not count."""
    plain = _RUN.sub(r"\1", _SPACES.sub("", fold(text)))
    return hashlib.blake2b((plain or text).encode(), digest_size=8).hexdigest()
