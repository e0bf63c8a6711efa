"""Regular expressions from a profile, refused where matching could take long; pure.

A backtracking matcher tries every way to share a text among repetitions that can take the
same characters. On a line of n bytes with k such repetitions that is in the order of n**k
steps, and without end for repetitions inside repetitions. So groups are not repeated, at
most `AMBIGUOUS` repetitions may leave a choice, and lines are at most `LONGEST_LINE` bytes:
some 100 000 steps at worst.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from re import _parser as parser  # type: ignore[attr-defined]  # the only way to see a pattern's structure
from typing import Any

LONGEST_LINE = 400
LONGEST_PATTERN = 1000
AMBIGUOUS = 2
_OTHERS = 256
"""Stands for every character beyond U+00FF."""
_ALL = frozenset(range(_OTHERS + 1))
_CLASSES = {
    "DIGIT": r"\d",
    "NOT_DIGIT": r"\D",
    "SPACE": r"\s",
    "NOT_SPACE": r"\S",
    "WORD": r"\w",
    "NOT_WORD": r"\W",
}
_SINGLE = ("LITERAL", "NOT_LITERAL", "ANY", "IN")
_REPEAT = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")

Characters = frozenset[int]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, ASCII classes only, to be used with `fullmatch`; ValueError says what is wrong with it."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
    try:
        compiled = re.compile(pattern, re.ASCII)
        tree = parser.parse(pattern, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from error
    if compiled.flags & ~(re.ASCII | re.UNICODE):
        raise ValueError("flags such as (?i) are not taken")
    if not compiled.groupindex:
        raise ValueError("name at least one group: (?P<temperature>...)")
    walk = _Walk()
    walk.sequence(tree, {})
    if len(walk.ambiguous) > AMBIGUOUS:
        raise ValueError(
            f"{len(walk.ambiguous)} repetitions can share their text in more than one way, which may take "
            f"for ever; at most {AMBIGUOUS} may: say what stands between exactly, such as [^,]* instead of .*"
        )
    return compiled


Open = dict[int, Characters]
"""Choices that the matcher may come back to: what each could have taken more or less of."""


@dataclass
class _Walk:
    """Goes through a pattern and finds the choices that a later part can reopen."""

    ambiguous: set[int] = field(default_factory=set)
    _numbers: int = 0

    def sequence(self, nodes: Iterable[Any], choices: Open) -> Open:
        """The choices that are open behind the nodes."""
        for kind, argument in nodes:
            choices = self._node(str(kind), argument, choices)
        return choices

    def _node(self, kind: str, argument: Any, choices: Open) -> Open:
        if kind in _SINGLE:
            return self._meet(_characters(kind, argument), choices)
        if kind == "AT":
            return choices
        if kind == "SUBPATTERN":
            _, added, removed, inside = argument
            if added or removed:
                raise ValueError("flags such as (?i:...) are not taken")
            return self.sequence(inside, choices)
        if kind == "ATOMIC_GROUP":
            return self.sequence(argument, choices)
        if kind == "BRANCH":
            return self._branch([list(one) for one in argument[1]], choices)
        if kind in _REPEAT:
            low, high, inside = argument
            return self._repeat(low, high, inside, choices)
        raise ValueError("only characters, classes, groups, alternatives and repetitions are taken")

    def _repeat(self, low: int, high: Any, inside: Any, choices: Open) -> Open:
        nodes = list(inside)
        single = len(nodes) == 1 and str(nodes[0][0]) in _SINGLE
        if not single and int(high) > 1:
            raise ValueError("a group may be optional, but not repeated: repeat single characters or classes")
        if single:
            characters = _characters(str(nodes[0][0]), nodes[0][1])
            after = self._meet(characters, choices)
            if int(low) == int(high):
                return after
            return (after if low else {**choices, **after}) | self._choice(characters)
        taken = self.sequence(nodes, choices)
        return taken if low else {**choices, **taken, **self._choice(_first(nodes))}

    def _branch(self, branches: Sequence[list[Any]], choices: Open) -> Open:
        result: Open = {}
        seen: Characters = frozenset()
        for branch in branches:
            first = _first(branch)
            if first & seen:
                self.ambiguous.add(self._number())
            seen |= first
            result |= self.sequence(branch, choices)
        return result

    def _meet(self, characters: Characters, choices: Open) -> Open:
        """A part that takes these characters: choices that could have are in doubt, others are settled."""
        left = {number: taken for number, taken in choices.items() if taken & characters}
        self.ambiguous.update(left)
        return left

    def _choice(self, characters: Characters) -> Open:
        return {self._number(): characters}

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers


def _first(nodes: Iterable[Any]) -> Characters:
    """Characters with which a sequence can begin; all of them where it may be empty."""
    found: Characters = frozenset()
    for kind, argument in nodes:
        name = str(kind)
        if name in _SINGLE:
            return found | _characters(name, argument)
        if name == "SUBPATTERN":
            return found | _first(argument[3])
        if name == "ATOMIC_GROUP":
            return found | _first(argument)
        if name == "BRANCH":
            return found.union(*(_first(branch) for branch in argument[1]))
        if name in _REPEAT:
            found |= _first(argument[2])
            if argument[0]:
                return found
    return _ALL


def _characters(kind: str, argument: Any) -> Characters:
    if kind == "ANY":
        return _ALL - {10}
    if kind == "LITERAL":
        return frozenset({min(argument, _OTHERS)})
    if kind == "NOT_LITERAL":
        return _ALL - ({argument} if argument < _OTHERS else set())
    found: set[int] = set()
    negated = False
    for what, value in argument:
        name = str(what)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found.add(min(value, _OTHERS))
        elif name == "RANGE":
            found.update(min(code, _OTHERS) for code in range(value[0], min(value[1], _OTHERS) + 1))
            found.update({_OTHERS} if value[1] >= _OTHERS else ())
        else:
            word = str(value).removeprefix("CATEGORY_").removeprefix("UNI_")
            known = re.compile(_CLASSES[word], re.ASCII)
            found.update(code for code in range(_OTHERS) if known.match(chr(code)))
            found.update({_OTHERS} if word.startswith("NOT_") else ())
    if negated:
        return _ALL - (found - {_OTHERS})
    return frozenset(found)
