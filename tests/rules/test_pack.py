"""The rules that come with the gateway, against the vocabulary, and played through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from drivers.vocabulary import Vocabulary
from rules.alarm import Change, Condition
from rules.check import check_rule
from rules.engine import Engine
from rules.proving import prove
from rules.rulebook import Rule, parse_rules
from rules.site import DeviceInfo, SiteInfo, SlotInfo, SpaceInfo
from rules.timetable import Calendar
from tests.rules.school import T0, H, M, S, reading_of

CONFIGS = Path(__file__).parents[2] / "configs"


def loaded(path: Path) -> Any:
    """The data of one YAML file."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


VOCABULARY = Vocabulary.model_validate(loaded(CONFIGS / "vocabulary.yaml"))
UNITS = {name: spec.unit for name, spec in VOCABULARY.points.items()}
PACK: Mapping[str, Rule] = {
    rule.id: rule for path in sorted((CONFIGS / "rules").glob("*.yaml")) for rule in parse_rules(loaded(path))
}
YEAR = Calendar.model_validate(
    {
        **loaded(CONFIGS / "calendars" / "demo-2026.yaml"),
        "opening": {"cal": ["school", "exam"], "between": ["06:30", "21:30"]},
        "slots": [{"id": "round-1", "device": "patrol", "between": ["22:00", "22:30"]}],
    }
)


def device(name: str, space: str, kind: str, *points: str, every: int = 30 * S) -> DeviceInfo:
    """A device with vocabulary points."""
    return DeviceInfo(name, space, kind, every, {point: UNITS[point] for point in points}, "bus-a")


SITE = SiteInfo(
    "shangde",
    "Asia/Shanghai",
    (
        SpaceInfo("b1", "教学楼一", "building"),
        SpaceInfo("r301", "三〇一教室", "classroom", "b1"),
        SpaceInfo("kitchen", "厨房", "kitchen"),
    ),
    (
        device("env", "r301", "classroom_env", "co2", "temperature", "humidity", "occupied"),
        device("ac", "r301", "air_conditioner", "active_power", "on"),
        device("win", "r301", "contact", "open", every=0),
        device("button", "r301", "emergency_button", "pressed", every=0),
        device("gas", "kitchen", "gas_detector", "gas_lel", every=10 * S),
        device("em3", "b1", "electricity_meter", "voltage_l1", "voltage_l2", "voltage_l3", "active_power"),
        device("em1", "b1", "electricity_meter", "voltage", "active_power", every=60 * S),
        device("water", "b1", "water_meter", "volume", "flow", every=60 * S),
        device("water-r301", "r301", "water_meter", "volume", every=60 * S),
        device("em-b1", "b1", "electricity_meter", "energy_import", every=60 * S),
        device("em-r301", "r301", "electricity_meter", "energy_import", every=60 * S),
        device("patrol", "b1", "patrol_point", "pressed", every=0),
    ),
    frozenset(VOCABULARY.space_kinds),
    frozenset(VOCABULARY.device_kinds),
    slots=(SlotInfo("round-1", "patrol"),),
    opens=True,
)


class Play:
    """One rule of the pack on its scope."""

    def __init__(self, rule: str, scope: str, start: int = 0, also: Sequence[str] = ()) -> None:
        self.scope = scope
        self.engine = Engine([PACK[name] for name in (rule, *also)], SITE, YEAR)
        self.told: list[Change] = []
        self.keep(self.engine.tick(T0 + start))

    def course(self, device: str, values: Mapping[str, Any], start: int, length: int, step: int) -> None:
        """The same values over a stretch."""
        for at in range(start, start + length, step):
            for point, value in values.items():
                reading = reading_of(0, value, device, "co2")
                now = T0 + at
                reading = reading._replace(point=point, unit=UNITS[point], at=now, received_at=now)
                self.keep(self.engine.evaluate([reading], now))

    @property
    def condition(self) -> Condition:
        """Where it stands."""
        return next(s.condition for s in self.engine.states() if s.scope == self.scope)

    def keep(self, said: Any) -> None:
        """Keeps what a person had to hear of."""
        self.told.extend(t.change for t in said if t.notify and t.state.scope == self.scope)


OF_SEVERAL = {
    "device-silent", "line-offline", "patrol-missed", "patrol-round-missed", "water-balance",
    "electricity-balance", "electricity-day-over-weather",
}  # fmt: skip
"""Rules that look at several devices, at the plan or at a year: a school must have what they ask for."""


@pytest.mark.parametrize("name", sorted(PACK))
def test_each_rule_fits_the_vocabulary_and_its_own_tests_hold(name: str) -> None:
    rule = PACK[name]
    assert check_rule(rule, UNITS, SITE) == []
    assert rule.tests
    assert prove(rule, UNITS, frozenset(VOCABULARY.space_kinds), VOCABULARY.commands) == []


@pytest.mark.parametrize("name", sorted(OF_SEVERAL))
def test_each_rule_of_several_things_watches_something(name: str) -> None:
    (coverage,) = Engine([PACK[name]], SITE, YEAR).coverage()
    assert coverage.bound


def test_the_pack_names_only_its_own_rules() -> None:
    assert len(PACK) >= 70
    for rule in PACK.values():
        assert {*rule.parent_of, *rule.supervise} <= set(PACK)
        assert all(PACK[name].priority == 1 for name in rule.supervise)


def test_every_rule_of_priority_one_is_supervised() -> None:
    lives = {rule.id for rule in PACK.values() if rule.priority == 1}
    assert lives == {*PACK["supervision-lost"].supervise, "supervision-lost"}


