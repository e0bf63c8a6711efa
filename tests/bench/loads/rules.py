"""The rule engine alone, beside a bare loop that compares each reading with a threshold: live, 200 rules
on 5,000 points (5,000 instances); and a rehearsal of a month of 120 rooms out of a sealed store."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from drivers.reading import Reading
from edge.replay import StoredReadings
from rules.engine import Engine
from rules.rulebook import parse_rules
from rules.site import DeviceInfo, SiteInfo, SpaceInfo
from rules.timetable import Calendar
from tests.bench import month
from tests.bench.child import ROOT
from tests.bench.ours import CampusEdge
from tests.bench.stage import NotReady, Pace, Sample, Stage

DEVICES = 1_000
POINTS = ("co2", "temperature", "humidity", "illuminance", "noise")
ROUNDS = 10
START = 1_790_000_000_000
ZONES = 40
BARE = "bare loop that compares"
BACKTEST = f"{CampusEdge.name}, backtest"
BARE_BACKTEST = f"{BARE}, readings in memory"
GOAL_PER_S = 5_000
"""Live readings in a second, of which the share of a core is told."""


LIVE_S, DAY_S = 2.0, 25.0
"""What a live run and a day of the past take, for estimates."""


def lasts(pace: Pace, repetitions: int) -> float:
    """Seconds that the load takes, about."""
    return repetitions * LIVE_S + pace.past_days * DAY_S


def run(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
    """1,000 devices of five points, a threshold with hysteresis and a delay on each point; then the past."""
    yield from _live(stage, name, repetitions)
    if stage.pace.past_days:
        yield from _past(stage, name)


def _past(stage: Stage, name: str) -> Iterator[Sample]:
    folder, days = stage.scratch("month"), stage.pace.past_days
    stage.say(f"{name}: storing {days} days of {month.ROOMS} rooms")
    config, data = month.configure(folder), folder / "data"
    month.store(config, data, days)
    stage.say(f"{name}: rehearsing them")
    yield Sample(name, BACKTEST, _backtest(config, data, days))
    day = list(StoredReadings(data).between(month.START, month.START + month.DAY_MS // 4))
    yield Sample(name, BARE_BACKTEST, {"readings_per_cpu_s": len(day) / _bare([day])})


def _backtest(config: Path, data: Path, days: int) -> dict[str, float | None]:
    """What `rules backtest` costs as the process that it is."""
    said = data.parent / "backtest.json"
    span = (str(month.START), str(month.START + days * month.DAY_MS))
    argv = [
        sys.executable, "-m", "edge", "rules", "backtest", "-c", str(config), "--data", str(data),
        "--since", span[0], "--until", span[1], "--json",
    ]  # fmt: skip
    with said.open("wb") as out:
        pid = os.posix_spawn(
            sys.executable, argv, {**os.environ, "PYTHONPATH": str(ROOT)},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)],
        )  # fmt: skip
        _, status, used = os.wait4(pid, 0)
    if status:
        raise NotReady(f"the backtest ended with status {status}")
    found = json.loads(said.read_bytes())
    cpu_s = used.ru_utime + used.ru_stime
    return {
        "readings": float(found["readings"]),
        "readings_per_cpu_s": found["readings"] / cpu_s,
        "instances": float(month.ROOMS * len(month.RULES)),
        "occurrences": float(len(found["occurrences"])),
        "rss": used.ru_maxrss * 1024.0,
    }


def _live(stage: Stage, name: str, repetitions: int) -> Iterator[Sample]:
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
            name,
            CampusEdge.name,
            {
                "readings_per_cpu_s": count / used,
                "core_share": GOAL_PER_S * used / count,
                "instances": float(instances),
            },
        )
        yield Sample(
            name, BARE, {"readings_per_cpu_s": count / _bare(readings), "instances": float(instances)}
        )


def _bare(readings: Sequence[Sequence[Reading]]) -> float:
    limits = {(reading.device, reading.point): 1e9 for batch in readings for reading in batch}
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
            {"id": f"high-{point}-{zone}", "scope": {"each": "device", "where": {"in": f"z{zone}"}},
             "for": "10s", "when": {"p": point, "op": "gt", "val": 1500, "clear": 1350}, "alarm": alarm}
            for point in POINTS for zone in range(ZONES)
        ]}
    )  # fmt: skip


def _site() -> SiteInfo:
    zones = [SpaceInfo(f"z{n}", f"z{n}", "building") for n in range(ZONES)]
    spaces = (*zones, *(SpaceInfo(f"r{n}", f"r{n}", "classroom", f"z{n}") for n in range(ZONES)))
    devices = tuple(
        DeviceInfo(f"d{n}", f"r{n % ZONES}", "classroom_env", 1000, dict.fromkeys(POINTS, "1"))
        for n in range(DEVICES)
    )
    return SiteInfo("bench", "Asia/Shanghai", spaces, devices)
