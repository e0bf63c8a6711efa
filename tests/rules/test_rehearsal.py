"""A rehearsal of what was stored finds what happened live, through kills, and what a change would change."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from drivers.reading import Reading
from rules.alarm import Change, Transition
from rules.engine import Engine
from rules.rehearsal import LATENESS_MS, compare, rehearse
from rules.rulebook import Rule
from rules.site import SiteInfo, SpaceInfo
from tests.rules.school import ALARM, T0, H, M, S, device, reading_of, rule

DAY = 24 * H
ROOMS = 12


def school() -> SiteInfo:
    """A dozen rooms on two lines."""
    rooms = [SpaceInfo(f"r{n}", f"室{n}", "classroom", f"b{n % 2}") for n in range(ROOMS)]
    buildings = [SpaceInfo(f"b{n}", f"楼{n}", "building") for n in range(2)]
    devices = [
        device(f"e{n}", f"r{n}", "classroom_env", ("co2", "occupied"), every=5 * M, line=f"bus-{n % 2}")
        for n in range(ROOMS)
    ]
    return SiteInfo("shangde", "Asia/Shanghai", (*buildings, *rooms), tuple(devices))


ROOM: dict[str, Any] = {"scope": {"each": "classroom"}}
RULES: tuple[Rule, ...] = (
    rule(
        id="stuffy", for_="15m", clear_for="10m", active={"cal": "school", "between": ["07:30", "18:00"]},
        when={"p": "co2", "agg": "avg", "over": "15m", "op": "gt", "val": 1500, "clear": 1350},
        alarm={**ALARM, "prio": 4}, realarm="2h", **ROOM,
    ),
    rule(
        id="spike", when={"p": "co2", "op": "gt", "val": 2400}, alarm={**ALARM, "prio": 3},
        suppress_when={"p": "occupied", "op": "eq", "val": False, "extend": "10m"}, **ROOM,
    ),
    rule(
        id="long", when={"all": [{"p": "co2", "op": "gt", "val": 1200}], "for": "40m"}, clear_for="7m",
        confirm={"occurrences": 2, "within": "2d"}, **ROOM,
    ),
    rule(id="silent", scope={"each": "device"}, when={"p": "online", "op": "eq", "val": False}, for_="6m"),
    rule(
        id="line", scope={"each": "line"}, for_="7m", clear_for="6m", parent_of=["silent"],
        when={"across": {"each": "device", "agg": "share",
                         "of": {"p": "online", "op": "eq", "val": False}}, "op": "ge", "val": 0.8},
        alarm={**ALARM, "prio": 2},
    ),
)  # fmt: skip


def week(seed: int, days: int) -> list[Reading]:
    """Days of readings in the order of arrival: lessons, dead devices, two dead lines; each a little late."""
    chance = random.Random(seed)
    readings = []
    level = dict.fromkeys(range(ROOMS), 700.0)
    cuts = [(chance.randrange(days * DAY), chance.randrange(20 * M, 3 * H), n % 2) for n in range(2 * days)]
    for at in range(0, days * DAY, 5 * M):
        for room in range(ROOMS):
            measured = at + room * 800 + chance.randrange(700)
            lesson = 0 <= at % DAY < 8 * H
            level[room] += chance.uniform(-180, 230 if lesson else 80)
            level[room] = min(3000.0, max(420.0, level[room]))
            dead = any(start <= at < start + long and room % 2 == line for start, long, line in cuts)
            dead = dead or chance.random() < 0.02
            late = measured + chance.randrange(LATENESS_MS - 500)
            points = {"co2": round(level[room]), "occupied": lesson and chance.random() < 0.9}
            for point, value in points.items():
                reading = reading_of(measured, None if dead else value, f"e{room}", point)
                readings.append(reading._replace(received_at=T0 + late))
    return sorted(readings, key=lambda reading: reading.received_at)


class Step(NamedTuple):
    """What of a transition must be the same."""

    at: int
    change: Change
    rule: str
    scope: str
    notify: bool
    count: int


def steps(said: Sequence[Transition]) -> list[Step]:
    """The transitions to compare, in an order of their own where they share an instant."""
    return sorted(Step(t.at, t.change, t.state.rule, t.state.scope, t.notify, t.count) for t in said)


def live(site: SiteInfo, readings: Sequence[Reading], seed: int, kills: int) -> list[Transition]:
    """The engine as the gateway feeds it: in batches, ticked when nothing comes, killed at any moment."""
    chance = random.Random(seed)
    engine = Engine(RULES, site, None, lateness_ms=LATENESS_MS)
    said = engine.tick(readings[0].at)
    deaths = set(chance.sample(range(len(readings)), kills))
    done = 0
    for batch in _batches(readings, chance):
        now = max(reading.received_at for reading in batch)
        said += engine.evaluate(batch, now)
        done += len(batch)
        following = readings[done].received_at if done < len(readings) else now
        for _ in range(chance.randrange(3)):
            if following > now:
                now = chance.randrange(now, following)
                said += engine.tick(now)
        if deaths & set(range(done - len(batch), done)):
            states = [replace(state) for state in engine.states()]
            engine = Engine(RULES, site, None, states, lateness_ms=LATENESS_MS)
            engine.warm([r for r in readings[:done] if r.at >= now - 3 * H], now)
    return said


def _batches(readings: Sequence[Reading], chance: random.Random) -> Iterator[Sequence[Reading]]:
    start = 0
    while start < len(readings):
        size = chance.choice((1, 2, 5, 24))
        yield readings[start : start + size]
        start += size


@pytest.mark.parametrize("seed", range(6))
def test_a_rehearsal_finds_exactly_what_happened_live(seed: int) -> None:
    site, readings = school(), week(seed, 2)
    said = live(site, readings, seed, kills=0)
    again: list[Transition] = []
    rehearse(RULES, site, None, readings, T0, T0 + 2 * DAY, hear=again.append)
    end = readings[-1].at - M
    assert steps([t for t in again if t.at < end]) == steps([t for t in said if t.at < end])
    assert {t.change for t in said} >= {Change.RAISED, Change.SUPPRESSED, Change.CLEARED, Change.NOTED}


@pytest.mark.parametrize("seed", range(3))
def test_and_so_it_does_when_the_gateway_was_killed_again_and_again_in_a_week(seed: int) -> None:
    site, readings = school(), week(seed, 7)
    said = live(site, readings, seed, kills=25)
    again: list[Transition] = []
    rehearse(RULES, site, None, readings, T0, T0 + 7 * DAY, hear=again.append)
    end = readings[-1].at - M
    assert steps([t for t in again if t.at < end]) == steps([t for t in said if t.at < end])


def test_a_rehearsal_is_the_same_every_time_and_counts_what_was_told() -> None:
    site, readings = school(), week(1, 1)
    first = rehearse(RULES, site, None, readings, T0, T0 + DAY)
    second = rehearse(RULES, site, None, iter(readings), T0, T0 + DAY)
    assert first.occurrences == second.occurrences and first.notices == second.notices > 0
    assert first.readings == len(readings)
    minutes = {name: ms / M for name, ms in first.alarm_ms().items()}
    assert minutes and all(value >= 0 for value in minutes.values())


def test_an_old_and_a_new_rule_are_compared_on_the_same_past() -> None:
    readings = [
        reading_of(n * M, 1600.0 if 10 <= n < 30 else 1450.0 if 60 <= n < 70 else 600.0) for n in range(120)
    ]
    before = rehearse([rule()], school_301(), None, readings, T0, T0 + 2 * H)
    low = rule(when={"p": "co2", "op": "gt", "val": 1400, "clear": 1350})
    after = rehearse([low], school_301(), None, readings, T0, T0 + 2 * H)
    changed = compare(before, after)
    assert (changed.only_before, changed.both) == ((), 1)
    assert [(o.raised_at - T0, o.value) for o in changed.only_after] == [(60 * M, 1450.0)]
    assert before.alarm_ms() == {"high": 20 * M}


def test_what_began_before_the_time_asked_for_fills_windows_and_is_not_counted_when_it_was_over() -> None:
    readings = [reading_of(n * M, 1600.0 if n < 5 else 600.0) for n in range(60)]
    found = rehearse([rule()], school_301(), None, readings, T0 + 30 * M, T0 + H)
    assert found.occurrences == []


def test_what_still_stands_at_the_end_has_no_end() -> None:
    found = rehearse([rule()], school_301(), None, [reading_of(50 * S, 1600.0)], T0, T0 + 10 * M)
    (one,) = found.occurrences
    assert one.cleared_at is None and found.alarm_ms() == {"high": 10 * M - 50 * S}


def school_301() -> SiteInfo:
    """One room."""
    return SiteInfo(
        "shangde", "Asia/Shanghai", (SpaceInfo("r301", "三〇一", "classroom"),),
        (device("env-301", "r301", "classroom_env", ("co2",), every=60 * S),),
    )  # fmt: skip
