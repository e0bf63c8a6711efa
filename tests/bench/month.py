"""A school's past for rehearsals: 120 rooms that report eight points a minute, in a real sealed store."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from edge.store import catalogue
from edge.store.catalogue import Policy
from edge.store.sealing import seal
from tests.bench.fill import Tick, fill

ROOMS = 120
POINTS = ("co2", "temperature", "humidity", "pm25", "illuminance", "noise", "occupied", "active_power")
MINUTE_MS, DAY_MS = 60_000, 86_400_000
START = 1_788_192_000_000
"""2026-09-01 00:00 in Shanghai."""
_KEEP = Policy(3_600_000, 6 * 3_600_000)
_WORDS = {"zh": "测", "en": "test"}
_ALARM = {
    "prio": 4, "owner": "desk", "respond_within": "1h",
    "title": _WORDS, "consequence": _WORDS, "guide": _WORDS,
}  # fmt: skip
_HOURS = {"cal": "school", "between": ["07:30", "18:00"]}
RULES: tuple[dict[str, Any], ...] = (
    {"id": "stuffy", "when": {"p": "co2", "agg": "avg", "over": "5m", "op": "gt", "val": 1500, "clear": 1350},
     "for": "5m", "clear_for": "5m", "active": _HOURS},
    {"id": "cold", "when": {"p": "temperature", "op": "lt", "val": 16, "clear": 17}, "for": "15m",
     "active": _HOURS},
    {"id": "hot", "when": {"p": "temperature", "agg": "avg", "over": "15m", "op": "gt", "val": 30,
                           "clear": 29}},
    {"id": "damp", "when": {"p": "humidity", "op": "gt", "val": 80, "clear": 75}, "for": "30m"},
    {"id": "dust", "when": {"p": "pm25", "agg": "avg", "over": "1h", "op": "gt", "val": 75, "clear": 60}},
    {"id": "loud", "when": {"p": "noise", "op": "gt", "val": 85, "clear": 75}, "for": "2m"},
    {"id": "light-on", "when": {"all": [{"p": "illuminance", "op": "gt", "val": 300, "clear": 200},
                                        {"p": "occupied", "op": "eq", "val": False}]}, "for": "20m"},
    {"id": "load", "when": {"all": [{"p": "active_power", "op": "gt", "val": 1.5, "clear": 1.2},
                                    {"p": "occupied", "op": "eq", "val": False}]}, "for": "30m"},
    {"id": "stuck", "when": {"p": "co2", "agg": "unchanged", "over": "1d"}},
    {"id": "silent", "when": {"p": "online", "op": "eq", "val": False}, "scope": {"each": "device"}},
)  # fmt: skip


def configure(folder: Path) -> Path:
    """The school's file; ten rules, 1,200 instances."""
    (folder / "profiles").mkdir()
    profile = {
        "id": "month-air", "family": "modbus", "maker": "bench", "model": "bench", "kind": "classroom_env",
        "source": "made for the benchmark",
        "points": {name: {"address": number} for number, name in enumerate(POINTS)},
    }  # fmt: skip
    _write(folder / "profiles" / "month-air.yaml", profile)
    rules = [{"scope": {"each": "classroom"}, "alarm": _ALARM, **rule} for rule in RULES]
    _write(folder / "rules.yaml", {"rules": rules})
    school = {
        "version": 1,
        "site": {"id": "month", "name": "month", "district": "bench", "latitude": 34.5, "longitude": 109.5},
        "spaces": [{"id": f"r{n}", "name": f"r{n}", "kind": "classroom"} for n in range(ROOMS)],
        "lines": [{"id": "plc", "url": "tcp://127.0.0.1:502"}],
        "devices": [
            {"id": f"e{n}", "space": f"r{n}", "line": "plc", "protocol": "modbus-tcp", "profile": "month-air",
             "address": n + 1, "every": "60s"}
            for n in range(ROOMS)
        ],
        "profiles": ["profiles"],
        "rules": ["rules.yaml"],
    }  # fmt: skip
    return _write(folder / "school.yaml", school)


def store(config: Path, data: Path, days: int) -> int:
    """Fills a data folder and seals all but its last hour, as the gateway does; how many readings."""
    count = asyncio.run(fill(config, data, minutes(days)))
    now = START + days * DAY_MS
    with closing(sqlite3.connect(data / "telemetry.db", isolation_level=None)) as connection:
        while (batch := seal(data, now, _KEEP)) is not None:
            connection.execute("BEGIN")
            catalogue.register(connection, batch)
            connection.execute("COMMIT")
        while catalogue.delete_sealed(connection, 100_000):
            pass
    return count


def minutes(days: int, seed: int = 1) -> Iterator[Tick]:
    """Rooms that fill and empty with the lessons, each a few seconds from the next; sensors that waver."""
    chance = random.Random(seed)
    co2, warm = [450.0] * ROOMS, [20.0] * ROOMS
    for minute in range(days * 1440):
        hour = minute % 1440 / 60
        lessons = 8 <= hour < 17 and minute // 1440 % 7 < 5
        sun = max(0.0, math.sin((hour - 6) / 12 * math.pi))
        for room in range(ROOMS):
            here = lessons and (minute + room * 7) % 55 < 45
            goal = 1_250.0 + room % 40 * 12 if here else 430.0
            co2[room] += (goal - co2[room]) * 0.03 + chance.uniform(-8, 8)
            warm[room] += (19.0 + 6 * sun + room % 5 - warm[room]) * 0.01
            values = (
                float(round(co2[room])), round(warm[room] + chance.choice((0.0, 0.0, 0.1)), 1),
                round(48 + 10 * sun + co2[room] / 400, 1),
                float(round(25 + 20 * sun + chance.uniform(-3, 3))),
                float(round(600 * sun + (250 if here else 0))),
                round(38 + 25 * here + chance.uniform(-2, 2), 1),
                here, round(0.1 + 1.4 * here, 3),
            )  # fmt: skip
            at = START + minute * MINUTE_MS + room * 450
            yield at, [(f"e{room}", point, value) for point, value in zip(POINTS, values, strict=True)]


def _write(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")  # JSON is YAML
    return path
