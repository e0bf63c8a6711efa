"""Modbus TCP devices of 20 registers each, once a second: CPU, memory, grid, latency, what was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from tests.bench.child import Child
from tests.bench.field import REGISTERS
from tests.bench.figures import Reads, grid, long_gaps, passage, percentile
from tests.bench.processes import Running
from tests.bench.stage import Pace, Sample, Stage, running, settle, settled_after, wait_for
from tests.bench.system import System

PERIOD_S = 1.0
IN_FLIGHT_S = 1.5
"""Reads of the last moments may still be under way to a sink and are not counted as lost."""
LISTEN_S = 1.0
"""How long a new listener is left alone before what it hears counts."""
START_S = 4.0
"""What a system and its listener take to start, for estimates."""


def lasts(pace: Pace, systems: Sequence[System], repetitions: int) -> float:
    """Seconds that the load takes, about."""
    watching = LISTEN_S + pace.latency_s + IN_FLIGHT_S
    each = START_S + pace.window_s + watching
    return repetitions * sum(each + settled_after(pace, system) for system in systems)


def run(stage: Stage, name: str, devices: int, repetitions: int) -> Iterator[Sample]:
    """Every system in turn against one and the same field."""
    with Child("field", str(devices)) as field:
        yield from stage.in_turn(name, repetitions, partial(_one, stage, name, field))


def _one(stage: Stage, name: str, field: Child, system: System) -> Sample:
    pace, folder, targets = stage.pace, stage.scratch(system.name), stage.targets()
    field.ask("clear")
    with running(system.polling(folder, field.ready, targets)) as process:
        wait_for(process, "reading all devices", lambda: field.ask("polled", times=1) == len(field.ready))
        since, figures = time.monotonic(), _start(process, field)
        wait_for(process, "polling steadily", lambda: field.ask("polled", times=3) == len(field.ready))
        settle(stage, system, since)
        quiet, curves = _quiet(process, field, pace.window_s)
        if system.to_district:
            wait_for(process, "writing to the district", lambda: stage.district.ask("writes") > 0)
        figures |= quiet
        with system.watch(folder, targets) as watch:
            time.sleep(LISTEN_S)
            watched, more = _watched(process, field, watch, pace.latency_s)
        figures |= watched
        curves |= more
    return Sample(name, system.name, figures, curves)


def _reads(field: Child) -> Reads:
    return {f"d{n}": (one["first"], one["times"]) for n, one in enumerate(field.ask("take"))}


def _start(process: Running, field: Child) -> dict[str, float | None]:
    firsts = [times[0] - process.started for _, times in _reads(field).values()]
    return {"start_first_s": min(firsts), "start_all_s": max(firsts)}


Curves = dict[str, list[float]]


def _quiet(process: Running, field: Child, window_s: float) -> tuple[dict[str, float | None], Curves]:
    """Nobody looks on: CPU, memory and the grid."""
    field.ask("clear")
    began, before = time.monotonic(), process.cpu_s()
    time.sleep(window_s)
    used, took = process.cpu_s() - before, time.monotonic() - began
    reads = _reads(field)
    memory = process.memory()
    kept = grid(reads, PERIOD_S, took)
    points = kept.reads * REGISTERS
    gaps = [b - a for _, times in reads.values() for a, b in pairwise(times)]
    figures: dict[str, float | None] = {
        "cpu_per_1000": used / points * 1000 if points else None,
        "cpu_share": used / took,
        "points_per_s": points / took,
        "rss": float(memory.rss),
        "pss": float(memory.pss),
        "gap_p50_s": kept.gap_p50,
        "gap_p99_s": kept.gap_p99,
        "missed": long_gaps(reads, PERIOD_S),
    }
    return figures, {"gap_s": gaps}


def _watched(
    process: Running, field: Child, watch: Child, window_s: float
) -> tuple[dict[str, float | None], Curves]:
    """One listener follows every reading: latency, losses, and what the listener costs."""
    watch.ask("clear")
    field.ask("clear")
    before = process.cpu_s()
    time.sleep(window_s)
    used, until = process.cpu_s() - before, time.monotonic()
    reads = _reads(field)
    time.sleep(IN_FLIGHT_S)
    arrivals: list[tuple[str, int, float]] = [tuple(one) for one in watch.ask("take")]
    return followed(reads, arrivals, until, used, REGISTERS)


def followed(
    reads: Reads, arrivals: Any, until: float, used: float, values: int
) -> tuple[dict[str, float | None], Curves]:
    """The figures of a watched window; each read carries so many `values`."""
    came = passage(reads, arrivals, until)
    points = sum(len(times) for _, times in reads.values()) * values
    figures: Mapping[str, float | None] = {
        "latency_p50_s": percentile(came.latencies, 0.5),
        "latency_p99_s": percentile(came.latencies, 0.99),
        "lost": came.lost / came.expected if came.expected else None,
        "watched_cpu_per_1000": used / points * 1000 if points else None,
    }
    return dict(figures), {"latency_s": list(came.latencies)}
