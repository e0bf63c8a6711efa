"""What is taken as read changes nothing: columns give exactly the transitions that single readings give."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from drivers.reading import Quality, Reading
from rules.alarm import Change, Transition
from rules.rehearsal import Wanted, rehearse, rehearse_columns
from rules.run import Run, gap_of
from rules.site import SiteInfo, SpaceInfo
from rules.stretch import Stretch
from tests.rules.school import ALARM, T0, H, M, S, device, reading_of, rule

ROOMS = 6
ROOM: dict[str, Any] = {"scope": {"each": "classroom"}}
TELLING: tuple[dict[str, Any], ...] = (
    {"p": "co2", "op": "gt", "val": 1500, "clear": 1350},
    {"p": "co2", "op": "le", "val": 500},
    {"p": "co2", "op": "between", "val": [900, 1000], "clear": [850, 1050]},
    {"p": "co2", "agg": "avg", "over": "20m", "op": "gt", "val": 1300, "clear": 1200},
    {"p": "co2", "agg": "avg", "over": "7m", "op": "lt", "val": 600},
    {"p": "co2", "agg": "max", "over": "30m", "op": "ge", "val": 1400},
    {"p": "co2", "agg": "min", "over": "2h", "op": "ge", "val": 700},
    {"p": "co2", "agg": "unchanged", "over": "90m"},
    {"p": "co2", "agg": "absent", "over": "15m"},
    {"p": "temperature", "op": "eq", "val": 21.5},
    {"p": "temperature", "agg": "avg", "over": "30m", "op": "ge", "val": 21.5},
    {"p": "occupied", "op": "eq", "val": True},
    {"p": "occupied", "agg": "unchanged", "over": "3h"},
)
"""Leaves that can tell for a whole run."""
LEAVES = (
    *TELLING,
    {"p": "co2", "agg": "slope", "over": "30m", "op": "gt", "val": 20, "unit": "[ppm]/min"},
    {"p": "co2", "agg": "count", "over": "10m", "op": "lt", "val": 5},
    {"p": "temperature", "agg": "delta", "over": "1h", "op": "gt", "val": 3},
    {"p": "occupied", "agg": "count_true", "over": "15m", "op": "eq", "val": 0},
    {"p": "occupied", "agg": "since_change", "op": "ge", "val": 1800, "unit": "s"},
)


def site() -> SiteInfo:
    """Half a dozen rooms on two lines."""
    rooms = [SpaceInfo(f"r{n}", f"室{n}", "classroom", "b") for n in range(ROOMS)]
    devices = [
        device(f"e{n}", f"r{n}", "classroom_env", ("co2", "temperature", "occupied"), M, f"bus-{n % 2}")
        for n in range(ROOMS)
    ]
    return SiteInfo("shangde", "Asia/Shanghai", (SpaceInfo("b", "楼", "building"), *rooms), tuple(devices))


def rules_of(chance: random.Random) -> list[Any]:
    """Rules of some leaves, some in pairs, with delays, hours and parents; and three about groups."""
    found = []
    leaves = chance.choice((LEAVES, TELLING, TELLING))
    for number, leaf in enumerate(chance.sample(leaves, chance.randrange(2, 9))):
        when: dict[str, Any] = dict(leaf)
        kind = chance.randrange(4)
        if kind == 1:
            when = {"all": [leaf, chance.choice(leaves)]}
        elif kind == 2:
            when = {"any": [{"not": leaf}, {"all": [chance.choice(leaves)], "for": "20m"}]}
        more: dict[str, Any] = {}
        if chance.random() < 0.3:
            more["active"] = {"cal": "school", "between": ["08:00", "17:30"]}
        if chance.random() < 0.2:
            more["suppress_when"] = {"p": "occupied", "op": "eq", "val": False, "extend": "10m"}
        if chance.random() < 0.2:
            more["confirm"] = {"occurrences": 2, "within": "1d"}
        found.append(
            rule(
                id=f"l{number}", when=when, for_=chance.choice(("0s", "3m", "20m")),
                clear_for=chance.choice(("0s", "5m")), nodata={"after": chance.choice(("5m", "40m"))},
                latch=chance.random() < 0.1, alarm={**ALARM, "prio": chance.randrange(2, 5)}, **ROOM, **more,
            )
        )  # fmt: skip
    low = {"p": "co2", "op": "gt", "val": 1000}
    offline = {"p": "online", "op": "eq", "val": False}
    found += [
        rule(id="silent", scope={"each": "device"}, when=offline, for_="6m"),
        rule(
            id="line", scope={"each": "line"}, for_="7m", clear_for="6m", parent_of=["silent", "l1"],
            when={"across": {"each": "device", "agg": "share", "of": offline}, "op": "ge", "val": 0.6},
        ),
    ]  # fmt: skip
    if chance.random() < 0.4:
        found.append(rule(
            id="many", scope={"each": "building"},
            when={"across": {"each": "classroom", "of": low}, "op": "ge", "val": 3},
        ))  # fmt: skip
    return found


def day(chance: random.Random, minutes: int) -> list[Reading]:
    """Readings every minute, by time: calm hours and lively ones, pauses, bad ones, and points that
    come less often; rooms that are read in the very same instant."""
    level = [600.0] * ROOMS
    warm = [21.0] * ROOMS
    here = [False] * ROOMS
    dead = [(chance.randrange(minutes), chance.randrange(8, 200), chance.randrange(ROOMS)) for _ in range(5)]
    found = []
    for minute in range(minutes):
        lively = minute // 45 % 5 == 1
        for room in range(ROOMS):
            if lively:
                level[room] = min(2000.0, max(400.0, level[room] + chance.uniform(-120, 130)))
                warm[room] = round(warm[room] + chance.choice((-0.1, 0.0, 0.1)), 1)
                here[room] = here[room] if chance.random() < 0.9 else not here[room]
            if any(start <= minute < start + long and room == which for start, long, which in dead):
                continue
            at = minute * M + (0 if room < 3 else room * 700)
            bad = chance.random() < 0.001
            values = {"co2": round(level[room], 1), "occupied": here[room]}
            if minute % 4 == room % 4:
                values["temperature"] = warm[room]
            found += [reading_of(at, None if bad else v, f"e{room}", point) for point, v in values.items()]
    return sorted(found, key=lambda reading: reading.at)


@dataclass
class Cut:
    """A slab made of readings."""

    begins: int
    until: int
    all: Sequence[Reading]
    played: int = 0

    def __post_init__(self) -> None:
        self.count = len(self.all)
        self.busy = {r.device for r in self.all if r.quality is not Quality.GOOD}
        self.stretches = [self._stretch(d) for d in {r.device: None for r in self.all} if d not in self.busy]

    def _stretch(self, name: str) -> Stretch:
        mine = [r for r in self.all if r.device == name]
        points = {r.point: [one for one in mine if one.point == r.point] for r in mine}
        runs = {point: _run([r.at for r in some], [r.value for r in some]) for point, some in points.items()}
        times = sorted({r.at for r in mine})
        return Stretch(name, runs, _run(times, [True] * len(times)))

    def readings(self, played: Mapping[str, Collection[str]]) -> Sequence[Reading]:
        """See the protocol."""
        some = [r for r in self.all if r.device in self.busy or r.point in played.get(r.device, ())]
        self.played = len(some)
        return some


def _run(times: Sequence[int], values: Sequence[Any]) -> Run:
    return Run(times, values, type(values[0]), gap_of(times))


@dataclass
class CutReadings:
    """Columns out of a list of readings, cut anywhere."""

    all: Sequence[Reading]
    chance: random.Random
    played: int = 0

    def slabs(self, since: int, until: int, wanted: Wanted) -> Iterator[Cut]:
        """See the protocol."""
        begins = since
        while begins < until:
            end = min(
                until, begins + self.chance.choice((3 * M, 20 * M, H, 100 * M)) + self.chance.randrange(S)
            )
            some = [r for r in self.all if begins <= r.at < end]
            if some:
                cut = Cut(some[0].at, end, some)
                yield cut
                self.played += cut.played
            begins = end


PLAYED: list[float] = []
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 40))]


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_give_exactly_the_transitions_of_single_readings(seed: int) -> None:
    chance = random.Random(seed)
    rules, readings = rules_of(chance), day(chance, 10 * 60)
    end = T0 + 10 * H
    plain: list[Transition] = []
    wide: list[Transition] = []
    one = rehearse(rules, site(), None, readings, T0, end, hear=plain.append)
    columns = CutReadings(readings, chance)
    two = rehearse_columns(rules, site(), None, columns, T0, end, hear=wide.append)
    assert wide == plain
    PLAYED.append(columns.played / len(readings))
    assert (two.occurrences, two.notices, two.readings) == (one.occurrences, one.notices, one.readings)
    assert {t.change for t in plain} >= {Change.RAISED, Change.CLEARED}


def test_and_most_readings_were_not_looked_at() -> None:
    assert min(PLAYED) < 0.8
