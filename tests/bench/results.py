"""Samples put together: for each load and system the spread of each figure, and ratios; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.figures import Spread, ratio, spread
from tests.bench.stage import Sample

OURS = "campus-edge"


@dataclass(frozen=True, slots=True)
class Result:
    """One load: system -> figure -> spread over the repetitions, and what could not be measured."""

    load: str
    systems: Mapping[str, Mapping[str, Spread]]
    failed: Mapping[str, str]

    def figures(self) -> list[str]:
        """The figures that any system has, in the order of their first appearance."""
        found: dict[str, None] = {}
        for figures in self.systems.values():
            found.update(dict.fromkeys(figures))
        return list(found)

    def runs(self) -> int:
        """The repetitions behind this gateway's figures; 0 where it has none."""
        return max((one.runs for one in self.systems.get(OURS, {}).values()), default=0)

    def ratio(self, figure: str, system: str) -> float | None:
        """How many times this gateway's figure the system's is."""
        return ratio(self._of(system, figure), self._of(OURS, figure))

    def _of(self, system: str, figure: str) -> Spread | None:
        return self.systems.get(system, {}).get(figure)


def gather(samples: Sequence[Sample]) -> list[Result]:
    """The results of all loads, in the order in which they were run."""
    return [_result(load, [s for s in samples if s.load == load]) for load in _names(s.load for s in samples)]


def _names(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _result(load: str, samples: Sequence[Sample]) -> Result:
    systems: dict[str, dict[str, Spread]] = {}
    for system in _names(s.system for s in samples):
        mine = [s for s in samples if s.system == system and not s.failed]
        found: dict[str, Spread] = {}
        for figure in _names(name for s in mine for name in s.figures):
            one = spread(s.figures.get(figure) for s in mine)
            if one is not None:
                found[figure] = one
        systems[system] = found
    return Result(load, systems, {s.system: s.failed for s in samples if s.failed})


def curves(samples: Sequence[Sample], load: str, name: str) -> dict[str, list[float]]:
    """All repetitions' values of a curve, by system."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        if sample.load == load and sample.curves.get(name):
            found.setdefault(sample.system, []).extend(sample.curves[name])
    return found
