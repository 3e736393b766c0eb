"""When one message is a flood in itself, and whether it has a link. Pure: text in, yes or no out.

How fast a person writes, and how often the same, is counted where all workers meet: in the room's script.
"""

import hashlib
import re
from itertools import compress
from operator import eq, ne
from typing import Final

SAME_SIGN_MAX: Final = 24
"""So often may one sign follow itself: cheering is no flood."""
WORDS_COUNTED_MIN: Final = 10
SAME_WORD_SHARE: Final = 4
"""A text of many words is a flood when no more than one word in so many is new."""
PICTURES_MAX: Final = 30
CAPITALS_MIN: Final = 60
"""A text this long that is written in capitals alone is shouting."""

_SAMPLED: Final = (SAME_SIGN_MAX + 1) // 3
_STRETCHED: Final = re.compile(rf"(\S)\1{{{SAME_SIGN_MAX}}}")
_PICTURES: Final = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
_SPACES: Final = re.compile(r"\W+")
_PLAIN_SPACES: Final = bytes(code for code in range(128) if not (chr(code).isalnum() or chr(code) == "_"))
_NO_DIGITS: Final = bytes(0 if chr(code).isdigit() else code for code in range(256))
_AGAIN: Final = re.compile(r"([^\W\d])(?=\1)")
_DOTTED: Final = re.compile(r"\.[^\s.]")
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
    if _may_be_stretched(text) and _STRETCHED.search(text):
        return True
    if not text.isascii() and len(_PICTURES.findall(text)) > PICTURES_MAX:
        return True
    if len(text) >= CAPITALS_MIN and text.isupper():
        return True
    if text.count(" ") < WORDS_COUNTED_MIN - 1:
        return False
    words = text.lower().split()
    return len(set(words)) * SAME_WORD_SHARE <= len(words)


def _may_be_stretched(text: str) -> bool:
    """Whether three in a row of every eighth sign are the same. They are where one follows itself too often."""
    samples = text[::_SAMPLED]
    return b"\1\1" in bytes(map(eq, samples, samples[1:]))


def has_link(text: str, folded: str) -> bool:
    """Whether the message leads somewhere else, also when the dot is written out. `folded`: the text as folded."""
    address = text.lower() if text.isascii() else folded  # folding makes a dot of `_`, which names have
    if "dot" not in address and "://" not in address and not _DOTTED.search(address):
        return False
    return _LINK.search(address) is not None


def likeness(folded: str) -> str:
    """The same for folded texts that say the same: case, look-alikes, spacing, signs and stretching do not count."""
    if folded.isascii():
        signs = folded.encode().translate(None, _PLAIN_SPACES)
        plain = bytes(compress(signs, map(ne, signs, signs[1:].translate(_NO_DIGITS) + b"\0")))
    else:
        plain = _AGAIN.sub("", _SPACES.sub("", folded)).encode()
    return hashlib.blake2b(plain or folded.encode(), digest_size=8).hexdigest()
