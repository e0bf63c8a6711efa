"""10,000 points at rest: 200 Modbus TCP devices of 50 registers, each read once a minute, web on.

RSS of the whole process tree every 10 s for an hour (five minutes with `--quick`), and the slope of the
gateway's own process by least squares once it has settled: over the last three quarters. Beside it a
Python that has imported the gateway's modules and does nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from statistics import median

from tests.bench.child import ROOT, Child
from tests.bench.figures import slope
from tests.bench.loads.polling import START_S
from tests.bench.ours import CampusEdge, PollingWork
from tests.bench.processes import Launch, Running
from tests.bench.stage import NotReady, Pace, Sample, Stage, running, wait_for

DEVICES = 200
WORK = PollingWork(registers=50, every="60s")
SAMPLE_S = 10.0
SETTLED = 0.25
"""The share of the time after which a run counts as settled."""
IMPORTS = "imports alone"
_IMPORTS = "import edge.agent, edge.config.load, cloud_sync.influx, time; time.sleep(60)"
IMPORT_S = 10.0
_SAY_EVERY = 30


def lasts(pace: Pace) -> float:
    """Seconds that the load takes, about."""
    return IMPORT_S + START_S + pace.memory_s


def run(stage: Stage, name: str) -> Iterator[Sample]:
    """The floor first, then this gateway."""
    yield Sample(name, IMPORTS, {"rss": _imports(stage)})
    stage.say(f"{name}: {DEVICES * WORK.registers:,} points for {stage.pace.memory_s / 60:.0f} min")
    try:
        yield _ours(stage, name)
    except NotReady as error:
        yield Sample(name, CampusEdge.name, failed=str(error))
    stage.district.ask("clear")


def _imports(stage: Stage) -> float:
    """RSS of a process that has done nothing but import."""
    argv = [sys.executable, "-c", f"import sys; sys.modules['numpy'] = None; {_IMPORTS}"]
    with running(Launch(argv, stage.scratch("imports"), {"PYTHONPATH": str(ROOT)})) as process:
        time.sleep(IMPORT_S)
        return float(process.memory().rss)


def _ours(stage: Stage, name: str) -> Sample:
    folder, targets = stage.scratch(CampusEdge.name), stage.targets()
    with Child("field", str(DEVICES)) as field:
        launch = CampusEdge().polling(folder, field.ready, targets, WORK)
        with running(launch) as process:
            wait_for(process, "reading all devices", lambda: field.ask("polled", times=1) == DEVICES)
            times, tree, own = _watched(stage, process, name)
    settled = int(len(times) * SETTLED)
    figures = {
        "rss": median(tree[settled:]),
        "rss_peak": max(tree),
        "watched_s": times[-1] + SAMPLE_S,
        "rss_slope": slope(list(zip(times[settled:], own[settled:], strict=True))),
    }
    return Sample(name, CampusEdge.name, figures, {"rss": tree})


def _watched(stage: Stage, process: Running, name: str) -> tuple[list[float], list[float], list[float]]:
    """When each sample was taken (s), RSS of the tree and of the gateway's own process (bytes)."""
    times: list[float] = []
    tree: list[float] = []
    own: list[float] = []
    began = time.monotonic()
    while (at := time.monotonic() - began) < stage.pace.memory_s:
        if not process.alive:
            raise NotReady(f"ended after {at:.0f} s: {process.tail()}")
        times.append(at)
        tree.append(float(process.memory().rss))
        own.append(float(process.own_rss()))
        if len(times) % _SAY_EVERY == 0:
            stage.say(f"{name}: {own[-1] / 1e6:.1f} MB after {at / 60:.0f} min")
        time.sleep(max(0.0, len(times) * SAMPLE_S - (time.monotonic() - began)))
    return times, tree, own
