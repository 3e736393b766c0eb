"""Blocked and permitted terms as one expression, factored by their beginnings. Pure: terms in, an expression out.

Each letter stands for all that may be typed for it, stretched as far as is no flood. Where signs may be of one letter
or of the next, the engine tries every way to share them out. So that no term makes one message keep a process busy, it
has a certain number of ways at most (WAYS_MAX); where they run short, a letter takes all that it can get or ends before
the first sign that may be of the next, and beyond that it takes all.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import pairwise
from typing import Final, NamedTuple

from app.chat.flood_rules import SAME_SIGN_MAX

DOUBLED_LENGTH_MIN: Final = 5
"""In a term this long a doubled consonant is still that consonant. Of a shorter one that would be another word."""
GAP_MAX: Final = 5
"""So many signs between two words are no more than a gap."""
WAYS_MAX: Final = (SAME_SIGN_MAX + 1) ** 2
"""In so many ways are signs shared out within one term: as many as two letters have."""

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


class _Way(Enum):
    """How a letter or a gap shares the signs that may be of what follows: it takes all; it takes all, or ends before
    the first of them (where all may be: before the last); it tries every number of them.
    """

    ONE = 1
    TWO = 2
    ALL = 3


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
    doubles = len(body) >= DOUBLED_LENGTH_MIN
    border = _ANY if term.endswith("*") else r"(?!\w)"
    pieces: list[_Piece] = []
    blanks = 0
    for n, (part, way) in enumerate(zip(parts, _shared_out(parts, whole=whole), strict=True)):
        blanks += part.sign == " "
        if blanks == words:
            break
        if part.sign == "*":
            pieces.append(_ANY)
        elif part.sign == " ":
            pieces.append(_gap(_following(parts, n), way) if whole else "")
        elif n + 1 == len(parts) and whole and border != _ANY and not part.choices.isalnum():
            # What it took for its last letter it gives back where a word follows. Once: the border is all that waits.
            border = f"(?>{_letter(part, '', way=_Way.ALL, doubles=doubles)}{border})"
        else:
            pieces.append(_letter(part, _following(parts, n), way=way, doubles=doubles))
    if whole and term.startswith("*") and _ANY in pieces:
        pieces.insert(0, _ANY)  # from where the word begins, once, and not from each of its letters anew
    pieces = _stars_at_once(pieces)
    if words is not None:
        pieces.append(rf"\W{{0,{GAP_MAX}}}\Z")
    elif whole:
        pieces.append(border)
    return [piece for piece in pieces if piece]


def _following(parts: Sequence[_Part], at: int) -> str:
    """With what the next letter may begin, be it behind a blank or a star."""
    return next((part.starts for part in parts[at + 1 :] if part.sign not in "* "), "")


def _shared_out(parts: Sequence[_Part], *, whole: bool) -> Sequence[_Way]:
    """How each part shares with the next. First all that have to get the two ways of the cheaper sort, as far as there
    are WAYS_MAX; then those that gain most by it get all of theirs, from left to right.
    """
    ways = [_Way.ONE] * len(parts)
    shares: list[tuple[int, int]] = []
    for at, part in enumerate(parts):
        following = set(_following(parts, at))
        shared = {sign for sign in following if not sign.isalnum()} if part.sign == " " else following & {*part.choices}
        if part.sign == "*" or not shared or (part.sign == " " and not whole):
            continue
        shares.append(((shared == {"*"}) + 2 * (part.sign == " "), at))
    product = 1
    for _, at in sorted(shares):
        if product * 2 <= WAYS_MAX:
            ways[at], product = _Way.TWO, product * 2
    for _, at in sorted(shares):
        every = product // 2 * (1 + (GAP_MAX if parts[at].sign == " " else SAME_SIGN_MAX))
        if ways[at] is _Way.TWO and every <= WAYS_MAX:
            ways[at], product = _Way.ALL, every
    return ways


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


def _gap(following: str, way: _Way) -> _Piece:
    """Between two words. Where the next one may begin with a sign, the gap takes all signs or ends before that one."""
    every = rf"\W{{0,{GAP_MAX}}}"
    begins = "".join(sign for sign in following if not sign.isalnum())
    before = rf"[^\w{re.escape(begins)}]{{0,{GAP_MAX}}}+"
    match way:
        case _Way.ALL:
            return every
        case _Way.TWO:
            return f"(?:{every}+|{before})"
    return f"{every}+" if begins in {"", "*"} else before


def _choices(sign: str, *, inner: bool, last: bool) -> str:
    """All that may stand for a letter."""
    choices = _TYPED.get(sign, sign)
    if last and sign != "!":
        choices = choices.replace("!", "")  # the mark at the end of a sentence
    return choices + "*" if inner and sign in _VOWELS else choices


def _letter(part: _Part, following: str, *, way: _Way, doubles: bool) -> _Piece:
    """The letter, as often as it stands there. Stretching (three or more of it) changes nothing; doubling may make
    another word.
    """
    sign, times, choices = part
    one = _one_of(choices)
    own = "".join(choice for choice in choices if choice not in following)
    if times == 1 and (not doubles or sign in _VOWELS or sign in _PAIRS):
        taken = [f"(?:{one}{_STRETCHED})?", f"(?:{_one_of(own)}{_STRETCHED})?" if own else ""]
    else:
        taken = [f"{one}{_MORE}", f"{_one_of(own)}{_MORE}" if own else f"(?:{one}(?={one})){_MORE}"]
    match way:
        case _Way.ALL:
            more = taken[0]
        case _Way.TWO:
            more = "(?:" + "|".join(many and f"{many}+" for many in taken) + ")"
        case _Way.ONE:
            more = f"{taken[0]}+"
    if sign in _PAIRS and times == 1:
        return f"(?:{one}{more}|{_PAIRS[sign]})"
    # Not from 1 on: of branches that begin with one sign the engine tries only those that may fit.
    return f"{one * times}{more}"


def _one_of(choices: str) -> str:
    return f"[{re.escape(choices)}]" if len(choices) > 1 else re.escape(choices)
