"""Where an order is sent: what an address must have, and when two of them are the same door.

Pure. The mark of a door is for limits only; a label gets the lines as they were written.
"""

import hashlib
import re
import unicodedata
from typing import Annotated, Final

from msgspec import Meta, Struct

from app.refusal import Refusal

LINE_LENGTH_MAX: Final = 120
POSTAL_CODE_LENGTH_MAX: Final = 16

Line = Annotated[str, Meta(min_length=1, max_length=LINE_LENGTH_MAX)]

_SHORT: Final = {
    "apartment": "apt",
    "appartement": "apt",
    "avenue": "ave",
    "boulevard": "blvd",
    "flat": "apt",
    "lane": "ln",
    "road": "rd",
    "saint": "st",
    "strasse": "str",
    "street": "st",
    "suite": "apt",
    "unit": "apt",
    "wohnung": "apt",
}
"""Words that are written in several ways, each by one of them."""
_NOISE: Final = frozenset({"no", "nr", "number", "the"})
_WORD: Final = re.compile(r"\d+|[^\W\d_]+")
_STREET_TAIL: Final = re.compile(r"(?<=[^\W\d_]{2})(?:strasse|str)$")


class ShipTo(Struct, frozen=True, forbid_unknown_fields=True):
    """An address as the buyer wrote it. `country` is ISO 3166-1 alpha-2."""

    name: Line
    street: Line
    city: Line
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")]
    postal_code: Annotated[str, Meta(max_length=POSTAL_CODE_LENGTH_MAX)] = ""
    extra: Annotated[str, Meta(max_length=LINE_LENGTH_MAX)] = ""


def clean_address(written: ShipTo) -> ShipTo | Refusal:
    """The address with its spaces in order, or why it cannot be one: control and invisible signs, nothing but signs."""
    lines = {
        field: " ".join(part for part in unicodedata.normalize("NFC", getattr(written, field)).split(" ") if part)
        for field in ("name", "street", "city", "postal_code", "extra")
    }
    for field, line in lines.items():
        if any(unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for sign in line):
            return Refusal("address_invalid", f"The {field.replace('_', ' ')} has a sign that cannot be printed.")
        if field in {"name", "street", "city"} and not any(sign.isalnum() for sign in line):
            return Refusal("address_invalid", f"The {field} is missing.")
    return ShipTo(country=written.country, **lines)


def door_of(address: ShipTo) -> str:
    """The same text for the same door, however it is written: case, accents, punctuation, order of the lines and
    common short forms do not matter, and neither does who lives there. With a postal code the city is not looked at.
    """
    place = "".join(_words(address.postal_code)) or " ".join(_words(address.city))
    return " ".join([address.country, place, *sorted(_words(f"{address.street} {address.extra}"))])


def mark_of(what: str) -> bytes:
    """What is kept to find the same card or door again: 16 bytes."""
    return hashlib.blake2b(what.encode(), digest_size=16).digest()


def _words(line: str) -> list[str]:
    bare = "".join(
        sign for sign in unicodedata.normalize("NFKD", line.casefold()) if not unicodedata.combining(sign)
    ).casefold()
    found = []
    for word in _WORD.findall(bare):
        tail = _STREET_TAIL.search(word)
        parts = [word[: tail.start()], "str"] if tail else [_SHORT.get(word, word)]
        found += [part for part in parts if part not in _NOISE]
    return found
