"""Answers by rule: which keyword a message has, and whether its answer may be given again. Pure.

A keyword counts as words of its own, wherever they stand and however they are written: look-alikes and accents are
folded. One that begins with `!` is a command, and counts only with its sign.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from app.chat.fold_rules import fold
from app.chat.text_rules import GRAPHEMES_MAX, clean_message, graphemes
from app.refusal import Refusal

RULES_MAX: Final = 30
KEYWORDS_MAX: Final = 8
KEYWORD_LENGTH_MAX: Final = 40
EVERY_S_MIN: Final = 10
EVERY_S_MAX: Final = 3600
ROOM_EVERY_S: Final = 5
"""Of all rules together one answer in so long."""

_WORD: Final = re.compile(r"!?\w+")

_Keyword = Annotated[str, Meta(max_length=KEYWORD_LENGTH_MAX * 4)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To messages with one of the keywords `answer` is said, at most once in `every_s`."""

    keywords: Annotated[list[_Keyword], Meta(min_length=1, max_length=KEYWORDS_MAX)]
    answer: Annotated[str, Meta(max_length=GRAPHEMES_MAX * 8)]
    every_s: Annotated[int, Meta(ge=EVERY_S_MIN, le=EVERY_S_MAX)] = 60

    @property
    def name(self) -> str:
        """What its turns are counted by: the same as long as it answers the same."""
        return self.keywords[0]


def plain(text: str) -> str:
    """The words of a text with one space around each."""
    return " ".join(["", *_WORD.findall(fold(text)), ""])


def cleaned(rules: Sequence[Rule]) -> list[Rule] | Refusal:
    """The rules as they are kept. A keyword without a word, or in two rules, is refused."""
    if len(rules) > RULES_MAX:
        return _invalid(f"A show has at most {RULES_MAX} answers.")
    kept: list[Rule] = []
    for rule in rules:
        answer = clean_message(rule.answer)
        if isinstance(answer, Refusal) or graphemes(answer) > GRAPHEMES_MAX:
            return _invalid(f"An answer has 1 to {GRAPHEMES_MAX} characters.")
        keywords = list(dict.fromkeys(plain(word).strip() for word in rule.keywords))
        if not all(keywords) or max(map(len, keywords)) > KEYWORD_LENGTH_MAX:
            return _invalid(f"A keyword has 1 to {KEYWORD_LENGTH_MAX} letters.")
        kept.append(Rule(keywords, answer, rule.every_s))
    every = [word for rule in kept for word in rule.keywords]
    return kept if len(set(every)) == len(every) else _invalid("One keyword stands in two rules.")


def _invalid(why: str) -> Refusal:
    return Refusal("answers_invalid", why)


def find_rule(text: str, rules: Sequence[Rule]) -> Rule | None:
    """The first rule of which the text has a keyword."""
    words = plain(text) if rules else ""
    return next((rule for rule in rules if any(f" {keyword} " in words for keyword in rule.keywords)), None)


def may_answer(rule: Rule, rule_ago_s: float | None, room_ago_s: float | None) -> bool:
    """Whether it is this rule's turn. `…_ago_s`: since it, and since any, was said last; None: never."""
    own = rule_ago_s is None or rule_ago_s >= rule.every_s
    return own and (room_ago_s is None or room_ago_s >= ROOM_EVERY_S)
