"""Lists of texts that the staff keep: announcements, quick replies. Pure: what somebody typed in, clean texts out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from app.chat.text_rules import GRAPHEMES_MAX, clean_message, graphemes
from app.refusal import Refusal


class Size(msgspec.Struct, frozen=True):
    """How long a list, and each of its texts, may be; the refusal's code, and what one of the texts is called."""

    texts: int
    length: int
    code: str
    what: str


TICKER: Final = Size(5, 140, "ticker_invalid", "announcement")
REPLIES: Final = Size(30, GRAPHEMES_MAX, "replies_invalid", "reply")


def clean_list(texts: Sequence[str], size: Size) -> tuple[str, ...] | Refusal:
    """The texts as everybody will see them, each once. What is blank is left out."""
    cleaned: list[str] = []
    for text in texts:
        words = clean_message(text)
        if isinstance(words, Refusal) and words.code == "empty":
            continue
        if isinstance(words, Refusal) or graphemes(words) > size.length:
            return Refusal(size.code, f"One {size.what} has at most {size.length} characters.")
        cleaned.append(words)
    found = tuple(dict.fromkeys(cleaned))
    return found if len(found) <= size.texts else Refusal(size.code, f"There is room for {size.texts} of them.")