def test_a_patrol_that_does_not_come_is_told() -> None:
    night = 14 * H
    play = Play("patrol-missed", "patrol", night)
    play.course("patrol", {"pressed": True}, night + M, S, S)
    play.keep(play.engine.tick(T0 + night + 2 * H))
    assert play.told == []
    play.keep(play.engine.tick(T0 + night + 3 * H))
    assert play.told == [Change.RAISED]


@pytest.mark.parametrize("name", sorted(PACK))
def test_each_rule_speaks_two_languages_and_names_its_source(name: str) -> None:
    rule = PACK[name]
    assert rule.source
    alarm = rule.alarm
    for text in (rule.title, *(() if alarm is None else (alarm.consequence, alarm.guide))):
        assert text.zh != text.en
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text.zh)
        assert text.en.isascii()


def test_stale_air_in_a_lesson_is_told_and_fresh_air_ends_it() -> None:
    play = Play("co2-classroom", "r301")
    play.course("env", {"co2": 1700.0, "occupied": True}, 0, 10 * M, 30 * S)
    assert play.told == [Change.RAISED]
    play.course("env", {"co2": 700.0, "occupied": True}, 10 * M, 15 * M, 30 * S)
    assert play.told == [Change.RAISED, Change.CLEARED]


def test_stale_air_in_an_empty_room_is_not_told() -> None:
    play = Play("co2-classroom", "r301")
    play.course("env", {"co2": 1700.0, "occupied": False}, 0, 30 * M, 30 * S)
    assert play.told == []


def test_a_pressed_button_raises_at_once_and_stays_latched_after_release() -> None:
    play = Play("panic-button", "button")
    play.course("button", {"pressed": True}, 0, S, S)
    play.course("button", {"pressed": False}, S, S, S)
    assert play.told == [Change.RAISED, Change.CLEARED]
    (state,) = [s for s in play.engine.states() if s.scope == "button"]
    assert state.isa == "latched_unacknowledged" and state.priority == 1


def test_gas_raises_and_a_silent_detector_is_lost_supervision_not_gas() -> None:
    play = Play("gas-leak", "gas")
    play.course("gas", {"gas_lel": 25.0}, 0, 20 * S, 10 * S)
    assert play.told == [Change.RAISED]
    silent = Play("gas-leak", "gas")
    silent.course("gas", {"gas_lel": 0.0}, 0, M, 10 * S)
    silent.keep(silent.engine.tick(T0 + 10 * M))
    assert silent.told == []
    guard = Play("supervision-lost", "gas", also=["gas-leak"])
    guard.course("gas", {"gas_lel": 0.0}, 0, M, 10 * S)
    guard.keep(t for t in guard.engine.tick(T0 + 10 * M) if t.state.rule == "supervision-lost")
    assert guard.told == [Change.RAISED]


def test_water_that_runs_all_night_is_a_leak_and_one_quiet_hour_is_none() -> None:
    midnight = 16 * H
    play = Play("water-night-leak", "water", midnight)
    play.course("water", {"flow": 0.3}, midnight, 3 * H, M)
    assert play.told == [Change.RAISED]
    quiet = Play("water-night-leak", "water", midnight)
    for hour in range(5):
        quiet.course("water", {"flow": 0.3}, midnight + hour * H, 58 * M, M)
        quiet.course("water", {"flow": 0.0}, midnight + hour * H + 58 * M, 2 * M, M)
    assert quiet.told == []


def test_air_conditioning_with_an_open_window() -> None:
    play = Play("ac-window-open", "r301")
    play.course("win", {"open": True}, 0, S, S)
    play.course("ac", {"active_power": 1.2}, S, 10 * M, 30 * S)
    assert play.told == [Change.RAISED]
    play.course("win", {"open": False}, 10 * M, S, S)
    play.keep(play.engine.tick(T0 + 12 * M))
    assert play.told == [Change.RAISED, Change.CLEARED]


@pytest.mark.parametrize(
    ("meter", "point", "value"),
    [("em3", "voltage_l2", 150.0), ("em3", "voltage_l3", 240.0), ("em1", "voltage", 190.0)],
)
def test_a_bad_phase_of_any_meter_is_told(meter: str, point: str, value: float) -> None:
    good = dict.fromkeys(("voltage_l1", "voltage_l2", "voltage_l3"), 220.0) if meter == "em3" else {}
    play = Play("voltage-out-of-range", meter)
    play.course(meter, good | {point: value}, 0, 10 * M, M)
    assert play.told == [Change.RAISED]


@pytest.mark.parametrize(
    ("name", "scope", "device", "values"),
    [
        ("overload", "em1", "em1", {"active_power": 130.0}),
        ("room-temperature", "r301", "env", {"temperature": 12.0}),
        ("room-humidity", "r301", "env", {"humidity": 90.0}),
        ("room-freezing", "r301", "env", {"temperature": 3.0}),
    ],
)
def test_what_lasts_too_long_is_told(name: str, scope: str, device: str, values: dict[str, float]) -> None:
    play = Play(name, scope)
    play.course(device, values, 0, H, M)
    assert play.told == [Change.RAISED]


def test_a_device_that_falls_silent_is_told_once_however_many_points_it_has() -> None:
    play = Play("device-silent", "em3")
    play.course("em3", {"voltage_l1": 220.0, "active_power": 1.0}, 0, 5 * M, 30 * S)
    play.keep(play.engine.tick(T0 + H))
    assert play.told == [Change.RAISED]


def test_the_virtual_schools_year_has_its_make_up_workdays() -> None:
    assert YEAR.day_type(date(2026, 10, 10)) == "school"
    assert [lesson.start for lesson in YEAR.lessons_on(date(2026, 10, 10))][:2] == ["07:40", "08:10"]
    assert YEAR.day_type(date(2026, 10, 5)) == "rest"
    assert YEAR.day_type(date(2026, 8, 10)) == "vacation"
    assert YEAR.day_type(date(2026, 11, 12)) == "exam"
