"""SIGKILL while the link is down: what had been read from the field and never reaches the sink."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from tests.bench.child import Child
from tests.bench.defaults import GROUP_S
from tests.bench.field import REGISTERS
from tests.bench.figures import Reads
from tests.bench.link import DEVICES, cut, delivering
from tests.bench.processes import Running
from tests.bench.stage import Pace, Sample, Stage, running
from tests.bench.system import System

YOUNG_S = GROUP_S + 1.0
"""Reads this young at the kill were not yet promised: this gateway commits in groups."""
QUIET_S = 8.0
CATCH_UP_S = 60.0
START_S = 10.0
"""What a system takes to poll and to send at first, for estimates."""


def lasts(pace: Pace, systems: Sequence[System], repetitions: int) -> float:
    """Seconds that the load takes, about."""
    return repetitions * len(systems) * (START_S + pace.outage_s + 2 * START_S + 2 * QUIET_S)


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """Link down, kill, link up, start again; each system in turn against one field."""
    with Child("field", str(DEVICES)) as field:
        yield from stage.in_turn(name, repetitions, partial(_one, stage, name, field))


def _one(stage: Stage, name: str, field: Child, system: System) -> Sample:
    folder, targets = stage.scratch(system.name), stage.targets()
    launch = system.polling(folder, field.ready, targets)
    with delivering(stage, field, system, launch) as process:
        began = cut(stage, system)
        field.ask("clear")
        time.sleep(stage.pace.outage_s)
        process.kill()
        killed, reads = time.monotonic(), _reads(field)
    stage.district.ask("switch", down=False)
    if not system.to_district:
        stage.broker.start()
        stage.until_answered()
    sink = None if system.to_district else system.watch(folder, targets)
    try:
        with running(launch) as again:
            caught = _catch_up(stage, reads, again, sink)
            arrived = _arrivals(stage, sink)
    finally:
        if sink is not None:
            sink.close()
    return Sample(name, system.name, _lost(reads, arrived, began, killed) | {"back_s": caught})


def _catch_up(stage: Stage, reads: Reads, process: Running, sink: Child | None) -> float | None:
    """Waits until no read of the outage comes any more; seconds from the start to the first arrival."""
    wanted = {
        (device, (start + n) & 0xFFFF) for device, (start, times) in reads.items() for n in range(len(times))
    }
    before = len(_arrivals(stage, sink))
    first: float | None = None
    known, since = 0, time.monotonic()
    until = since + CATCH_UP_S
    while time.monotonic() < min(until, since + (QUIET_S if first is not None else 3 * QUIET_S)):
        time.sleep(0.5)
        arrived = _arrivals(stage, sink)
        if first is None and len(arrived) > before:
            first = time.monotonic() - process.started
            since = time.monotonic()
        old = len(wanted.intersection(arrived))
        if old != known:
            known, since = old, time.monotonic()
    return first


def _arrivals(stage: Stage, sink: Child | None) -> list[tuple[str, int]]:
    if sink is not None:
        return [(device, number) for device, number, _ in sink.ask("take")]
    held = stage.district.ask("numbers")
    return [(device, number) for device, numbers in held.items() for number in numbers]


def _reads(field: Child) -> Reads:
    return {f"d{n}": (one["first"], one["times"]) for n, one in enumerate(field.ask("take"))}


def _lost(
    reads: Reads, arrived: list[tuple[str, int]], began: float, killed: float
) -> dict[str, float | None]:
    """Shares of the reads of the outage that never came, and how many came more than once."""
    held = Counter(arrived)
    promised = lost = young = 0
    for device, (start, times) in reads.items():
        for offset, at in enumerate(times):
            here = (device, (start + offset) & 0xFFFF) in held
            if at >= killed - YOUNG_S:
                young += not here
            elif at >= began:
                promised += 1
                lost += not here
    return {
        "lost": lost / promised if promised else None,
        "lost_points": float(lost * REGISTERS),
        "lost_young_points": float(young * REGISTERS),
        "copies": sum(n - 1 for n in held.values()) / len(held) if held else None,
    }
