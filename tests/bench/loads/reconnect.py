"""A cut link: how long after its return a system that runs on delivers again.

50 devices are polled; the link goes down (nobody listens on the other side) and comes back after most of a
minute. What is timed is the first delivery behind that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from tests.bench.child import Child
from tests.bench.link import DEVICES, cut, delivering
from tests.bench.loads.polling import START_S
from tests.bench.stage import Pace, Sample, Stage, wait_for
from tests.bench.system import System

CUT_S = 50.0
PATIENCE_S = 120.0
BACK_S = 25.0
"""What coming back takes, for estimates."""


def lasts(pace: Pace, systems: Sequence[System], repetitions: int) -> float:
    """Seconds that the load takes, about."""
    return repetitions * len(systems) * (2 * START_S + CUT_S + BACK_S)


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """Each system in turn against one field."""
    with Child("field", str(DEVICES)) as field:
        yield from stage.in_turn(name, repetitions, partial(_one, stage, name, field))


def _one(stage: Stage, name: str, field: Child, system: System) -> Sample:
    folder, targets = stage.scratch(system.name), stage.targets()
    with delivering(stage, field, system, system.polling(folder, field.ready, targets)) as process:
        cut(stage, system)
        time.sleep(CUT_S)
        if system.to_district:
            before = stage.district.ask("writes")
            back = stage.district.ask("switch", down=False)
            wait_for(process, "sending again", lambda: stage.district.ask("writes") > before, PATIENCE_S)
            first = stage.district.ask("held")[before][0]
        else:
            stage.broker.start()
            back = time.monotonic()
            stage.until_answered()
            with system.watch(folder, targets) as watch:
                wait_for(process, "sending again", lambda: watch.ask("take"), PATIENCE_S)
                first = min(at for _, _, at in watch.ask("take"))
    return Sample(name, system.name, {"reconnect_s": first - back})
