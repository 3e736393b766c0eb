# ruff: noqa: RUF001 - look-alikes are this file's subject
"""What a person may be called, and when two names would be taken for one another.

Pure: text in, text or a refusal out. Whether a name is taken is the store's to say.
"""

import re
import unicodedata
from typing import Final

from app.refusal import Refusal

NAME_LENGTH_MAX: Final = 40
MARKS_IN_A_ROW_MAX: Final = 2
EMAIL_LENGTH_MAX: Final = 254

# Letters of other scripts that are drawn like a Latin one; after NFKC and casefold. From the Unicode confusables
# (UTS 39), the part that passes for Latin in common fonts. The digits and signs that pass for letters come last.
_LOOKS_LIKE: Final = {
    "a": "аɑα@",
    "b": "Ььʙ",
    "c": "сϲᴄ¢",
    "d": "ԁɗ",
    "e": "еєεҽ3",
    "g": "ɡց",
    "h": "һհ",
    "j": "јʝ",
    "k": "кκ",
    "l": "iıіӏɩι1|!ǀ",
    "m": "мᴍ",
    "n": "ոռη",
    "o": "оοօσᴏ0",
    "p": "рρ",
    "q": "ԛ",
    "r": "гᴦ",
    "s": "ѕꜱ5$",
    "t": "тτ",
    "u": "υսᴜ",
    "v": "νѵᴠ",
    "w": "ԝωѡᴡ",
    "x": "хχ",
    "y": "уγүʏ",
    "z": "ᴢ",
}
# Capitals are drawn alike where their small letters are not: a Greek Eta is an H, its small form an n.
_CAPITALS: Final = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТУХІЈЅ", "abezhikmnoptyxabekmhopctyxijs")
_TO_LATIN: Final = {ord(sign): latin for latin, signs in _LOOKS_LIKE.items() for sign in signs}
_GLUE: Final = re.compile(r"[\s._\-'’`·•~*]+")
_OFFICES: Final = "host support moderator mod admin administrator staff hawker official system"
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*")


def fold_name(name: str) -> str:
    """The form under which names are compared: what looks alike folds alike, spacing and punctuation vanish."""
    plain = unicodedata.normalize("NFKC", name).translate(_CAPITALS).casefold()
    return _GLUE.sub("", unicodedata.normalize("NFKC", plain).translate(_TO_LATIN))


_RESERVED_FOLDED: Final = frozenset(fold_name(word) for word in _OFFICES.split())


def clean_name(name: str) -> str | Refusal:
    """The name as it will be shown (NFC, single spaces), or why it will not do."""
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(clean) <= NAME_LENGTH_MAX:
        return Refusal("name_invalid", f"A name has 1 to {NAME_LENGTH_MAX} characters.")
    categories = [unicodedata.category(character) for character in clean]
    if _REFUSED_CATEGORIES.intersection(categories):
        return Refusal("name_invalid", "A name may not hold invisible or unassigned characters.")
    if "M" * (MARKS_IN_A_ROW_MAX + 1) in "".join(category[0] for category in categories):
        return Refusal("name_invalid", "That is too many marks on one letter.")
    if not any(category[0] in "LN" for category in categories) or not fold_name(clean):
        return Refusal("name_invalid", "A name needs a letter or a digit.")
    return clean


def is_reserved(name: str) -> bool:
    """Whether a name passes for the staff's: one of its words, or the whole, reads like a word of office."""
    name = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    return bool(_RESERVED_FOLDED.intersection([fold_name(name), *(fold_name(word) for word in _GLUE.split(name))]))


def clean_email(email: str) -> str | Refusal:
    """The address in the form under which it is compared and kept, or a refusal."""
    folded = unicodedata.normalize("NFKC", email.strip()).casefold()
    if len(folded) > EMAIL_LENGTH_MAX or _EMAIL.fullmatch(folded) is None:
        return Refusal("email_invalid", "That is not an e-mail address.")
    return folded
