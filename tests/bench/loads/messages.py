"""500 MQTT messages a second, ten values each: CPU, memory, latency, what was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.child import Child
from tests.bench.figures import Reads, passage, percentile
from tests.bench.stage import NotReady, Sample, Stage, running, wait_for
from tests.bench.system import MESSAGE_VALUES, System

DEVICES = 50
RATE = 500
DRAIN_S = 12.0
"""What is stored and sent in groups of 5 s each has arrived after this."""


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """Every system in turn behind one and the same publisher."""
    with Child("publisher", str(stage.broker.port), str(DEVICES), str(RATE)) as publisher:
        for number, system in stage.rounds(repetitions):
            stage.say(f"{name}: {system.title}, run {number + 1} of {repetitions}")
            try:
                yield _one(stage, name, publisher, system)
            except NotReady as error:
                yield Sample(name, system.name, failed=str(error))
            stage.district.ask("clear")


def _one(stage: Stage, name: str, publisher: Child, system: System) -> Sample:
    pace, folder, targets = stage.pace, stage.scratch(system.name), stage.targets()
    with running(system.messages(folder, DEVICES, targets)) as process:
        if system.to_district:
            wait_for(process, "writing to the district", lambda: stage.district.ask("writes") > 0)
        else:
            time.sleep(DRAIN_S)
        time.sleep(pace.settle_s)
        publisher.ask("clear")
        before = process.cpu_s()
        time.sleep(pace.window_s)
        used, reads = process.cpu_s() - before, _reads(publisher)
        memory = process.memory()
        with system.watch(folder, targets) as watch:
            time.sleep(1.0)
            watch.ask("clear")
            publisher.ask("clear")
            time.sleep(pace.latency_s)
            until, watched = time.monotonic(), _reads(publisher)
            time.sleep(DRAIN_S if system.to_district else 3.0)
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
