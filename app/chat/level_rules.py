"""How much of four kinds of words a chat lets through: levels from 0 (all) to 4 (as little as possible). Pure.

A level of n finds the n worst degrees of its kind, in the languages that the show speaks: harmless words of one
language are bad ones of another. What they find is held as a blocked term is, and found through the same disguises.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from app.chat.level_words import WORDS
from app.chat.term_rules import Matcher, Terms

LEVEL_MAX: Final = 4
DEGREES: Final = 4
MATCHERS_MAX: Final = 64
"""So many lists are kept in the form in which they are searched: most shows have the same."""

Level = Annotated[int, Meta(ge=0, le=LEVEL_MAX)]
Language = Literal["en", "de", "es", "fr"]
Languages = Annotated[tuple[Language, ...], Meta(min_length=1, max_length=4)]


class Levels(msgspec.Struct, frozen=True):
    """One for each kind of words."""

    harassment: Level = 0
    profanity: Level = 0
    sexual: Level = 0
    spam: Level = 0

    @property
    def any(self) -> bool:
        """Whether there is anything to look for."""
        return any(msgspec.structs.astuple(self))


STRICTEST: Final = Levels(LEVEL_MAX, LEVEL_MAX, LEVEL_MAX, LEVEL_MAX)
KINDS: Final = Levels.__struct_fields__


@lru_cache(maxsize=len(WORDS))
def _lists(language: str) -> dict[str, tuple[str, ...]]:
    """The language's terms by `kind degree`, and what is `harmless`."""
    return {name: tuple(terms) for name, terms in _read(WORDS[language])}


def _read(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.strip().replace("\n  ", " ").splitlines():
        name, _, terms = line.partition(":")
        yield name, [term.strip() for term in terms.split(",")]


def words_of(levels: Levels, languages: Sequence[str]) -> Terms:
    """What these levels look for in these languages, and what they leave alone."""
    found: list[str] = []
    harmless: list[str] = []
    for language in languages:
        lists = _lists(language)
        for kind, level in zip(KINDS, msgspec.structs.astuple(levels), strict=True):
            for degree in range(DEGREES + 1 - level, DEGREES + 1):
                found += lists[f"{kind} {degree}"]
        harmless += lists["harmless"] if found else ()
    return Terms(tuple(dict.fromkeys(found)), tuple(dict.fromkeys(harmless)))


@lru_cache(maxsize=MATCHERS_MAX)
def matcher_of(own: Terms, levels: Levels, languages: tuple[str, ...]) -> Matcher:
    """Finds the show's own terms and those of the levels."""
    words = words_of(levels, languages)
    return Matcher(Terms(own.blocked + words.blocked, own.permitted + words.permitted))
