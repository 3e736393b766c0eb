"""What a chat message may be made of. Pure: text in, clean text or a refusal out.

Takes away what deceives the eye (direction controls, invisible characters, towers of marks) and keeps what writing
needs: emoji sequences, the joiners of Persian and Indic scripts.
"""

import re
import unicodedata
from typing import Final

from app.refusal import Refusal

GRAPHEMES_MAX: Final = 500
BYTES_MAX: Final = 2000
MARKS_MAX: Final = 4
"""Combining marks in a row that are kept: Vietnamese and pointed Hebrew need no more."""

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_BLANKS: Final = re.compile("[\\s\u2800]+")
_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5")
_TONES: Final = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS: Final = range(0x1F1E6, 0x1F200)
# A region's flag: a black flag, letters from the tag block, the end tag (UTS 51, section "Emoji tag sequences").
_TAG_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")


def clean_message(text: str) -> str | Refusal:
    """The text as everybody will see it: NFC, one line, nothing invisible; refused when empty or too long."""
    if len(text) > BYTES_MAX * 2:
        return _too_long()
    if text.isascii() and text.isprintable():
        return _clean_plain(text)
    if any(0xD800 <= ord(sign) < 0xE000 for sign in text):
        return Refusal("malformed", "The text is not valid Unicode.")
    clean = _BLANKS.sub(" ", _cap_marks(_strip_invisible(unicodedata.normalize("NFC", text)))).strip()
    # Joiners whose neighbours were taken away have gone with them only now.
    clean = unicodedata.normalize("NFC", clean)
    if not any(_is_visible(sign) for sign in clean):
        return _empty()
    if len(clean.encode()) > BYTES_MAX or graphemes(clean) > GRAPHEMES_MAX:
        return _too_long()
    return clean


def _clean_plain(text: str) -> str | Refusal:
    """The same for what most messages are: nothing in it joins, hides or stands over anything else."""
    clean = " ".join(text.split())
    if not clean:
        return _empty()
    return clean if len(clean) <= GRAPHEMES_MAX else _too_long()


def _empty() -> Refusal:
    return Refusal("empty", "There is nothing to say yet.")


def _too_long() -> Refusal:
    return Refusal("too_long", f"A message has at most {GRAPHEMES_MAX} characters.", details={"max": GRAPHEMES_MAX})


def _is_visible(sign: str) -> bool:
    return unicodedata.category(sign)[0] not in "CZM"


def _strip_invisible(text: str) -> str:
    flags = {match.start(): match.end() for match in _TAG_FLAG.finditer(text)}
    kept: list[str] = []
    at = 0
    while at < len(text):
        if at in flags:
            kept.append(text[at : flags[at]])
            at = flags[at]
            continue
        sign = text[at]
        if sign in {_ZWJ, _ZWNJ}:
            before = kept[-1][-1] if kept else ""
            if _joins(sign, before, text[at + 1 : at + 2]):
                kept.append(sign)
        elif sign in "\t\n\r\v\f\x85\u2028\u2029":
            kept.append(" ")
        elif unicodedata.category(sign) not in {"Cc", "Cf", "Cn", "Co"} and sign not in _FILLERS:
            kept.append(sign if not _is_odd_selector(sign) else "")
        at += 1
    return "".join(kept)


def _is_odd_selector(sign: str) -> bool:
    """Variation selectors other than the two that choose text or emoji style: they can carry hidden messages."""
    return 0xFE00 <= ord(sign) <= 0xFE0D or 0xE0100 <= ord(sign) <= 0xE01EF


def _joins(joiner: str, before: str, after: str) -> bool:
    """Whether a joiner has something to join: emoji, or letters of a script that is written with joiners."""
    if not before or not after:
        return False
    if joiner == _ZWJ and _is_pictograph(after):
        return _is_pictograph(before) or before == "\ufe0f"
    return all(0x0590 <= ord(sign) < 0x2000 and unicodedata.category(sign)[0] in "LM" for sign in (before, after))


def _is_pictograph(sign: str) -> bool:
    code = ord(sign)
    return 0x1F000 <= code <= 0x1FAFF or unicodedata.category(sign) == "So" or code in {0x2194, 0x2195, 0x2640, 0x2642}


def _cap_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for sign in text:
        is_mark = unicodedata.category(sign) in {"Mn", "Me"}
        marks = marks + 1 if is_mark else 0
        if marks <= MARKS_MAX:
            kept.append(sign)
    return "".join(kept)


def graphemes(text: str) -> int:
    """How many characters a person counts: an approximation of UAX 29 that errs towards more (Indic conjuncts and
    separate Hangul jamo count singly).
    """
    count = 0
    joined = False
    flag_open = False
    for sign in text:
        code = ord(sign)
        if code in _FLAG_LETTERS:
            flag_open = not flag_open
            count += flag_open
            joined = False
            continue
        flag_open = False
        extends = unicodedata.category(sign)[0] == "M" or code in _TONES or 0xE0020 <= code <= 0xE007F
        if sign in {_ZWJ, _ZWNJ}:
            joined = sign == _ZWJ
            continue
        if not extends and not (joined and _is_pictograph(sign)):
            count += 1
        joined = False
    return count
