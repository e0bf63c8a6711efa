"""What the benchmark is meant to show, and whether this run showed it: reckoned from its results; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.bench.catalogue import FIGURES
from tests.bench.figures import Spread
from tests.bench.loads import dashboard, drain, line, rules
from tests.bench.results import OURS, Result

FLOOR, THINGSBOARD, NODE_RED = "floor", "thingsboard", "node-red"
MEGABYTE, HOUR_S, DAY_S = 1e6, 3600.0, 86_400.0


class Verdict(Enum):
    """How a goal fared."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured in this run"


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal: a figure of a load that shall be at least (`least`) or at most `bound`, in SI units.

    With `beside` it is a ratio: with `least` how many times this gateway's figure the other's is, else how
    many times the other's figure this gateway's is. With `worst` the worst repetition counts, not the
    median. `needs` are figures that must reach a value before the goal counts as measured. `system` is
    whose figure it is.
    """

    what: str
    load: str
    figure: str
    bound: float
    least: bool = False
    beside: str = ""
    worst: bool = False
    needs: Mapping[str, float] = field(default_factory=dict)
    system: str = OURS

    def asked(self) -> str:
        """The goal as it is printed."""
        return f"{'at least' if self.least else 'at most'} {self.show(self.bound)}"

    def show(self, value: float) -> str:
        """A value of this goal as it is printed."""
        if self.beside:
            return f"{value:.2f} x"
        known = FIGURES[self.figure]
        return f"{known.show(value)} {known.unit}".strip()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run says of a goal; `runs` repetitions stand behind it."""

    goal: Goal
    verdict: Verdict
    measured: float | None = None
    runs: int = 0


def judge(goals: Sequence[Goal], results: Sequence[Result]) -> list[Judgement]:
    """Each goal, in order."""
    by_load = {result.load: result for result in results}
    return [_judged(goal, by_load.get(goal.load)) for goal in goals]


def _judged(goal: Goal, result: Result | None) -> Judgement:
    figures = result.systems.get(goal.system, {}) if result is not None else {}
    ours = figures.get(goal.figure)
    enough = all(name in figures and figures[name].median >= least for name, least in goal.needs.items())
    if result is None or ours is None or not enough:
        return Judgement(goal, Verdict.NOT_MEASURED)
    if not goal.beside:
        return _verdict(goal, _counting(goal, ours), ours.runs)
    theirs = result.systems.get(goal.beside, {}).get(goal.figure)
    over, under = (theirs, ours) if goal.least else (ours, theirs)
    if over is None or under is None or not under.median:
        return Judgement(goal, Verdict.NOT_MEASURED)
    return _verdict(goal, over.median / under.median, min(over.runs, under.runs))


def _counting(goal: Goal, one: Spread) -> float:
    if not goal.worst:
        return one.median
    return one.low if goal.least else one.high


def _verdict(goal: Goal, measured: float, runs: int) -> Judgement:
    met = measured >= goal.bound if goal.least else measured <= goal.bound
    return Judgement(goal, Verdict.MET if met else Verdict.MISSED, measured, runs)


def _cheaper(load: str, devices: int, by: Mapping[str, float]) -> tuple[Goal, ...]:
    names = {THINGSBOARD: "thingsboard-gateway", NODE_RED: "Node-RED"}
    return tuple(
        Goal(
            f"CPU, {devices} devices: {names[system]}'s beside this gateway's",
            load, "cpu_per_1000", times, least=True, beside=system,
        )
        for system, times in by.items()
    )  # fmt: skip


_LINES = tuple(
    Goal(f"RS-485 at 9600, {what}, gap {gap} ms", f"{load}, gap {gap} ms", "of_limit", share, least=True)
    for load, what, share in (
        ("line", "share of the wire's limit", 0.97),
        ("line-dead", f"{line.DEAD} of {line.DEVICES} dead", 0.90),
    )
    for gap in line.GAPS_MS
)
GOALS: tuple[Goal, ...] = (
    *_cheaper("poll-50", 50, {THINGSBOARD: 3.0, NODE_RED: 1.0}),
    *_cheaper("poll-200", 200, {THINGSBOARD: 2.0, NODE_RED: 1.0}),
    Goal("CPU, 200 devices: beside the floor's", "poll-200", "cpu_per_1000", 2.5, beside=FLOOR),
    Goal("poll grid, 200 devices: periods missed", "poll-200", "missed", 0.0, worst=True),
    Goal("poll grid, 200 devices: gap p99", "poll-200", "gap_p99_s", 1.02),
    Goal("wire to sink, 200 devices: p99", "poll-200", "latency_p99_s", 0.020),
    Goal("wire to sink, 200 devices: thingsboard-gateway's p99 beside this gateway's",
         "poll-200", "latency_p99_s", 8.0, least=True, beside=THINGSBOARD),
    *(Goal(f"wire to sink, {devices} devices: thingsboard-gateway's p50 beside this gateway's",
           f"poll-{devices}", "latency_p50_s", 10.0, least=True, beside=THINGSBOARD)
      for devices in (50, 200)),
    Goal("button to webhook: p99 beside the floor's", "button", "latency_p99_s", 3.0, beside=FLOOR),
    *_LINES,
    Goal("kill -9 in an outage: points lost after commit", "kill", "lost_points", 0.0, worst=True),
    Goal("cut link back to first delivery", "reconnect", "reconnect_s", 5.0),
    Goal("drain", f"drain, {drain.VARIANTS[1][0]}", "drain_per_s", 100_000.0, least=True),
    Goal(
        "drain into a server that parses: a bare POST loop's rate beside this gateway's",
        f"drain, {drain.VARIANTS[2][0]}", "drain_per_s", 1 / 0.6, beside=OURS, system=drain.BARE,
    ),
    Goal("live points in a drain", f"drain, {drain.VARIANTS[0][0]}", "live_delay_max_s", 15.0, worst=True),
    Goal("bytes a point, sealed, indexes and rollups included", "history", "bytes_per_point", 1.5,
         needs={"samples": DAY_S}),
    *(Goal(f"24 h of one series at 1 s, as {what}", "history", figure, 0.010, needs={"samples": DAY_S})
      for what, figure in (("columns", "read_columns_s"), ("samples", "read_span_s"))),
    Goal("written to a card at 200 readings / s", "history", "written_per_day", 1e9),
    Goal("RSS, 10,000 points: bound", "memory", "rss", 110 * MEGABYTE, needs={"watched_s": HOUR_S}),
    Goal("RSS, 10,000 points: aim", "memory", "rss", 90 * MEGABYTE, needs={"watched_s": HOUR_S}),
    Goal("RSS over an hour", "memory", "rss_slope", MEGABYTE / HOUR_S, needs={"watched_s": HOUR_S}),
    Goal("start to first reading, 50 devices", "poll-50", "start_first_s", 1.3),
    Goal(f"dashboard: {dashboard.CLIENTS} clients, 1,000 points / s", "dashboard", "clients_share", 0.05),
    Goal("5,000 rule instances live", "rules", "core_share", 0.25),
    Goal("rules over the past", "rules", "readings_per_cpu_s", 200_000.0, least=True, system=rules.BACKTEST),
)  # fmt: skip
"""In the order in which they were set."""
