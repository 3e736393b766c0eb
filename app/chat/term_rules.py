"""Blocked and permitted terms: from a moderator's list to one matcher. Pure: text in, the term that was found out.

A term is a word or some words; `*` stands for any letters (`scam*`, `*coin`, `*free*`). A word matches whole words only
unless it says otherwise, so that a cocktail stays a cocktail. What is found inside a permitted term is not found.

Three readings are searched: the folded text as it stands; with the signs inside words taken out (`b.a-d`); and the
letters that stand alone put together (`b a d`). Long terms are also found cut in two (`bast ard`).

All terms are one expression, factored by their beginnings, so that a text is read once however long the list is. A
reading that costs more is taken only of a text that has what it is for. And people say the same words over and over: of
a word that was looked through once it is known that nothing is found in it, and whether a term of several words may
begin there. A text of such words alone is not read again.
"""

import re
from itertools import compress, pairwise
from operator import add
from typing import Final

import msgspec

from app.chat.expression_rules import expression_of
from app.chat.fold_rules import fold

TERM_LENGTH_MAX: Final = 60
TERMS_MAX: Final = 500
SPELLED_LENGTH_MIN: Final = 4
"""A term this long is found anywhere in letters that stand alone; a shorter one must be all of them."""
CUT_LENGTH_MIN: Final = 6
"""A term this long is also found when a space cuts it in two."""
WORDS_KNOWN_MAX: Final = 8192
KNOWN_LENGTH_MAX: Final = 32
"""So many words, and pairs of words, none longer than that, does a matcher know to be free of its terms."""
LEARNT_AT_ONCE_MAX: Final = 4
"""With more strange words than that a text is read whole: word by word would cost more."""

_LETTER: Final = r"[\w@$!|+*]"
_SIGN: Final = r"[^\w@$!|+*\s]"
_INNER: Final = re.compile(rf"(?<={_LETTER}){_SIGN}+(?={_LETTER})")
_SPELLED: Final = re.compile(rf"(?<!{_LETTER}){_LETTER}(?:(?:{_SIGN}|\s){{1,3}}{_LETTER}(?![\w@$|+*])){{2,}}")
_STUDDED: Final = re.compile(r"(?<!\w)\w([*!+|@$])\w(?:\1\w)+")
_APART: Final = re.compile(rf"(?:{_SIGN}|\s)+")
_WORD: Final = re.compile(r"\w+")
# Each begins with a set of signs, which the engine looks for without trying the rest at every place.
_HAS_ALONE: Final = re.compile(rf"[^\w@$!|+*]{_LETTER}(?=[^\w@$!|+*])")
_HAS_STUD: Final = re.compile(r"[*!+|@$](?=\w)")
# Of plain text the same by its shape: letters and digits `a`, what is also typed for one `*`, blanks, other signs `.`.
_SHAPES: Final = bytes(
    ord("*" if sign in "@$!|+*" else " " if sign.isspace() else "a" if sign.isalnum() or sign == "_" else ".")
    for sign in map(chr, range(256))
)
_APART_PLAIN: Final = bytes(code if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(256))


class Terms(msgspec.Struct, frozen=True):
    """A show's lists, as its moderators wrote them. `sites`: whose addresses may be named where links are off."""

    blocked: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()


def clean_term(term: str) -> str | None:
    """The term as it is kept: lower case, single spaces. None when nothing is left to look for, or it is too long."""
    clean = " ".join(term.lower().split())
    letters = len(fold(clean).replace("*", "").replace(" ", ""))
    return clean if letters >= 2 and len(clean) <= TERM_LENGTH_MAX else None


