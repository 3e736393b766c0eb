"""Words that a host writes for everybody to read: titles and descriptions.

Pure: text in, text or a refusal out. Pages show it as text; here only what would deceive or break is kept out.
"""

import unicodedata
from typing import Final

from app.refusal import Refusal

# Controls, surrogates, private and unassigned characters; of the format characters only the emoji joiners stay.
_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")


def _is_bad(sign: str) -> bool:
    return unicodedata.category(sign) in _REFUSED and sign not in _JOINERS


def clean_title(text: str, length_max: int = 120) -> str | Refusal:
    """One line of 1 to `length_max` characters, NFC, with single spaces."""
    clean = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(clean) <= length_max:
        return Refusal("text_invalid", f"A title has 1 to {length_max} characters.")
    if any(_is_bad(sign) for sign in clean):
        return Refusal("text_invalid", "A title may not hold invisible control characters.")
    return clean


def clean_description(text: str, length_max: int) -> str | Refusal:
    """Lines of text, NFC, at most `length_max` characters; may be empty."""
    clean = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\t", " ")).strip()
    if len(clean) > length_max:
        return Refusal("text_invalid", f"A description has {length_max} characters at most.")
    if any(_is_bad(sign) for sign in clean if sign != "\n"):
        return Refusal("text_invalid", "A description may not hold invisible control characters.")
    return clean
