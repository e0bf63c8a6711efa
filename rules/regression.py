"""Least squares of a day's use over outdoor temperature: base, heating and cooling, with change points.

    use = base(school day or not) + heating x max(0, below - T) + cooling x max(0, T - above)

The two change points are those of a grid for which the squares are least; slopes below 0 mean that
there is none: then that part is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

HEATING_BELOW = range(8, 20)
"""Outdoor temperatures (Cel) below which heating may begin."""
COOLING_ABOVE = range(18, 30)
LEAST_DAYS = 10
"""A part that fewer days tell of is left out."""


class Fitted(NamedTuple):
    """`values`: base on school days, base on others, per heating degree, per cooling degree, below, above;
    `fitted` is what they say for each day, `free` how many of them the data chose."""

    values: tuple[float, float, float, float, float, float]
    fitted: tuple[float, ...]
    free: int


class _Kind(NamedTuple):
    """Days that nothing tells apart: how warm, whether school; how many there are, their mean use."""

    outdoor: float
    school: bool
    days: int
    use: float


def fit(use: Sequence[float], outdoor: Sequence[float], school: Sequence[bool]) -> Fitted:
    """The best fit; ValueError without any day."""
    if not use:
        raise ValueError("there is nothing to fit")
    seen: dict[tuple[float, bool], list[float]] = {}
    for day, value in zip(zip(outdoor, school, strict=True), use, strict=True):
        seen.setdefault(day, []).append(value)
    kinds = [_Kind(*day, len(values), sum(values) / len(values)) for day, values in seen.items()]
    best: tuple[float, Fitted] | None = None
    for below in HEATING_BELOW:
        for above in COOLING_ABOVE:
            if above < below:
                continue
            found = _fitted(kinds, float(below), float(above))
            # What days of one kind differ by is the same for every fit.
            squares = sum(
                kind.days * (kind.use - one) ** 2 for kind, one in zip(kinds, found.fitted, strict=True)
            )
            if best is None or squares < best[0] - 1e-9 * abs(best[0]):
                best = (squares, found)
    assert best is not None  # noqa: S101  # the grid is not empty
    told = dict(zip(seen, best[1].fitted, strict=True))
    return best[1]._replace(fitted=tuple(told[day] for day in zip(outdoor, school, strict=True)))


def _fitted(kinds: Sequence[_Kind], below: float, above: float) -> Fitted:
    """The fit with these change points; `fitted` for each kind of day."""
    weights = [math.sqrt(kind.days) for kind in kinds]  # of so many equal rows one, so much longer
    columns = {
        0: [float(kind.school) for kind in kinds],
        1: [float(not kind.school) for kind in kinds],
        2: [max(0.0, below - kind.outdoor) for kind in kinds],
        3: [max(0.0, kind.outdoor - above) for kind in kinds],
    }
    days = {
        i: sum(kind.days for kind, value in zip(kinds, column, strict=True) if value > 0)
        for i, column in columns.items()
    }
    taken = [i for i in columns if days[i] >= (1 if i < 2 else LEAST_DAYS)]
    weighed = {i: list(map(_product, columns[i], weights)) for i in taken}
    target = [kind.use * weight for kind, weight in zip(kinds, weights, strict=True)]
    while True:
        solution = least_squares([weighed[i] for i in taken], target)
        wrong = [i for i, value in zip(taken, solution, strict=True) if i >= 2 and value < 0]
        if not wrong:
            break
        taken = [i for i in taken if i not in wrong]
    found = dict(zip(taken, solution, strict=True))
    base = next((found[i] for i in (0, 1) if i in found), 0.0)
    school_base, other_base = found.get(0, base), found.get(1, base)
    values = (school_base, other_base, found.get(2, 0.0), found.get(3, 0.0), below, above)
    fitted = tuple(
        (school_base if kind.school else other_base) + values[2] * heat + values[3] * cool
        for kind, heat, cool in zip(kinds, columns[2], columns[3], strict=True)
    )
    return Fitted(values, fitted, len(taken))


def least_squares(columns: Sequence[Sequence[float]], target: Sequence[float]) -> list[float]:
    """The coefficients that make the squares least: normal equations, columns scaled to length 1, by
    Gaussian elimination with pivots. A column that the others already say gets 0."""
    lengths = [math.sqrt(math.fsum(x * x for x in column)) or 1.0 for column in columns]
    scaled = [[x / length for x in column] for column, length in zip(columns, lengths, strict=True)]
    rows = [
        [*(math.fsum(map(_product, one, other)) for other in scaled), math.fsum(map(_product, one, target))]
        for one in scaled
    ]
    return [value / length for value, length in zip(_solved(rows), lengths, strict=True)]


def _product(one: float, other: float) -> float:
    return one * other


def _solved(rows: list[list[float]]) -> list[float]:
    size = len(rows)
    pivots: list[int] = []
    for column in range(size):
        free = [row for row in range(size) if row not in pivots]
        pivot = max(free, key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) < 1e-10:
            pivots.append(-1)
            continue
        pivots.append(pivot)
        for row in range(size):
            if row != pivot:
                factor = rows[row][column] / rows[pivot][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[pivot], strict=True)]
    return [0.0 if pivot < 0 else rows[pivot][-1] / rows[pivot][i] for i, pivot in enumerate(pivots)]
