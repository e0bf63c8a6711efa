"""What a rule may get wrong with baselines and findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from drivers.settings import millis
from rules import arithmetic
from rules.baseline import KINDS
from rules.finding import EXCESS, HOURLY, averages
from rules.rulebook import Rule, RuleFault
from rules.tree import Node, Path


def check_references(
    at: Path, leaf: Node, unit: str, part: str, counters: frozenset[str] | None
) -> Iterator[RuleFault]:
    """An operand that names baselines: they exist, are of a counter, and fit the leaf's aggregate."""
    if leaf.agg in ("since_change", "count", "count_true"):
        yield RuleFault(at, f"agg {leaf.agg} is compared with numbers and parameters only")
    for reference in arithmetic.references(part):
        if reference.kind == "baseline":
            yield from _baseline(at, leaf, reference.name, counters)


def _baseline(at: Path, leaf: Node, name: str, counters: frozenset[str] | None) -> Iterator[RuleFault]:
    kind = KINDS.get(name)
    if kind is None:
        yield RuleFault(at, f"there is no baseline {name}; known: {', '.join(KINDS)}")
        return
    if leaf.p is None:
        yield RuleFault(at, "a baseline is that of a leaf's own counter: across has none")
        return
    point = leaf.p.rpartition(".")[2]
    if counters is not None and point not in counters:
        yield RuleFault(at, f"a baseline is learned from a counter, and {leaf.p} is none")
        return
    over = None if leaf.over is None else millis(leaf.over)
    if leaf.agg != kind.agg or (kind.over_ms is not None and over != kind.over_ms):
        span = "" if kind.over_ms is None else f" over {kind.over_ms // 3_600_000}h"
        yield RuleFault(at, f"the baseline {name} is of {kind.agg}{span}: the leaf must be the same")
    if leaf.agg == "min_rate" and leaf.unit is not None and not leaf.unit.endswith("/h"):
        yield RuleFault(at, f"the baseline {name} is per hour, and the leaf is in {leaf.unit}")
    if leaf.pick in ("max", "min", "avg"):
        yield RuleFault(at, f"a baseline is that of one counter: pick {leaf.pick} makes one of several")


def check_finding(rule: Rule, points: Mapping[str, str]) -> Iterator[RuleFault]:
    """A finding's estimate names roles and parameters that are there, and has a unit."""
    spec = rule.finding
    if spec is None or spec.est is None or spec.est == EXCESS:
        return
    at: Path = ("finding", "est")
    for name in arithmetic.names(spec.est):
        if name not in rule.params:
            yield RuleFault(at, f"there is no parameter {name}")
    for role in averages(spec.est):
        unit = points.get(role.rpartition(".")[2])
        if unit is None:
            yield RuleFault(at, f"{role.rpartition('.')[2]} is no point of the vocabulary")
        elif unit in ("bool", "text"):
            yield RuleFault(at, f"{role} is no number: it has no average")
        elif spec.unit is None and unit not in HOURLY:
            yield RuleFault(at, f"{role} is in {unit}: say the finding's unit, kWh or m3")
    if not averages(spec.est) and spec.unit is None:
        yield RuleFault(at, "say the finding's unit, kWh or m3")
