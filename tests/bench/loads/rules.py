"""The rule engine alone: readings a CPU second at 5,000 rule instances, beside a bare loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from drivers.reading import Reading
from rules.engine import Engine
from rules.rulebook import parse_rules
from rules.site import DeviceInfo, SiteInfo, SpaceInfo
from rules.timetable import Calendar
from tests.bench.ours import CampusEdge
from tests.bench.stage import Sample, Stage

DEVICES = 1_000
POINTS = ("co2", "temperature", "humidity", "illuminance", "noise")
ROUNDS = 10
START = 1_790_000_000_000
BARE = "bare loop that compares"


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """1,000 devices of five points, a threshold with hysteresis and a delay on each point."""
    for number in range(repetitions):
        stage.say(f"{name}: run {number + 1} of {repetitions}")
        engine = Engine(_rules(), _site(), Calendar())
        instances = sum(len(one.bound) for one in engine.coverage())
        readings = [_round(n) for n in range(ROUNDS)]
        engine.evaluate(_round(-1), START - 1000)
        began = time.process_time()
        for n, batch in enumerate(readings):
            engine.evaluate(batch, START + n * 1000)
        used = time.process_time() - began
        count = ROUNDS * DEVICES * len(POINTS)
        yield Sample(
            name, CampusEdge.name, {"readings_per_cpu_s": count / used, "instances": float(instances)}
        )
        yield Sample(
            name, BARE, {"readings_per_cpu_s": count / _bare(readings), "instances": float(instances)}
        )


def _bare(readings: Sequence[Sequence[Reading]]) -> float:
    limits = {(f"d{n}", point): 1e9 for n in range(DEVICES) for point in POINTS}
    over: set[tuple[str, str]] = set()
    began = time.process_time()
    for batch in readings:
        for reading in batch:
            value = reading.value
            key = (reading.device, reading.point)
            if isinstance(value, float) and value > limits[key]:
                over.add(key)
    return time.process_time() - began


def _round(number: int) -> list[Reading]:
    at = START + number * 1000
    return [
        Reading(f"d{n}", point, 20.0 + (n + number) % 7, "1", at, at)
        for n in range(DEVICES)
        for point in POINTS
    ]


def _rules() -> Any:
    texts = {"zh": "测", "en": "t"}
    alarm = {
        "prio": 4,
        "owner": "desk",
        "title": texts,
        "consequence": texts,
        "guide": texts,
        "respond_within": "1h",
    }
    return parse_rules(
        {"rules": [
            {"id": f"high-{point}", "scope": {"each": "device"}, "for": "10s",
             "when": {"p": point, "op": "gt", "val": 1500, "clear": 1350}, "alarm": alarm}
            for point in POINTS
        ]}
    )  # fmt: skip


def _site() -> SiteInfo:
    spaces = (SpaceInfo("b1", "b1", "building"), SpaceInfo("r1", "r1", "classroom", "b1"))
    devices = tuple(
        DeviceInfo(f"d{n}", "r1", "classroom_env", 1000, dict.fromkeys(POINTS, "1")) for n in range(DEVICES)
    )
    return SiteInfo("bench", "Asia/Shanghai", spaces, devices)
