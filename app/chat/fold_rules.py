# ruff: noqa: RUF001 - look-alikes are this file's subject
"""The form in which chat is compared: one letter for all that is drawn or typed in its place. Pure: text in, text out.

Nobody is ever shown a folded text. Digits and signs that only sometimes stand for a letter (leetspeak) stay as they
are: app/chat/expression_rules.py lets terms match them, so that prices stay prices.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# Letters of other scripts and of phonetic writing that pass for a Latin one, after casefold and NFKD. From the
# Unicode confusables (UTS 39), the part that passes in common fonts, and letters drawn upside down.
_LOOKS_LIKE: Final = {
    "a": "аɑαəɐᴀаꭺӑᎪдΛΔ",
    "b": "ƅьʙɓвβбᏴßẞъ",
    "c": "сϲᴄɕͼ¢ςᏟƈ",
    "d": "ԁɗժᴅđɖðԃᎠ",
    "e": "еєҽɛεɘǝᴇҿѐ℮ɇэ€ᎬёΣ",
    "f": "ƒғſꜰϝքɟ",
    "g": "ɡցɢɠǥᏀƃԍ",
    "h": "һհнʜħɦɥᎻԋ",
    "i": "іıɩιɪїїɨӏꭵɿіl̇Ꭵ",
    "j": "јʝյɉᴊϳᎫ",
    "k": "кκᴋƙқҝᏦʞӄ",
    "l": "ʟłɭլℓɫƚᏞǀ£ӏ",
    "m": "мᴍɱʍϻᎷɯ",
    "n": "ոռηпɴŋɲռиπᴎ",
    "o": "оοօσᴏøөσዐ๐௦ㅇ০ⲟⵔ□",
    "p": "рρᴘƿþየᏢ",
    "q": "ԛգզɋ",
    "r": "гᴦʀɾɍяɼᏒɹг",
    "s": "ѕꜱʂƨꮪᏚșՏ§",
    "t": "тτᴛŧƭʈтʇᎢ†",
    "u": "υսᴜʋцμᑌµʊ",
    "v": "νѵᴠʌᏙ",
    "w": "ԝωѡᴡшщʬᎳшƜ",
    "x": "хχжӿ×",
    "y": "уγүʏყɣуўʎ¥",
    "z": "ᴢʐƶȥᏃʑ",
}
_INVISIBLE: Final = (
    *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, 0xFEFF),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xE0000, 0xE01F0),
)
_MARKS: Final = (
    *(range(0x0300, 0x0370), range(0x0483, 0x048A), range(0x0591, 0x05BE), range(0x0610, 0x061B)),
    *(range(0x064B, 0x0660), range(0x1AB0, 0x1B00), range(0x1DC0, 0x1E00), range(0x20D0, 0x2100)),
    range(0xFE20, 0xFE30),
)
_ENCLOSED: Final = (0x1F150, 0x1F170, 0x1F1E6)  # negative circled, negative squared, regional indicators: A to Z


def _drawn() -> Iterator[tuple[str, str]]:
    """Each look-alike, in the forms that it has after case folding, with its letter."""
    for letter, signs in _LOOKS_LIKE.items():
        for sign in signs:
            for form in (sign, sign.casefold(), sign.lower()):
                if len(form) == 1 and not form.isascii() and not unicodedata.combining(form):
                    yield form, letter


_FOLDS: Final[dict[int, str | None]] = {
    **{ord(sign): letter for sign, letter in _drawn()},
    **{first + n: chr(ord("a") + n) for first in _ENCLOSED for n in range(26)},
    **dict.fromkeys(_INVISIBLE),
    **{code: None for marks in _MARKS for code in marks},
    ord("_"): ".",
}
_BEFORE: Final = {0x03F2: "c", 0x03F9: "c"}  # NFKD would make another letter of these
# A contraction's end is no part of the word: "he'll" does not say "hell".
_CONTRACTED: Final = re.compile(r"['’ʼ](?:ll|re|ve|s|t|d|m)\b")


def fold(text: str) -> str:
    """The text in lower case with look-alikes, marks, styles and invisible signs folded away; `_` becomes `.`."""
    if text.isascii():
        plain = text.lower().replace("_", ".")
    else:
        plain = unicodedata.normalize("NFKD", text.translate(_BEFORE)).casefold()
        plain = unicodedata.normalize("NFKD", plain).translate(_FOLDS)
    return _CONTRACTED.sub("", plain) if "'" in plain or "’" in plain else plain
