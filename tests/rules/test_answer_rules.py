"""Answers by rule: which keyword a message has, what a rule may be made of, and whose turn it is."""

import pytest

from app.chat.answer_rules import ROOM_EVERY_S, Rule, cleaned, find_rule, may_answer
from app.refusal import Refusal

RULES = [
    Rule(["shipping", "how much to"], "Nine euros"),
    Rule(["!size"], "S to XL"),
    Rule(["blue"], "In June"),
]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Shipping?", "Nine euros"),
        ("is SHIPPING free", "Nine euros"),
        ("sh\u00edpping", "Nine euros"),
        ("\u0455hipping", "Nine euros"),
        ("how  much, to Oslo?", "Nine euros"),
        ("how much is it to Oslo", None),
        ("dropshipping", None),
        ("shippings", None),
        ("!size", "S to XL"),
        ("what !size is it", "S to XL"),
        ("size", None),
        ("blue", "In June"),
        ("!blue", None),
        ("shipping in blue", "Nine euros"),
        ("", None),
        ("...", None),
    ],
)
def test_a_message_has_a_keyword(text, answer):
    rule = find_rule(text, RULES)
    assert (rule and rule.answer) == answer
    assert find_rule(text, []) is None


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ([], []),
        ([Rule([" Ship-Ping! ", "SHIP ping"], " Nine\neuros ")], [Rule(["ship ping"], "Nine euros")]),
        ([Rule(["!"], "x")], None),
        ([Rule(["?!"], "x")], None),
        ([Rule([""], "x")], None),
        ([Rule(["x" * 41], "x")], None),
        ([Rule(["x"], " ")], None),
        ([Rule(["x"], "y" * 501)], None),
        ([Rule(["x"], "a"), Rule(["X"], "b")], None),
        ([Rule([f"x{n}"], "a") for n in range(31)], None),
    ],
)
def test_rules_are_kept_as_they_count(rules, kept):
    found = cleaned(rules)
    assert found == kept if kept is not None else isinstance(found, Refusal) and found.code == "answers_invalid"


@pytest.mark.parametrize(
    ("rule_ago_s", "room_ago_s", "may"),
    [
        (None, None, True),
        (59.9, 59.9, False),
        (60.0, 60.0, True),
        (None, ROOM_EVERY_S - 0.1, False),
        (None, ROOM_EVERY_S, True),
        (3600.0, 1.0, False),
        (-1.0, -1.0, False),
    ],
)
def test_an_answer_is_given_once_in_a_while_and_one_of_all_in_a_shorter_one(rule_ago_s, room_ago_s, may):
    assert may_answer(Rule(["x"], "y", 60), rule_ago_s, room_ago_s) is may
