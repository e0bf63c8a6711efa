"""An emergency button on MQTT, pressed, until the desk's webhook hears of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from tests.bench.child import Child
from tests.bench.figures import percentile
from tests.bench.stage import Pace, Sample, Stage, running, settle, settled_after, wait_for
from tests.bench.system import System

WARM = 5
TRIES = 10
START_S = 2.0
PRESS_S = 0.1
"""What one press takes with the pause before it, for estimates."""


def lasts(pace: Pace, systems: Sequence[System], repetitions: int) -> float:
    """Seconds that the load takes, about."""
    each = START_S + (WARM + pace.presses) * PRESS_S
    return repetitions * sum(each + settled_after(pace, system) for system in systems)


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """Each button is pressed once, one after the other; this gateway stores the press before it tells."""
    with Child("press", str(stage.broker.port)) as desk:
        yield from stage.in_turn(name, repetitions, partial(_one, stage, name, desk))


def _one(stage: Stage, name: str, desk: Child, system: System) -> Sample | None:
    presses = stage.pace.presses
    folder = stage.scratch(system.name)
    launch = system.button(folder, presses + WARM + TRIES, stage.targets(desk.ready))
    if launch is None:
        return Sample(name, system.name, failed="it has no rules: a press cannot become a push")
    pressed = 0

    def heard() -> bool:
        nonlocal pressed
        pressed += 1
        return bool(pressed <= TRIES and desk.ask("press", first=pressed - 1, count=1)[0] is not None)

    with running(launch) as process:
        time.sleep(START_S)
        wait_for(process, "telling of a press", heard)
        settle(stage, system, process.started + START_S)
        desk.ask("press", first=TRIES, count=WARM)
        took = desk.ask("press", first=TRIES + WARM, count=presses)
    told = [one for one in took if one is not None]
    figures = {
        "latency_p50_s": percentile(told, 0.5),
        "latency_p99_s": percentile(told, 0.99),
        "lost": 1 - len(told) / len(took),
    }
    return Sample(name, system.name, figures, {"latency_s": told})