class Matcher:
    """Finds the blocked terms of a list. Made once a list; safe to use from anywhere."""

    def __init__(self, terms: Terms) -> None:
        self._blocked = [fold(term) for term in terms.blocked]
        self._words = expression_of(self._blocked, whole=True)
        phrases = [term for term in self._blocked if " " in term.strip("* ")]
        self._phrases = expression_of(phrases, whole=True)
        self._openings = expression_of(phrases, whole=True, opening=True)
        self._known: dict[str, bool] = {}  # words without a term: whether one of several words may begin there
        plain = [term for term in (term.strip("*") for term in self._blocked) if "*" not in term]
        self._spelled = expression_of([term for term in plain if len(term) >= SPELLED_LENGTH_MIN], whole=False)
        self._cut = frozenset(term for term in plain if len(term) >= CUT_LENGTH_MIN and term.isalpha())
        self._cut_plain = frozenset(term.encode() for term in self._cut)
        self._permitted = expression_of([fold(term) for term in terms.permitted], whole=True)

    def find(self, folded: str) -> str | None:
        """The first words of a folded text that a blocked term forbids; None when there are none."""
        if self._words is None:
            return None
        found = None
        expression = self._what_to_search(folded.split())
        if expression is not None:
            found = self._search(expression, folded)
            joined = _INNER.sub("", folded)
            if found is None and joined != folded:
                found = self._search(expression, joined)
        has_alone, has_stud = _shape(folded)
        if found is None and (has_alone or has_stud):
            found = self._find_spelled(folded)
        if found is None and self._cut:
            found = self._find_cut(folded)
        return found

    def _what_to_search(self, words: list[str]) -> re.Pattern[str] | None:
        """What a text of these words is to be searched for: nothing, terms of several words, or any. No other term
        reaches beyond what stands between two blanks.
        """
        begins = self._look_at(words)
        if None in begins:
            return self._words
        if True not in begins:
            return None
        goes_on = self._look_at([f"{word} {after}" for word, after in compress(pairwise(words), begins)])
        return self._phrases if True in goes_on or None in goes_on else None

    def _look_at(self, words: list[str]) -> list[bool | None]:
        """Of each word, or of two with a blank between them: whether a term may begin in the first that goes on after
        the last. A None among them says that there may be a whole one.
        """
        begins = [*map(self._known.get, words)]
        if None in begins:
            strange = {word for word, known in zip(words, begins, strict=True) if known is None}
            if len(strange) <= LEARNT_AT_ONCE_MAX:
                learnt = {word: self._learn(word) for word in strange}
                return [learnt.get(word, known) for word, known in zip(words, begins, strict=True)]
            for word in list(strange)[:LEARNT_AT_ONCE_MAX]:
                self._learn(word)
        return begins

    def _learn(self, word: str) -> bool | None:
        """Looks through one; it is known from then on, unless there is a term in it."""
        assert self._words is not None
        readings = {word} if word.isalnum() else {word, _INNER.sub("", word)}
        # What is found in a number is a number, and no term (`_is_worded`).
        searched = () if word.isdigit() else readings
        if any(self._words.search(reading) and self._search(self._words, reading) for reading in searched):
            return None
        begins = self._openings is not None and any(
            found.start() <= len(reading.partition(" ")[0])
            for reading in readings
            if (found := self._openings.search(reading)) is not None
        )
        if len(word) <= KNOWN_LENGTH_MAX:
            if len(self._known) >= WORDS_KNOWN_MAX:
                self._known.clear()
            self._known[word] = begins
        return begins

    def _search(self, expression: re.Pattern[str], reading: str) -> str | None:
        permitted: list[tuple[int, int]] | None = None
        for match in expression.finditer(reading):
            start = match.start() if expression is self._spelled else _word_start(reading, match.start())
            found = reading[start : match.end()]
            if not _is_worded(found):
                continue
            if permitted is None:
                permitted = self._permitted_in(reading)
            if not any(begins <= start and match.end() <= ends for begins, ends in permitted):
                return found.strip()
        return None

    def _permitted_in(self, reading: str) -> list[tuple[int, int]]:
        if self._permitted is None:
            return []
        return [(_word_start(reading, match.start()), match.end()) for match in self._permitted.finditer(reading)]

    def _find_spelled(self, folded: str) -> str | None:
        runs = [_APART.sub("", run.group()) for run in _SPELLED.finditer(folded)]
        runs += [run.group().replace(run.group(1), "") for run in _STUDDED.finditer(folded)]
        for run in runs:
            assert self._words is not None
            found = self._search(self._words, run)
            if found is None and self._spelled is not None:
                found = self._search(self._spelled, run)
            if found is not None:
                return found
        return None

    def _find_cut(self, folded: str) -> str | None:
        if folded.isascii():
            plain = folded.encode().translate(_APART_PLAIN).split()
            if self._cut_plain.isdisjoint(map(add, plain, plain[1:])):
                return None
        for first, second in pairwise(_WORD.findall(folded)):
            if first + second in self._cut:
                start, end = _place(folded, first, second)
                if not any(begins <= start and end <= ends for begins, ends in self._permitted_in(folded)):
                    return f"{first} {second}"
        return None


def _place(folded: str, first: str, second: str) -> tuple[int, int]:
    found = re.search(rf"\b{re.escape(first)}\W+{re.escape(second)}\b", folded)
    assert found is not None, (first, second)
    return found.span()


def _shape(folded: str) -> tuple[bool, bool]:
    """Whether the text may have letters that stand alone, one after the other, and one that studs words."""
    if not folded.isascii():
        return _HAS_ALONE.search(folded) is not None, _HAS_STUD.search(folded) is not None
    shape = folded.encode().translate(_SHAPES)
    apart = shape.replace(b".", b" ")
    has_alone = b" a " in apart or b" * " in apart
    if has_alone and b"*" not in shape:
        has_alone = b" a a a " in b" %b " % apart.replace(b"   ", b" ").replace(b"  ", b" ")
    return has_alone, b"*a" in shape


def _word_start(reading: str, at: int) -> int:
    """Where the word begins in which something was found: a term that begins with `*` is searched without it."""
    while at and (reading[at - 1].isalnum() or reading[at - 1] == "_"):
        at -= 1
    return at


def _is_worded(found: str) -> bool:
    """Whether letters carry it: 455 is a number, and $5 a price."""
    letters = sum(sign.isalpha() for sign in found)
    return letters * 3 >= len(found.replace(" ", "")) if letters else "@" in found and "$" in found
