"""Whether the district holds what the store holds, point for point; and the demo's last words."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cloud_sync.holdings import Holdings
from drivers.reading import Quality
from edge.store import cursors
from edge.store.cursors import Held
from edge.store.walk import walk

Key = tuple[str, str]
"""A device kind and a point: a measurement and a field of the district."""


class Sum(NamedTuple):
    """How many values, and what they add up to (switches as 0 and 1, texts as 0)."""

    number: int
    total: float

    def same(self, other: Sum) -> bool:
        """Equal numbers, and totals equal but for the order of adding."""
        slack = 1e-9 * max(1.0, abs(self.total), abs(other.total))
        return self.number == other.number and abs(self.total - other.total) <= slack


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds for a district that begins empty."""

    good: Mapping[Key, Sum]
    bad: int

    @property
    def points(self) -> int:
        """Good readings."""
        return sum(one.number for one in self.good.values())


def sent_before(data: Path, destination: str) -> Held:
    """What a destination holds of earlier runs: nothing where there is no store yet."""
    path = data / "telemetry.db"
    if not path.is_file():
        return Held(0)
    with _reading(path) as connection:
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name='ahead'").fetchone()
        if known:
            found = cursors.held(connection, destination)
        else:  # a store of an earlier version, which the gateway will migrate
            row = connection.execute("SELECT position FROM cursors WHERE destination=?", (destination,))
            found = Held(*(row.fetchone() or (0,)))
    connection.close()
    return found


def stored(data: Path, before: Held) -> Stored:
    """The readings stored but those that were sent before. Raises sqlite3.Error where they cannot be
    read."""
    numbers: dict[Key, list[float]] = {}
    bad = 0
    with _reading(data / "telemetry.db") as connection:
        for one in walk(connection, before.position):
            if before.covers(one.id - 1, one.id):
                continue
            if one.quality is not Quality.GOOD or one.value is None:
                bad += 1
                continue
            value = 0.0 if isinstance(one.value, str) else float(one.value)
            numbers.setdefault((one.source.kind, one.point.name), []).append(value)
    connection.close()
    return Stored({key: Sum(len(values), math.fsum(values)) for key, values in numbers.items()}, bad)


def held(holdings: Holdings, keys: Sequence[Key], school: str | None = None) -> Mapping[Key, Sum]:
    """What the stand-in district holds of these, from one school or from all."""
    found = {}
    for key in keys:
        series = holdings.select(*key, tag=None if school is None else ("school", school))
        found[key] = Sum(sum(one.count for one in series), sum(one.total for one in series))
    return found


def differences(store: Stored, holdings: Holdings, school: str | None = None) -> list[str]:
    """One line for each kind and point whose readings differ between a school's store and the district."""
    there = held(holdings, list(store.good), school)
    return [
        f"{kind} {point}: {here.number} readings of sum {here.total:g} are stored, "
        f"the district holds {there[kind, point].number} of sum {there[kind, point].total:g}"
        for (kind, point), here in store.good.items()
        if not here.same(there[kind, point])
    ]


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
