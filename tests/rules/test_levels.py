"""What the levels find and what they leave alone: a corpus of messages by language, kind and degree."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from app.chat.fold_rules import fold
from app.chat.level_rules import DEGREES, KINDS, STRICTEST, Levels, matcher_of, words_of
from app.chat.level_words import WORDS
from app.chat.term_rules import Terms, clean_term
from app.chat.text_rules import clean_message

CORPUS = Path(__file__).parent / "chat_corpus"


def lines(name):
    rows = [line for line in (CORPUS / name).read_text().splitlines() if line and not line.startswith("# ")]
    return [(head.split(), text) for head, _, text in (row.partition(" | ") for row in rows)]


def find(text, levels, *languages):
    return matcher_of(Terms(), levels, languages).find(fold(clean_message(text)))


def say(capsys, what, share, count):
    with capsys.disabled():
        sys.stdout.write(f"\n{what}: {share:.1%} of {count}\n")


def test_of_what_the_levels_look_for_at_least_95_in_100_is_caught(capsys):
    corpus = lines("levels.txt")
    missed = [(head, text) for head, text in corpus if find(text, STRICTEST, head[0]) is None]
    caught = 1 - len(missed) / len(corpus)
    say(capsys, "levels, caught", caught, len(corpus))
    assert len(corpus) >= 200
    assert caught >= 0.95, missed


def test_of_the_innocents_the_strictest_levels_hold_at_most_1_in_100(capsys):
    corpus = [*lines("level_innocents.txt"), *((["en"], text) for _, text in english())]
    held = {text: found for (language,), text in corpus if (found := find(text, STRICTEST, language)) is not None}
    say(capsys, "levels, innocents held", len(held) / len(corpus), len(corpus))
    assert len(corpus) >= 400
    assert len(held) <= len(corpus) / 100, held


def english():
    text = (CORPUS / "innocents.txt").read_text()
    return [("en", line) for line in text.splitlines() if line and not line.startswith("# ")]


@pytest.mark.parametrize(
    ("kind", "level", "text", "is_found"),
    [
        ("profanity", 0, "fuck", False),
        ("profanity", 1, "fuck", False),
        ("profanity", 2, "fuck", True),
        ("profanity", 4, "damn it", True),
        ("profanity", 3, "damn it", False),
        ("harassment", 4, "fuck", False),
        ("harassment", 1, "kys", True),
        ("spam", 4, "Shiitake and rapeseed oil", False),
        ("profanity", 4, "shiitake shit", True),
    ],
)
def test_a_level_finds_the_worst_of_its_kind_and_no_other(kind, level, text, is_found):
    assert (find(text, Levels(**{kind: level}), "en") is not None) is is_found


def test_a_language_is_looked_for_where_it_is_spoken_alone():
    assert [find("so ein depp", STRICTEST, language) for language in WORDS] == [None, "depp", None, None]


def test_a_shows_own_lists_go_with_the_levels_and_what_it_permits_is_permitted():
    own = Terms(("gizmo",), ("damn",))
    matcher = matcher_of(own, Levels(profanity=4), ("en",))
    assert [matcher.find(text) for text in ("a gizmo", "damn", "crap")] == ["gizmo", None, "crap"]


@pytest.mark.parametrize("language", WORDS)
def test_every_list_is_whole_and_of_terms_as_they_are_kept(language):
    one = {
        kind: [words_of(Levels(**{kind: level}), (language,)).blocked for level in range(DEGREES + 1)] for kind in KINDS
    }
    for by_level in one.values():
        assert [len(terms) for terms in by_level] == sorted({len(terms) for terms in by_level})
        assert all(set(less) < set(more) for less, more in pairwise(by_level))
    everything = words_of(STRICTEST, (language,))
    assert [term for term in (*everything.blocked, *everything.permitted) if clean_term(term) != term] == []
    assert words_of(Levels(), (language,)) == Terms()
