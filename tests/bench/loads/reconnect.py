"""A cut link: how long after its return a system that runs on delivers again.

50 devices are polled; the link goes down (nobody listens on the other side) and comes back after most of a
minute. What is timed is the first delivery behind that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tests.bench.child import Child
from tests.bench.loads.outage import DEVICES, cut, until_answered
from tests.bench.loads.polling import START_S
from tests.bench.stage import NotReady, Pace, Sample, Stage, running, wait_for
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
        for number, system in stage.rounds(repetitions):
            stage.say(f"{name}: {system.title}, run {number + 1} of {repetitions}")
            try:
                yield _one(stage, name, field, system)
            except NotReady as error:
                yield Sample(name, system.name, failed=str(error))
            finally:
                stage.broker.start()
                stage.district.ask("switch", down=False)
                stage.district.ask("clear")


def _one(stage: Stage, name: str, field: Child, system: System) -> Sample:
    folder, targets = stage.scratch(system.name), stage.targets()
    field.ask("clear")
    with running(system.polling(folder, field.ready, targets)) as process:
        wait_for(process, "polling", lambda: field.ask("polled", times=5) == DEVICES)
        if system.to_district:
            wait_for(process, "writing to the district", lambda: stage.district.ask("writes") > 0)
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
            until_answered(stage)
            with system.watch(folder, targets) as watch:
                wait_for(process, "sending again", lambda: watch.ask("take"), PATIENCE_S)
                first = min(at for _, _, at in watch.ask("take"))
    return Sample(name, system.name, {"reconnect_s": first - back})
