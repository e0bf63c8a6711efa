"""The report: Markdown with plots, the same numbers as JSON, and tables for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.catalogue import FIGURES, LOADS
from tests.bench.defaults import EAGER_S, GROUP_ROWS, GROUP_S, INTERVAL_S
from tests.bench.figures import Spread
from tests.bench.goals import GOALS, Judgement, Verdict, judge
from tests.bench.plots import bars, course, distributions
from tests.bench.results import OURS, Result, curves, gather
from tests.bench.stage import Sample
from tests.bench.system import System

MEDIAN_OF = 3
"""Repetitions from which a median is one."""
_WINDOWS = (
    f"This gateway commits every {GROUP_S:.0f} s or {GROUP_ROWS:,} readings, whichever comes first, and sends"
    f" at most every {INTERVAL_S:.0f} s: its defaults. The floor commits and sends by the same numbers, so"
    " that neither gains by longer groups; the peers run with their own defaults. Windows last whole groups"
    f" and begin {EAGER_S:.1f} s or more after this gateway's first readings, when its short groups behind a"
    " start have ended."
)
_COLOURS = {Verdict.MET: "green", Verdict.MISSED: "red", Verdict.NOT_MEASURED: "dim"}
_BARS = ("cpu_per_1000", "latency_p99_s", "rss", "drain_per_s", "bytes_per_point", "readings_per_cpu_s")
_CURVES = {"gap_s": ("gaps between reads of a device, ms", 1000.0), "latency_s": ("latency, ms", 1000.0)}
_COURSES = {"rss": ("RSS, MB, over minutes", 1 / 6, 1e-6)}
"""Curve -> title, how far its values stand apart on the axis, factor."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a run found out."""

    samples: Sequence[Sample]
    systems: Sequence[System]
    machine: Mapping[str, str]
    quick: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    """What each part took, in seconds."""

    def results(self) -> list[Result]:
        """The loads' results."""
        return gather(self.samples)

    def goals(self) -> list[Judgement]:
        """Each goal with what this run says of it."""
        return judge(GOALS, self.results())

    def runs(self) -> str:
        """Of which loads the figures are medians, and of which they are a look."""
        loads: dict[int, dict[str, None]] = {}
        for result in self.results():
            if runs := result.runs():
                loads.setdefault(runs, {})[result.load.partition(",")[0]] = None
        return "; ".join(
            f"{runs}{'' if runs >= MEDIAN_OF else ' (a look, no median of three)'}: {', '.join(names)}"
            for runs, names in sorted(loads.items(), reverse=True)
        )

    def as_json(self) -> dict[str, Any]:
        """All numbers in SI units; distributions are left out, courses of memory are not."""
        return {
            "machine": dict(self.machine),
            "quick": self.quick,
            "parts": dict(self.parts),
            "goals": [
                {"what": one.goal.what, "asked": one.goal.asked(), "measured": one.measured,
                 "runs": one.runs, "verdict": one.verdict.value}
                for one in self.goals()
            ],
            "missing": {s.name: s.missing for s in self.systems if s.missing},
            "loads": [
                {
                    "load": result.load,
                    "failed": dict(result.failed),
                    "systems": {
                        system: {figure: asdict(one) for figure, one in figures.items()}
                        for system, figures in result.systems.items()
                    },
                }
                for result in self.results()
            ],
            "samples": [
                {"load": s.load, "system": s.system, "figures": dict(s.figures), "failed": s.failed}
                | {"courses": {name: list(s.curves[name]) for name in _COURSES if name in s.curves}}
                for s in self.samples
            ],
        }  # fmt: skip

    def write(self, folder: Path) -> Path:
        """Writes `report.md`, its plots and `results.json`; the report's path."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False))
        parts = [_head(self), _goals(self)]
        for result in self.results():
            parts.append(_section(result))
            parts += [f"![{name}]({name})\n" for name in self._plot(folder, result)]
        path = folder / "report.md"
        path.write_text("\n".join(parts))
        return path

    def _plot(self, folder: Path, result: Result) -> list[str]:
        made = {}
        stem = "".join(c if c.isalnum() else "-" for c in result.load)
        for figure in _BARS:
            rows = {name: found[figure] for name, found in result.systems.items() if figure in found}
            if len(rows) > 1:
                known = FIGURES[figure]
                made[f"{stem}-{figure}.svg"] = bars(known.title, rows, known.factor, known.decimals)
        for name, (title, factor) in _CURVES.items():
            found = curves(self.samples, result.load, name)
            if len(found) > 1:
                made[f"{stem}-{name}.svg"] = distributions(title, found, factor)
        for name, (title, step, factor) in _COURSES.items():
            found = curves(self.samples, result.load, name)
            if found:
                made[f"{stem}-{name}-course.svg"] = course(title, found, step, factor)
        for name, svg in made.items():
            (folder / name).write_text(svg)
        return list(made)


def _head(report: Report) -> str:
    machine = "\n".join(f"| {name} | {what} |" for name, what in report.machine.items())
    systems = "\n".join(
        f"| {s.title} | {s.leaves_out} | {s.sink} | {s.missing or 'yes'} |" for s in report.systems
    )
    parts = "\n".join(f"| {name} | {seconds:.0f} s |" for name, seconds in report.parts.items())
    kind = "A quick look: short windows, some loads left out." if report.quick else "The whole benchmark."
    return (
        f"# Benchmark\n\n{kind} Figures are medians of repetitions in which the systems took turns"
        " against the same simulators, with the smallest and the largest in brackets and how many times this"
        f" gateway's figure they are. Repetitions: {report.runs()}. CPU is utime + stime of the whole process"
        " tree. Absolute figures belong to this machine on this day; compare ratios.\n\n"
        f"{_WINDOWS}\n\n| machine | |\n|---|---|\n{machine}\n\n| part | took |\n|---|---|\n{parts}\n\n"
        f"| system | leaves out | readings are watched at | ran |\n|---|---|---|---|\n{systems}\n"
    )


def _goals(report: Report) -> str:
    rows = "\n".join("| " + " | ".join(_goal_cells(one)) + " |" for one in report.goals())
    return f"## Goals\n\n| goal | asked | measured | runs | |\n|---|---|---|---|---|\n{rows}\n"


def _goal_cells(one: Judgement) -> tuple[str, str, str, str, str]:
    goal = one.goal
    measured = "" if one.measured is None else goal.show(one.measured)
    return goal.what, goal.asked(), measured, str(one.runs or ""), one.verdict.value


def _section(result: Result) -> str:
    load = next((one for one in LOADS if result.load.split(",")[0] == one.name), None)
    lines = [f"## {load.title if load else ''} (`{result.load}`)\n"]
    if load is not None:
        lines.append(" ".join(load.about.split()) + "\n")
    systems = [name for name, figures in result.systems.items() if figures]
    lines.append("| | " + " | ".join(systems) + " |")
    lines.append("|---|" + "---|" * len(systems))
    for figure in result.figures():
        cells = [_cell(result, figure, name, spread=True) for name in systems]
        lines.append(f"| {FIGURES[figure].title} | " + " | ".join(cells) + " |")
    lines += [f"\n{name}: {' '.join(reason.split())[-300:]}" for name, reason in result.failed.items()]
    return "\n".join(lines) + "\n"


def _cell(result: Result, figure: str, system: str, *, spread: bool) -> str:
    known = FIGURES[figure]
    one: Spread | None = result.systems.get(system, {}).get(figure)
    if one is None:
        return ""
    text = known.show(one.median)
    if spread and one.runs > 1:
        text += f" ({known.show(one.low)} to {known.show(one.high)}, n={one.runs})"
    times = result.ratio(figure, system)
    if known.compared and system != OURS and times is not None:
        text += f" · {times:.2f}x"
    return text


def table(report: Report) -> Table:
    """One row for each figure of each load; behind others' values how many times this gateway's they are."""
    known = [system.name for system in report.systems]
    made = Table(
        title="campus-edge beside what a user would pick instead",
        title_style="bold",
        caption="1.00x: how many times this gateway's figure the other's is",
        show_lines=False,
    )
    made.add_column("load", style="bold")
    made.add_column("figure")
    for system in report.systems:
        made.add_column(system.title, justify="right", style="cyan" if system.name == OURS else "")
    made.add_column("beside", justify="right")
    for result in report.results():
        for number, figure in enumerate(result.figures()):
            cells = [_cell(result, figure, name, spread=False) for name in known]
            beside = [
                f"{name}: {cell}"
                for name in result.systems
                if name not in known and (cell := _cell(result, figure, name, spread=False))
            ]
            first = result.load if number == 0 else ""
            made.add_row(first, FIGURES[figure].title, *cells, "\n".join(beside))
        for name, reason in result.failed.items():
            made.add_row(result.load, f"[red]{name}[/red]", " ".join(reason.split())[-120:])
        made.add_section()
    return made


def goals(report: Report) -> Table:
    """One row for each goal."""
    made = Table(title="goals", title_style="bold")
    for title in ("goal", "asked", "measured", "runs", ""):
        made.add_column(title, justify="right" if title in ("asked", "measured", "runs") else "left")
    for one in report.goals():
        *cells, verdict = _goal_cells(one)
        colour = _COLOURS[one.verdict]
        made.add_row(*cells, f"[{colour}]{verdict}[/{colour}]")
    return made
