"""What a poll may be made of. Pure: what somebody typed in, the poll's words or a refusal out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from app.chat.text_rules import clean_message, graphemes
from app.refusal import Refusal

QUESTION_LENGTH_MAX: Final = 140
OPTION_LENGTH_MAX: Final = 60
OPTIONS_MIN: Final = 2
OPTIONS_MAX: Final = 6
POLL_S_MIN: Final = 10
POLL_S_MAX: Final = 60 * 60
POLLS_MAX: Final = 200
"""So many has a show."""


class Wording(msgspec.Struct, frozen=True):
    """What a poll asks, and the answers that there are."""

    question: str
    options: tuple[str, ...]


def worded(question: str, options: Sequence[str]) -> Wording | Refusal:
    """The words as everybody will see them. Options that read the same are one too many."""
    asked = _clean(question, QUESTION_LENGTH_MAX, "A poll's question")
    if isinstance(asked, Refusal):
        return asked
    if not OPTIONS_MIN <= len(options) <= OPTIONS_MAX:
        return _invalid(f"A poll has {OPTIONS_MIN} to {OPTIONS_MAX} answers to choose from.")
    cleaned: list[str] = []
    for option in options:
        words = _clean(option, OPTION_LENGTH_MAX, "An answer")
        if isinstance(words, Refusal):
            return words
        cleaned.append(words)
    if len({words.casefold() for words in cleaned}) < len(cleaned):
        return _invalid("Two of the answers are the same.")
    return Wording(asked, tuple(cleaned))


def _clean(text: str, length_max: int, what: str) -> str | Refusal:
    words = clean_message(text)
    if isinstance(words, Refusal):
        return words if words.code == "malformed" else _invalid(f"{what} has 1 to {length_max} characters.")
    return words if graphemes(words) <= length_max else _invalid(f"{what} has 1 to {length_max} characters.")


def _invalid(why: str) -> Refusal:
    return Refusal("poll_invalid", why)
