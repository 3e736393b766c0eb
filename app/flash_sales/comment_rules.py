"""Which messages buy: `buy`, a number, a keyword, and nothing else beside them. Pure.

A message is a wish only as a whole, so that nobody buys by talking about buying: "I would buy this" is talk, and so is
whatever ends with a question mark.
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Final

import msgspec

KEYWORD_LENGTH_MAX: Final = 16
KEYWORDS_MAX: Final = 200
WISH_LENGTH_MAX: Final = 48
QUANTITY_MAX: Final = 99

_BUY: Final = "buy"
_WORD: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_NUMBER: Final = re.compile(r"x?([0-9]{1,4})x?")
_TAIL: Final = re.compile(r"[\s!.]*\Z")


class Wish(msgspec.Struct, frozen=True):
    """`keyword` None: what is shown now."""

    quantity: int
    keyword: str | None


def clean_keyword(word: str) -> str | None:
    """The keyword as it is compared; None for what could not be told from talk or from a number."""
    clean = _plain(word).lstrip("#")
    if not 1 <= len(clean) <= KEYWORD_LENGTH_MAX or not _WORD.fullmatch(clean):
        return None
    return None if clean in {_BUY, "x", "please"} or _NUMBER.fullmatch(clean) else clean


def read_wish(text: str, keywords: Collection[str]) -> Wish | None:
    """What the message asks to hold, None when it is talk. A number beyond what anybody may hold is talk too."""
    if len(text) > WISH_LENGTH_MAX:
        return None
    words = _TAIL.sub("", _plain(text)).split()
    if words and words[-1] == "please":
        words.pop()
    buys = [word for word in words if word == _BUY]
    named = [word.lstrip("#") for word in words if word.lstrip("#") in keywords and word != _BUY]
    counted = [match[1] for match in map(_NUMBER.fullmatch, words) if match is not None]
    if len(buys) + len(named) + len(counted) != len(words) or max(len(buys), len(named), len(counted), 1) > 1:
        return None
    if not (named or (buys and words[0] == _BUY)) or (buys and words[0] != _BUY):
        return None
    quantity = int(counted[0]) if counted else 1
    return Wish(quantity, named[0] if named else None) if 1 <= quantity <= QUANTITY_MAX else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
