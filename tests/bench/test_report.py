"""The report shows every figure, ratio and failure, and its plots are well-formed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console

from tests.bench.catalogue import FIGURES, LOADS
from tests.bench.defaults import GROUP_ROWS, GROUP_S
from tests.bench.figures import Spread
from tests.bench.goals import GOALS
from tests.bench.ours import CampusEdge, Floor
from tests.bench.plots import bars, course, distributions
from tests.bench.report import Report, goals, table
from tests.bench.stage import Sample


def a_report() -> Report:
    samples = [
        Sample("poll-200", "campus-edge", {"cpu_per_1000": 0.01}, {"latency_s": [0.004, 0.006]}),
        Sample("poll-200", "campus-edge", {"cpu_per_1000": 0.02}, {"latency_s": [0.005]}),
        Sample("poll-200", "floor", {"cpu_per_1000": 0.005}, {"latency_s": [0.001, 0.002]}),
        Sample("poll-200", "thingsboard", failed="ended before reading all devices"),
        Sample("history", "campus-edge", {"bytes_per_point": 2.0}),
        Sample("history", "plain SQLite rows", {"bytes_per_point": 25.0}),
    ]
    return Report(samples, [CampusEdge(), Floor()], {"processor": "one"}, True, {"line": 3.2})


def test_the_markdown_holds_medians_spread_ratios_failures_and_plots(tmp_path: Path) -> None:
    path = a_report().write(tmp_path)
    text = path.read_text()
    assert (
        "Repetitions: 2 (a look, no median of three): poll-200; 1 (a look, no median of three): history."
        in text
    )
    assert "| line | 3 s |" in text
    assert f"commits every {GROUP_S:.0f} s or {GROUP_ROWS:,} readings" in text
    assert "| CPU, 200 devices: beside the floor's | at most 2.50 x | 3.00 x | 1 | missed |" in text
    assert "Node-RED's beside this gateway's | at least 1.00 x |  |  | not measured in this run |" in text
    assert "15.00 (10.00 to 20.00, n=2)" in text
    assert "5.00 · 0.33x" in text
    assert "25.00 · 12.50x" in text
    assert "ended before reading all devices" in text
    for plot in tmp_path.glob("*.svg"):
        assert f"({plot.name})" in text
        ElementTree.fromstring(plot.read_text())
    assert len(list(tmp_path.glob("*.svg"))) == 3
    assert json.loads((tmp_path / "results.json").read_text())["loads"][0]["load"] == "poll-200"


def test_the_table_puts_what_is_no_system_beside() -> None:
    console = Console(width=200, record=True)
    console.print(table(a_report()))
    text = console.export_text()
    assert "15.00" in text
    assert "plain SQLite rows: 25.00" in text


def test_the_terminal_shows_each_goal_with_what_was_measured() -> None:
    console = Console(width=200, record=True)
    console.print(goals(a_report()))
    text = console.export_text()
    for goal in GOALS:
        assert goal.what in text
    assert "3.00 x" in text
    assert text.count("missed") == 1 + sum("missed" in goal.what for goal in GOALS)


def test_plots_of_nothing_and_of_equal_values_are_still_plots() -> None:
    for svg in (
        bars("none", {}, 1.0, 2),
        bars("zero", {"a": Spread(0.0, 0.0, 0.0, 1)}, 1.0, 2),
        distributions("none", {}, 1.0),
        distributions("same", {"a < b": [1.0, 1.0]}, 1000.0),
        distributions("wide", {"a": [0.001, 1000.0]}, 1.0),
        course("none", {}, 1.0, 1.0),
        course("one", {"a": [0.0]}, 1.0, 1.0),
        course("some", {"a": [3.0, 1.0, 2.0], "b": [1.0]}, 0.5, 1e-6),
    ):
        ElementTree.fromstring(svg)


def test_every_load_has_a_name_of_its_own_and_says_what_it_is() -> None:
    assert len({load.name for load in LOADS}) == len(LOADS)
    assert all(load.about.strip() for load in LOADS)
    assert all(figure.title for figure in FIGURES.values())


def test_a_course_of_memory_is_drawn_and_kept_as_numbers(tmp_path: Path) -> None:
    samples = [Sample("memory", "campus-edge", {"rss": 9e7, "rss_slope": 100.0}, {"rss": [9e7, 9.1e7]})]
    path = Report(samples, [CampusEdge()], {}, False).write(tmp_path)
    assert "RSS slope, MB/h | 0.36" in path.read_text()
    assert (tmp_path / "memory-rss-course.svg").is_file()
    assert json.loads((tmp_path / "results.json").read_text())["samples"][0]["courses"] == {
        "rss": [9e7, 9.1e7]
    }
