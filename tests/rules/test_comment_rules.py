"""Which messages buy and which are talk: a table of cases."""

import pytest

from app.flash_sales.comment_rules import Wish, clean_keyword, read_wish

KEYWORDS = {"a1", "blue", "tee-42", "茶", "größe"}

WISHES = [
    ("buy", 1, None),
    ("Buy", 1, None),
    ("BUY!", 1, None),
    ("  buy  ", 1, None),
    ("buy 2", 2, None),
    ("buy 2!!", 2, None),
    ("buy 2.", 2, None),
    ("buy x2", 2, None),
    ("buy 2x", 2, None),
    ("buy 2 please", 2, None),
    ("buy \uff12", 2, None),
    ("buy 99", 99, None),
    ("buy 02", 2, None),
    ("a1", 1, "a1"),
    ("A1", 1, "a1"),
    ("#A1", 1, "a1"),
    ("a1 2", 2, "a1"),
    ("2 a1", 2, "a1"),
    ("2x A1", 2, "a1"),
    ("A1 x3", 3, "a1"),
    ("buy a1", 1, "a1"),
    ("buy a1 2", 2, "a1"),
    ("buy 2 #a1", 2, "a1"),
    ("BLUE", 1, "blue"),
    ("tee-42 2", 2, "tee-42"),
    ("buy 茶", 1, "茶"),
    ("GRÖSSE", None, None),
    ("Größe 2", None, None),
]
TALK = [
    "I would buy this",
    "i'd buy 2",
    "buy?",
    "buy 2?",
    "a1?",
    "should I buy",
    "don't buy",
    "do not buy 2",
    "buy this",
    "buy it",
    "buying 2",
    "buyer",
    "2",
    "22",
    "x2",
    "please",
    "buy buy",
    "buy 2 3",
    "a1 blue",
    "buy a1 blue",
    "buy 0",
    "buy -1",
    "buy 1.5",
    "buy 1,5",
    "buy 100",
    "buy 99999",
    "buy 1e3",
    "buy two",
    "buy b7",
    "b7",
    "a1 is lovely",
    "the blue one",
    "blue or green?",
    "is a1 sold out",
    "2 of them",
    "please buy",
    "2 buy",
    "a1 buy",
    "buy\u200b2",
    "",
    " ",
    "!",
    "buy " + "x" * 60,
    "🛒",
    "buy 🛒",
    "can I still buy 2",
    "I want to buy 2",
    "who wants to buy 2",
    "goodbuy",
    "buy-2",
]


@pytest.mark.parametrize(("text", "quantity", "keyword"), WISHES)
def test_a_wish_is_read(text, quantity, keyword):
    folded = {word for word in map(clean_keyword, KEYWORDS) if word}
    wish = read_wish(text, folded)
    if quantity is None:  # folded alike, whichever way it is written
        assert wish is not None
        assert wish.keyword == clean_keyword("größe")
    else:
        assert wish == Wish(quantity, keyword)


@pytest.mark.parametrize("text", TALK)
def test_talk_does_not_buy(text):
    assert read_wish(text, {word for word in map(clean_keyword, KEYWORDS) if word}) is None


@pytest.mark.parametrize(
    "word", ["", " ", "buy", "BUY", "2", "x2", "2x", "12", "two words", "a" * 17, "a?", "please", "-"]
)
def test_a_keyword_that_would_be_mistaken_is_none(word):
    assert clean_keyword(word) is None


@pytest.mark.parametrize(
    ("word", "clean"), [("A1", "a1"), ("#Blue", "blue"), (" tee-42 ", "tee-42"), ("\uff21\uff11", "a1")]
)
def test_a_keyword_is_kept_as_it_is_compared(word, clean):
    assert clean_keyword(word) == clean
