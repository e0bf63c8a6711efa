"""Kleene's three-valued logic: true, false, and None for unknown.

unknown and false is false, unknown or true is true, not unknown is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Truth = bool | None
Judge = Callable[[], Truth]
"""Answers with the present truth of a part of a condition."""


def all_of(parts: Sequence[Judge]) -> Judge:
    """True when all are, false when one is; true for no parts."""

    def judge() -> Truth:
        result: Truth = True
        for part in parts:
            truth = part()
            if truth is False:
                return False
            if truth is None:
                result = None
        return result

    return judge


def any_of(parts: Sequence[Judge]) -> Judge:
    """True when one is, false when all are; false for no parts."""

    def judge() -> Truth:
        result: Truth = False
        for part in parts:
            truth = part()
            if truth is True:
                return True
            if truth is None:
                result = None
        return result

    return judge


def not_of(part: Judge) -> Judge:
    """The opposite; unknown stays unknown."""

    def judge() -> Truth:
        truth = part()
        return None if truth is None else not truth

    return judge


def n_of(n: int, parts: Sequence[Judge]) -> Judge:
    """True when at least n are, false when so many cannot be any more."""

    def judge() -> Truth:
        truths = [part() for part in parts]
        certain = truths.count(True)
        if certain >= n:
            return True
        return None if certain + truths.count(None) >= n else False

    return judge
