"""Blocked and permitted terms as one expression, factored by their beginnings. Pure: terms in, an expression out.

Each letter stands for all that may be typed for it, stretched as far as is no flood. Where signs may be of one letter
or of the next, the engine tries every way to share them out. So that no term makes one message keep a process busy, it
has a certain number of ways at most (WAYS_MAX); beyond them each letter takes what it can get.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from app.chat.flood_rules import SAME_SIGN_MAX

DOUBLED_LENGTH_MIN: Final = 5
"""In a term this long a doubled consonant is still that consonant. Of a shorter one that would be another word."""
GAP_MAX: Final = 5
"""So many signs between two words are no more than a gap."""
WAYS_MAX: Final = (SAME_SIGN_MAX + 1) ** 2
"""In so many ways are signs shared out within one term: as many as two letters have. Of its gaps one alone shares."""

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

_Piece = str
_Tree = dict[_Piece, "_Tree"]
_END: Final = ""


class _Part(NamedTuple):
    """Of a term: a letter with how many times it stands there and all that may stand for it, or a star, or a blank."""

    sign: str
    times: int
    choices: str = ""

    @property
    def starts(self) -> str:
        """With what it may begin."""
        return self.choices + (_PAIRS[self.sign][0] if self.sign in _PAIRS and self.times == 1 else "")


def expression_of(terms: Iterable[str], *, whole: bool, opening: bool = False) -> re.Pattern[str] | None:
    """One expression for all folded terms, or None for none. `whole`: at the borders of words, where no `*` says
    otherwise. `opening`: of each term of several words what comes before one of its blanks, at the end of a text.
    """
    open_left: _Tree = {}
    closed_left: _Tree = {}
    for term in terms:
        blanks = term.strip("* ").count(" ")
        for words in range(1, blanks + 1) if opening else [None]:
            pieces = _pieces(term, whole=whole, words=words)
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


def _pieces(term: str, *, whole: bool, words: int | None = None) -> Sequence[_Piece]:
    """The term letter by letter, each with all that may stand for it, then its right border. `words`: so many words of
    it, and then the end.
    """
    body = term.strip("* ")
    parts = list(_parts(body))
    pieces: list[_Piece] = []
    ways, blanks, gap_gives = 1, 0, False
    for n, part in enumerate(parts):
        blanks += part.sign == " "
        if blanks == words:
            break
        following = parts[n + 1].starts if n + 1 < len(parts) else ""
        if part.sign == "*":
            pieces.append(_ANY)
        elif part.sign == " ":
            is_open = any(not sign.isalnum() for sign in following)
            gives = is_open and not gap_gives and ways * (GAP_MAX + 1) <= WAYS_MAX
            ways *= GAP_MAX + 1 if gives else 1
            gap_gives |= gives
            pieces.append(_gap(is_open=is_open, gives=gives) if whole else "")
        else:
            gives = not set(part.choices).isdisjoint(following) and ways * (SAME_SIGN_MAX + 1) <= WAYS_MAX
            ways *= SAME_SIGN_MAX + 1 if gives else 1
            pieces.append(_letter(part, doubles=len(body) >= DOUBLED_LENGTH_MIN, gives=gives))
    if whole and term.startswith("*") and _ANY in pieces:
        pieces.insert(0, _ANY)  # from where the word begins, once, and not from each of its letters anew
    pieces = _stars_at_once(pieces)
    if words is not None:
        pieces.append(rf"\W{{0,{GAP_MAX}}}\Z")
    elif whole:
        pieces.append(_ANY if term.endswith("*") else r"(?!\w)")
    return [piece for piece in pieces if piece]


def _parts(body: str) -> Iterator[_Part]:
    at = 0
    while at < len(body):
        sign = body[at]
        count = len(body[at:]) - len(body[at:].lstrip(sign))
        first, last = at == 0, at + count == len(body)
        is_letter = sign not in "* "
        yield _Part(sign, count, _choices(sign, inner=not first and not last, last=last) if is_letter else "")
        at += count


def _stars_at_once(pieces: list[_Piece]) -> list[_Piece]:
    """What stands between two stars is found where it comes first, and nowhere else after that."""
    stars = [at for at, piece in enumerate(pieces) if piece == _ANY]
    for begin, end in reversed(list(pairwise(stars))):
        pieces[begin:end] = [rf"{_FIRST}{''.join(pieces[begin + 1 : end])})"]
    return pieces


def _gap(*, is_open: bool, gives: bool) -> _Piece:
    """Between two words. Where the next one may begin with a sign (`is_open`), a gap that gives nothing back is of
    blanks alone.
    """
    if not is_open:
        return rf"\W{{0,{GAP_MAX}}}+"
    return rf"\W{{0,{GAP_MAX}}}" if gives else rf"\s{{0,{GAP_MAX}}}+"


def _choices(sign: str, *, inner: bool, last: bool) -> str:
    """All that may stand for a letter."""
    choices = _TYPED.get(sign, sign)
    if last and sign != "!":
        choices = choices.replace("!", "")  # the mark at the end of a sentence
    return choices + "*" if inner and sign in _VOWELS else choices


def _letter(part: _Part, *, doubles: bool, gives: bool) -> _Piece:
    """The letter, as often as it stands there. Stretching (three or more of it) changes nothing; doubling may make
    another word.
    """
    sign, times, choices = part
    one = f"[{re.escape(choices)}]" if len(choices) > 1 else re.escape(choices)
    keeps = "" if gives else "+"
    stretched = f"(?:{one}{_STRETCHED})?{keeps}"
    if sign in _PAIRS and times == 1:
        return f"(?:{one}{stretched}|{_PAIRS[sign]})"
    if times > 1:
        return f"{one * times}{one}{_MORE}{keeps}"
    if doubles and sign not in _VOWELS:
        # Not from 1 on: of branches that begin with one sign the engine tries only those that may fit.
        return f"{one}{one}{_MORE}{keeps}"
    return f"{one}{stretched}"
