"""500 MQTT messages a second, ten values each: CPU, memory, latency, what was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from tests.bench.child import Child
from tests.bench.defaults import ON_THE_WAY_S
from tests.bench.figures import Reads, passage, percentile
from tests.bench.loads import polling
from tests.bench.stage import Pace, Sample, Stage, running, settle, settled_after, wait_for
from tests.bench.system import MESSAGE_VALUES, System

DEVICES = 50
RATE = 500
SINK_S = 3.0
"""What is published at once has arrived after this."""
START_S = 5.0


def lasts(pace: Pace, systems: Sequence[System], repetitions: int) -> float:
    """Seconds that the load takes, about."""
    each = START_S + pace.window_s + polling.LISTEN_S + pace.latency_s
    return repetitions * sum(each + settled_after(pace, one) + _drained_s(one) for one in systems)


def _drained_s(system: System) -> float:
    """After so long all has arrived where it is counted."""
    return ON_THE_WAY_S if system.to_district else SINK_S


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """Every system in turn behind one and the same publisher."""
    with Child("publisher", str(stage.broker.port), str(DEVICES), str(RATE)) as publisher:
        yield from stage.in_turn(name, repetitions, partial(_one, stage, name, publisher))


def _one(stage: Stage, name: str, publisher: Child, system: System) -> Sample:
    pace, folder, targets = stage.pace, stage.scratch(system.name), stage.targets()
    with running(system.messages(folder, DEVICES, targets)) as process:
        if system.to_district:
            wait_for(process, "writing to the district", lambda: stage.district.ask("writes") > 0)
        else:
            time.sleep(START_S)
        settle(stage, system, time.monotonic())
        publisher.ask("clear")
        before = process.cpu_s()
        time.sleep(pace.window_s)
        used, reads = process.cpu_s() - before, _reads(publisher)
        memory = process.memory()
        with system.watch(folder, targets) as watch:
            time.sleep(polling.LISTEN_S)
            watch.ask("clear")
            publisher.ask("clear")
            time.sleep(pace.latency_s)
            until, watched = time.monotonic(), _reads(publisher)
            time.sleep(_drained_s(system))
            seen = [tuple(one) for one in watch.ask("take")]
        latencies = passage(watched, seen, until).latencies
        arrived = _in_district(stage) if system.to_district else seen
        came = passage(watched, arrived, until)
    points = sum(len(times) for _, times in reads.values()) * MESSAGE_VALUES
    figures = {
        "cpu_per_1000": used / points * 1000 if points else None,
        "cpu_share": used / pace.window_s,
        "rss": float(memory.rss),
        "pss": float(memory.pss),
        "latency_p50_s": percentile(latencies, 0.5),
        "latency_p99_s": percentile(latencies, 0.99),
        "lost": came.lost / came.expected if came.expected else None,
    }
    return Sample(name, system.name, figures, {"latency_s": latencies})


def _reads(publisher: Child) -> Reads:
    return {f"d{n}": (one["first"], one["times"]) for n, one in enumerate(publisher.ask("take"))}


def _in_district(stage: Stage) -> list[tuple[str, int, float]]:
    held = stage.district.ask("numbers")
    return [(device, number, 0.0) for device, numbers in held.items() for number in numbers]
