"""Blocked and permitted terms: from a moderator's list to one matcher. Pure: text in, the term that was found out.

A term is a word or some words; `*` stands for any letters (`scam*`, `*coin`, `*free*`). A word matches whole words only
unless it says otherwise, so that a cocktail stays a cocktail. What is found inside a permitted term is not found.

Three readings are searched: the folded text as it stands; with the signs inside words taken out (`b.a-d`); and the
letters that stand alone put together (`b a d`). Long terms are also found cut in two (`bast ard`).

All terms are one expression, factored by their beginnings, so that a text is read once however long the list is. A
reading that costs more is taken only of a text that has what it is for.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import add
from typing import Final

import msgspec

from app.chat.flood_rules import SAME_SIGN_MAX
from app.chat.fold_rules import fold

TERM_LENGTH_MAX: Final = 60
TERMS_MAX: Final = 500
SPELLED_LENGTH_MIN: Final = 4
"""A term this long is found anywhere in letters that stand alone; a shorter one must be all of them."""
CUT_LENGTH_MIN: Final = 6
"""A term this long is also found when a space cuts it in two."""
DOUBLED_LENGTH_MIN: Final = 5
"""In a term this long a doubled consonant is still that consonant. Of a shorter one that would be another word."""
GIVING_MAX: Final = 2
"""Of letters in a row that are typed alike (i and l: `1`) so many give back what they took for the next. Every further
one would multiply the ways in which a text is tried, until one message keeps a process busy for hours.
"""
GIVEN_MAX: Final = 3
"""So often, for the same reason, is something given back in a whole term: by letters, or by gaps before words that may
begin with a sign, which stop one earlier.
"""

# What else is typed for a letter.
_TYPED: Final = {
    "a": "a4@",
    "b": "b8",
    "e": "e3",
    "g": "g9",
    "i": "i1!|",
    "l": "l1|",
    "o": "o0",
    "s": "s5$",
    "t": "t7+",
    "u": "uv",
    "z": "z2",
}
_PAIRS: Final = {"w": "vv", "f": "ph", "x": "ks"}
_STRETCHED: Final = f"{{2,{SAME_SIGN_MAX}}}"  # what is stretched further is a flood
_MORE: Final = f"{{0,{SAME_SIGN_MAX}}}"
_ANY: Final = r"\w*"
_FIRST: Final = r"(?>\w*?"
_VOWELS: Final = frozenset("aeiou")
_LETTER: Final = r"[\w@$!|+*]"
_SIGN: Final = r"[^\w@$!|+*\s]"
_INNER: Final = re.compile(rf"(?<={_LETTER}){_SIGN}+(?={_LETTER})")
_SPELLED: Final = re.compile(rf"(?<!{_LETTER}){_LETTER}(?:(?:{_SIGN}|\s){{1,3}}{_LETTER}(?![\w@$|+*])){{2,}}")
_STUDDED: Final = re.compile(r"(?<!\w)\w([*!+|@$])\w(?:\1\w)+")
_APART: Final = re.compile(rf"(?:{_SIGN}|\s)+")
_WORD: Final = re.compile(r"\w+")
# Each begins with a set of signs, which the engine looks for without trying the rest at every place.
_HAS_INNER: Final = re.compile(rf"{_SIGN}(?={_LETTER})")
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
        self._words = _expression(self._blocked, whole=True)
        plain = [term for term in (term.strip("*") for term in self._blocked) if "*" not in term]
        self._spelled = _expression([term for term in plain if len(term) >= SPELLED_LENGTH_MIN], whole=False)
        self._cut = frozenset(term for term in plain if len(term) >= CUT_LENGTH_MIN and term.isalpha())
        self._cut_plain = frozenset(term.encode() for term in self._cut)
        self._permitted = _expression([fold(term) for term in terms.permitted], whole=True)

    def find(self, folded: str) -> str | None:
        """The first words of a folded text that a blocked term forbids; None when there are none."""
        if self._words is None:
            return None
        found = self._search(self._words, folded)
        has_inner, has_alone, has_stud = _shape(folded)
        if found is None and has_inner:
            found = self._search(self._words, _INNER.sub("", folded))
        if found is None and (has_alone or has_stud):
            found = self._find_spelled(folded)
        if found is None and self._cut:
            found = self._find_cut(folded)
        return found

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


def _shape(folded: str) -> tuple[bool, bool, bool]:
    """Whether the text has a sign inside a word, a letter that stands alone, and a letter after what studs words."""
    if not folded.isascii():
        return tuple(has.search(folded) is not None for has in (_HAS_INNER, _HAS_ALONE, _HAS_STUD))  # type: ignore[return-value]
    shape = folded.encode().translate(_SHAPES)
    apart = shape.replace(b".", b" ")
    has_inner = b".a" in shape or b".*" in shape
    return has_inner, b" a " in apart or b" * " in apart, b"*a" in shape


def _word_start(reading: str, at: int) -> int:
    """Where the word begins in which something was found: a term that begins with `*` is searched without it."""
    while at and (reading[at - 1].isalnum() or reading[at - 1] == "_"):
        at -= 1
    return at


def _is_worded(found: str) -> bool:
    """Whether letters carry it: 455 is a number, and $5 a price."""
    letters = sum(sign.isalpha() for sign in found)
    return letters * 3 >= len(found.replace(" ", "")) if letters else "@" in found and "$" in found


# From here on: terms to expressions.

_Piece = str
_Tree = dict[_Piece, "_Tree"]
_END: Final = ""


def _expression(terms: Iterable[str], *, whole: bool) -> re.Pattern[str] | None:
    """One expression for all terms, or None for none. `whole`: at the borders of words, where no `*` says otherwise."""
    open_left: _Tree = {}
    closed_left: _Tree = {}
    for term in terms:
        pieces = _pieces(term, whole=whole)
        is_open = not whole or (term.startswith("*") and not pieces[0].startswith(_FIRST))
        tree = open_left if is_open else closed_left
        for piece in pieces:
            tree = tree.setdefault(piece, {})
        tree[_END] = {}
    parts = [_write(open_left)] if open_left else []
    if closed_left:
        parts.append(r"(?<!\w)" + _write(closed_left))
    return re.compile("|".join(parts)) if parts else None


def _write(tree: _Tree) -> str:
    branches = [piece + _write(rest) for piece, rest in tree.items() if piece != _END]
    if _END in tree:
        branches.append("")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _pieces(term: str, *, whole: bool) -> Sequence[_Piece]:
    """The term letter by letter, each with all that may stand for it, then its right border."""
    body = term.strip("* ")
    pieces: list[_Piece] = []
    at, alike, before, given = 0, 0, "", 0
    is_long = len(body) >= DOUBLED_LENGTH_MIN
    while at < len(body):
        sign = body[at]
        count = len(body[at:]) - len(body[at:].lstrip(sign))
        if sign == "*":
            pieces.append(_ANY)
            alike, before = 0, ""
        elif sign == " ":
            is_open = _may_begin_with_sign(body[at:].lstrip(" *"))
            given += is_open
            pieces.append(_gap(is_open=is_open, gives=given < GIVING_MAX) if whole else "")
        else:
            first, last = at == 0, at + count == len(body)
            choices = _choices(sign, inner=not first and not last, last=last)
            is_alike = not set(before).isdisjoint(choices)
            alike = alike + 1 if is_alike else 0
            given += is_alike
            gives = alike < GIVING_MAX and given < GIVEN_MAX
            pieces.append(_letter(sign, choices, count, doubles=is_long, gives=gives))
            before = choices
        at += count
    if whole and term.startswith("*") and _ANY in pieces:
        pieces.insert(0, _ANY)  # from where the word begins, once, and not from each of its letters anew
    pieces = _stars_at_once(pieces)
    if whole:
        pieces.append(_ANY if term.endswith("*") else r"(?!\w)")
    return [piece for piece in pieces if piece]


def _stars_at_once(pieces: list[_Piece]) -> list[_Piece]:
    """What stands between two stars is found where it comes first, and nowhere else after that."""
    stars = [at for at, piece in enumerate(pieces) if piece == _ANY]
    for begin, end in reversed(list(pairwise(stars))):
        pieces[begin:end] = [rf"{_FIRST}{''.join(pieces[begin + 1 : end])})"]
    return pieces


def _may_begin_with_sign(rest: str) -> bool:
    return not _choices(rest[0], inner=False, last=len(rest) == 1).isalnum()


def _gap(*, is_open: bool, gives: bool) -> _Piece:
    """Between two words. Where the next one may begin with a sign (`is_open`), a gap that gives nothing back is of
    blanks alone.
    """
    if not is_open:
        return r"\W{0,5}+"
    return r"\W{0,5}" if gives else r"\s{0,5}+"


def _choices(sign: str, *, inner: bool, last: bool) -> str:
    """All that may stand for a letter."""
    choices = _TYPED.get(sign, sign)
    if last and sign != "!":
        choices = choices.replace("!", "")  # the mark at the end of a sentence
    return choices + "*" if inner and sign in _VOWELS else choices


def _letter(sign: str, choices: str, count: int, *, doubles: bool, gives: bool) -> _Piece:
    """`count` times the letter. Stretching (three or more of it) changes nothing; doubling may make another word."""
    one = f"[{re.escape(choices)}]" if len(choices) > 1 else re.escape(choices)
    keeps = "" if gives else "+"
    stretched = f"(?:{one}{_STRETCHED})?{keeps}"
    if sign in _PAIRS and count == 1:
        return f"(?:{one}{stretched}|{_PAIRS[sign]})"
    if count > 1:
        return f"{one * count}{one}{_MORE}{keeps}"
    if doubles and sign not in _VOWELS:
        # Not from 1 on: of branches that begin with one sign the engine tries only those that may fit.
        return f"{one}{one}{_MORE}{keeps}"
    return f"{one}{stretched}"
