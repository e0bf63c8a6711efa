"""Patterns from profiles: what is taken, what is refused, and that the worst line takes few steps."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.text.pattern import LONGEST_LINE, LONGEST_PATTERN, compile_pattern

TAKEN = [
    r"T=(?P<t>-?\d+(?:\.\d+)?)C,H=(?P<h>\d+(?:\.\d+)?)%",
    r"(?P<t>[-+.\d]+)",
    r".*T=(?P<t>[\d.]+).*",
    r"(?P<a>\d+)\s*;\s*(?P<b>\d+)\s*;\s*(?P<c>[+-]?\d*\.?\d+)",
    r"(?P<state>OK|ON|OFF|ALARM)\s(?P<b>\d{1,3})",
    r">(?P<temperature>[+-]\d{3}\.\d{2})",
    r"温度[:：](?P<t>\d+)",
    r"^\s*(?P<a>[-+0-9.]+)\s+(?P<b>[-+0-9.]+)\s+(?P<c>[-+0-9.]+)$",
    r"[^,]*,[^,]*,(?P<a>[^,]*),(?P<b>[^,]*)",
    r"(?P<a>\d++)(?>x|y)",
]
REFUSED = [
    (r"(?P<a>(a+)+)b", "a group may be optional, but not repeated"),
    (r"(?P<x>(?:a|b|ab)*)c", "a group may be optional, but not repeated"),
    (r"(?P<x>(?:\d+,){3})", "a group may be optional, but not repeated"),
    (r"(?P<a>a?)a?a?a?", "can share their text"),
    (r"(?P<a>.*),(?P<b>.*),(?P<c>.*),(?P<d>.*)", "can share their text"),
    (r"\s*\s*\s*\s*(?P<a>x)", "can share their text"),
    (r"(?:a|ab)(?:a|ab)(?:a|ab)(?P<x>c)", "can share their text"),
    (r"(?:a)?(?:a)?(?:a)?(?P<x>a)", "can share their text"),
    (r"(?P<x>a)(?=b)", "only characters"),
    (r"(?P<x>a)(?P=x)", "only characters"),
    (r"(?i)(?P<x>a)", "flags"),
    (r"(?P<x>(?i:a))", "flags"),
    (r"\d+", "name at least one group"),
    (r"(?P<x>", "no regular expression"),
    (r"(?P<x>a{99999999999999999999})", "no regular expression"),
    ("(?P<x>" + "a" * LONGEST_PATTERN + ")", "at most"),
    ("(" * 400 + "(?P<x>a)" + ")" * 400, ""),
]


@pytest.mark.parametrize("pattern", TAKEN)
def test_an_honest_pattern_is_taken(pattern: str) -> None:
    assert compile_pattern(pattern).groupindex


@pytest.mark.parametrize(("pattern", "why"), REFUSED)
def test_a_pattern_that_could_take_for_ever_or_means_nothing_is_refused(pattern: str, why: str) -> None:
    limit = sys.getrecursionlimit()
    try:
        compile_pattern(pattern)
    except ValueError as error:
        assert why in str(error)
    else:
        assert not why, "taken"
    assert sys.getrecursionlimit() == limit


ATOMS = st.sampled_from(
    [
        "a",
        "b",
        ".",
        r"\d",
        r"\s",
        "[ab]",
        "[^,]",
        ",",
        "a*",
        ".*",
        r"\d+",
        "[ab]+",
        "[^,]*",
        "a?",
        r"\d{1,3}",
        ",?",
    ]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        inner.map(lambda one: f"(?:{one})?"),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
    ),
    max_leaves=10,
)


def steps(pattern: str, text: str) -> int:
    """How often a naive backtracking matcher tests a character: an upper bound of what `re` does."""
    tree = re._parser.parse(pattern, re.ASCII)  # type: ignore[attr-defined]
    counted = 0

    def single(kind: str, argument: object, at: int) -> bool:
        nonlocal counted
        counted += 1
        if counted > 1_800_000:
            raise OverflowError
        if at >= len(text):
            return False
        if kind == "LITERAL":
            return ord(text[at]) == argument
        if kind == "ANY":
            return text[at] != "\n"
        if kind == "NOT_LITERAL":
            return ord(text[at]) != argument
        return _inside(argument, text[at])

    def match(nodes: list[object], at: int, then: object) -> bool:
        if not nodes:
            return then(at)  # type: ignore[operator]
        (kind, argument), rest = nodes[0], nodes[1:]  # type: ignore[misc]
        name = str(kind)
        if name in ("LITERAL", "ANY", "IN", "NOT_LITERAL"):
            return single(name, argument, at) and match(rest, at + 1, then)
        if name == "SUBPATTERN":
            return match(list(argument[3]) + rest, at, then)
        if name == "BRANCH":
            return any(match(list(one) + rest, at, then) for one in argument[1])
        low, high, inside = argument
        inner = list(inside)
        if len(inner) == 1 and str(inner[0][0]) in ("LITERAL", "ANY", "IN", "NOT_LITERAL"):
            reach = at
            while reach - at < int(high) and single(str(inner[0][0]), inner[0][1], reach):
                reach += 1
            return any(match(rest, end, then) for end in range(reach, at + int(low) - 1, -1))
        return match(inner + rest, at, then) or (int(low) == 0 and match(rest, at, then))

    match(list(tree), 0, lambda at: at == len(text))
    return counted


def _inside(items: object, char: str) -> bool:
    found = negated = False
    for what, value in items:  # type: ignore[attr-defined]
        name = str(what)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found |= ord(char) == value
        elif name == "RANGE":
            found |= value[0] <= ord(char) <= value[1]
        else:
            found |= char.isdigit() if "DIGIT" in str(value) else char.isspace()
    return found != negated


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.sampled_from(["a", "b", "1", ",", " ", "ab", "1a", "a,"]))
def test_what_is_taken_needs_few_steps_on_a_line_of_the_longest_kind(pattern: str, unit: str) -> None:
    whole = f"(?P<x>z?){pattern}Z"
    try:
        compile_pattern(whole)
    except ValueError:
        return
    line = (unit * LONGEST_LINE)[: 120 - 1] + "!"
    assert steps(whole, line) < 120**3  # two choices in doubt, and the walk to each failure


def test_the_count_of_steps_would_notice_a_pattern_that_explodes() -> None:
    with pytest.raises(OverflowError):
        steps(r"(?P<x>z?).*.*.*.*Z", "a" * 119 + "!")
