"""Lists of texts that the staff keep."""

import pytest

from app.chat.list_rules import REPLIES, TICKER, clean_list
from app.refusal import Refusal

CASES = [
    ([], TICKER, ()),
    ([" Free  shipping\ntoday ", "", "\u200b", "Back at nine"], TICKER, ("Free shipping today", "Back at nine")),
    (["twice", "twice"], TICKER, ("twice",)),
    (["x" * 140], TICKER, ("x" * 140,)),
    (["x" * 141], TICKER, "ticker_invalid"),
    (["x" * 141], REPLIES, ("x" * 141,)),
    (["x" * 501], REPLIES, "replies_invalid"),
    ([str(n) for n in range(5)], TICKER, tuple("01234")),
    ([str(n) for n in range(6)], TICKER, "ticker_invalid"),
    ([str(n) for n in range(31)], REPLIES, "replies_invalid"),
    (["half \ud800"], TICKER, "ticker_invalid"),
]


@pytest.mark.parametrize(("texts", "size", "expected"), CASES)
def test_a_list_is_cleaned_and_has_its_size(texts, size, expected):
    found = clean_list(texts, size)
    assert (found.code if isinstance(found, Refusal) else found) == expected
