"""A run of samples side by side: what is handed over at once where nothing depends on their order with
those of other points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from drivers.reading import Millis, Value

FEW = 8
"""So many different values of a run are looked at one by one."""


class Run:
    """Good live samples of one point, oldest first, no two at one instant.

    All values are of type `kind`. `gap` is the longest time between two of them, 0 for a single one.
    """

    __slots__ = ("gap", "high", "kind", "low", "times", "values")

    def __init__(self, times: Sequence[Millis], values: Sequence[Value], kind: type, gap: Millis) -> None:
        self.times = times
        self.values = values
        self.kind = kind
        self.gap = gap
        self.low = min(values)
        self.high = max(values)

    @property
    def finite(self) -> bool:
        """Whether no value is an infinity or no number; true of switches and texts."""
        return self.kind is not float or math.isfinite(sum(map(float, self.values)))

    @property
    def ends(self) -> Sequence[Value]:
        """The least and the greatest value."""
        return self.low, self.high

    @property
    def different(self) -> Sequence[Value] | None:
        """Each value once; None when there are too many."""
        found = set(self.values)
        return tuple(found) if len(found) <= FEW else None


def gap_of(times: Sequence[Millis]) -> Millis:
    """The longest time between two neighbours."""
    return max((after - before for before, after in pairwise(times)), default=0)
