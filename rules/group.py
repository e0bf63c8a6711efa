"""How many of a group fulfil a condition, compared with a threshold."""

from __future__ import annotations

from collections.abc import Sequence

from rules.comparison import Compare
from rules.truth import Judge, Truth


class Group:
    """Counts true members, or their share; unknown where the unknown ones could turn the outcome."""

    __slots__ = ("_compare", "_members", "_share", "held")

    def __init__(self, members: Sequence[Judge], share: bool, compare: Compare) -> None:
        self._members = tuple(members)
        self._share = share
        self._compare = compare
        self.held = False

    def judge(self) -> Truth:
        """The present truth."""
        certain, possible = self.bounds()
        truth = self._compare(certain, self.held)
        if truth is not self._compare(possible, self.held):
            return None
        self.held = truth
        return truth

    def bounds(self) -> tuple[float, float]:
        """The least and the most it may be, given what is unknown."""
        truths = [member() for member in self._members]
        certain = truths.count(True)
        possible = certain + truths.count(None)
        whole = len(truths) if self._share else 1
        return certain / whole, possible / whole
