"""Findings, baselines at work, other points as a value, sums over sub-meters, slots of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from drivers.reading import Reading
from rules.alarm import AlarmState, Change, Condition, Transition
from rules.baseline import Baseline
from rules.engine import Engine
from rules.finding import Finding
from rules.rehearsal import rehearse
from rules.rulebook import Rule, parse_rules
from rules.site import DeviceInfo, SiteInfo, SlotInfo, SpaceInfo
from rules.timetable import Calendar
from tests.rules.school import ALARM, T0, H, M

SPACES = (
    SpaceInfo("b1", "教学楼一", "building"),
    SpaceInfo("f1", "一层", "floor", "b1"),
    SpaceInfo("r1", "一〇一", "classroom", "f1"),
    SpaceInfo("r2", "一〇二", "classroom", "f1"),
)


def device(name: str, space: str, kind: str, every: int = 5 * M, **points: str) -> DeviceInfo:
    return DeviceInfo(name, space, kind, every, points)


SITE = SiteInfo(
    "shangde", "Asia/Shanghai", SPACES,
    (
        device("main", "b1", "water_meter", volume="m3", flow="m3/h"),
        device("w1", "r1", "water_meter", volume="m3"),
        device("w2", "r2", "water_meter", volume="m3"),
        device("ac", "r1", "air_conditioner", active_power="kW", temperature="Cel", setpoint="Cel"),
        device("gate", "b1", "patrol_point", every=0, pressed="bool"),
    ),
    slots=(SlotInfo("night-1", "gate"),), opens=True, counters=frozenset({"volume"}),
)  # fmt: skip
CALENDAR = Calendar.model_validate(
    {
        "slots": [{"id": "night-1", "device": "gate", "between": ["22:00", "22:30"]}],
        "opening": {"cal": "school", "between": ["06:30", "18:00"]},
    }
)
MIDNIGHT = 16 * H
"""00:00 in Shanghai, since T0 (Tuesday begins)."""
EXCESS: Mapping[str, Any] = {
    "p": "volume", "agg": "min_rate", "over": "1h", "bucket": "15m", "op": "gt",
    "val": "baseline:mnf_p50_28d * 1.5",
}  # fmt: skip


def rule(alarm: bool = True, **given: Any) -> Rule:
    data = {"id": "r", "scope": {"each": "water_meter"}, **{k.rstrip("_"): v for k, v in given.items()}}
    if alarm:
        data["alarm"] = dict(ALARM)
    return parse_rules(data)[0]


def usual(
    value: float, name: str = "mnf_p50_28d", device: str = "main", weak: str = "", spread: float = 0.0
) -> Baseline:
    return Baseline(
        device, "volume", name, "m3", T0, "2026-02-02", "2026-03-01", 28, (value,), spread, weak=weak
    )


class Run:
    """An engine fed with counters that grow; times since T0."""

    def __init__(
        self,
        *rules: Rule,
        learned: Sequence[Baseline] = (),
        states: Sequence[AlarmState] = (),
        start: int = 0,
    ) -> None:
        self.engine = Engine(rules, SITE, CALENDAR, states)
        self.engine.learn(learned)
        self.said: list[Transition] = list(self.engine.tick(T0 + start))

    def meter(
        self, since: int, until: int, values: Callable[[int], Mapping[str, float]], step: int = 5 * M
    ) -> Run:
        """Every `step` the counters of the named devices."""
        for at in range(since, until + 1, step):
            for name, value in values(at).items():
                self.say(at, name, "volume", value, "m3")
        return self

    def say(self, at: int, device: str, point: str, value: float | bool, unit: str) -> None:
        now = T0 + at
        self.said += self.engine.evaluate([Reading(device, point, value, unit, now, now)], now)

    def tick(self, at: int) -> None:
        self.said += self.engine.tick(T0 + at)

    @property
    def changes(self) -> list[tuple[int, Change]]:
        return [(t.at - T0, t.change) for t in self.said if t.change not in (Change.NOTED, Change.QUALITY)]

    @property
    def findings(self) -> list[Finding]:
        """The last word on each."""
        return list({t.finding.id: t.finding for t in self.said if t.finding is not None}.values())


def steady(per_hour: float, name: str = "main") -> Callable[[int], Mapping[str, float]]:
    return lambda at: {name: 100 + per_hour * at / H}


def test_a_leaf_over_a_baseline_is_unknown_until_something_is_learned_and_where_it_is_weak() -> None:
    for learned in ((), (usual(0.1, weak="3 nights"),)):
        run = Run(rule(when=EXCESS), learned=learned).meter(0, 3 * H, steady(1.0))
        assert run.changes == []
        leaf = run.engine.explain("r", "main").tree
        assert leaf.truth is None
        assert getattr(leaf, "val", "") is None and "mnf_p50_28d" in getattr(leaf, "reference", "")
    assert "不足以下结论: 3 nights" in getattr(leaf, "reference", "")


def test_what_exceeds_the_usual_is_told_with_its_amount_and_uncertainty() -> None:
    found = rule(when=EXCESS, finding={"kind": "leak", "est": "excess"})
    run = (
        Run(found, learned=[usual(0.1, spread=0.01)])
        .meter(0, 5 * H, steady(1.0))
        .meter(5 * H + 5 * M, 7 * H, lambda at: {"main": 105.0})
    )
    (one,) = run.findings
    assert one.kind == "leak" and one.unit == "m3" and one.device == "main"
    assert one.began_at < T0 + H and one.ended_at is not None
    hours = (one.ended_at - one.began_at) / H
    assert one.amount == pytest.approx(0.9 * hours, abs=0.01)
    assert one.spread == pytest.approx(1.96 * 0.01 * hours, rel=0.01)
    assert "28 days 2026-02-02..2026-03-01" in one.basis
    assert [t.change for t in run.said if t.notify] == [Change.RAISED, Change.CLEARED]


def test_the_excess_of_a_night_is_growth_beyond_the_usual_from_the_windows_beginning() -> None:
    when = {"p": "volume", "agg": "delta", "over": "2h", "op": "gt", "val": "baseline:night_2h_p50_28d * 1.3"}
    found = rule(when=when, finding={"kind": "waste", "est": "excess"})
    run = Run(found, learned=[usual(1.0, "night_2h_p50_28d")])
    run.meter(0, 4 * H, steady(1.0)).meter(4 * H + 5 * M, 8 * H, lambda at: {"main": 104.0})
    (one,) = run.findings
    assert one.began_at == T0 and one.ended_at is not None
    assert one.amount == pytest.approx(4.0 - 0.5 * (one.ended_at - T0) / H)


def test_an_amount_that_stands_on_a_weak_baseline_is_not_said() -> None:
    when = {"any": [EXCESS, {"p": "volume", "agg": "delta", "over": "1h", "op": "gt", "val": 0.5}]}
    run = Run(rule(when=when, finding={"kind": "leak", "est": "excess"}), learned=[usual(0.1, weak="wild")])
    run.meter(0, 2 * H, steady(1.0))
    (one,) = run.engine.findings()
    assert one.amount is None and one.weak == "wild"


def test_a_rule_that_only_finds_calls_nobody_and_is_no_alarm() -> None:
    found = rule(alarm=False, when=EXCESS, finding={"kind": "leak", "est": "excess"})
    run = Run(found, learned=[usual(0.1)]).meter(0, 3 * H, steady(1.0))
    assert not any(t.notify for t in run.said)
    state = next(s for s in run.engine.states() if s.scope == "main")
    assert state.silent and state.acked and state.is_raised and len(run.engine.findings()) == 1


def test_the_first_night_is_a_finding_and_the_second_an_alarm() -> None:
    found = rule(
        when=EXCESS, finding={"kind": "leak", "est": "excess"},
        confirm={"occurrences": 2, "within": "3 nights"},
        active={"cal": "any", "between": ["01:00", "05:00"]},
    )  # fmt: skip
    run = Run(found, learned=[usual(0.1)], start=MIDNIGHT - 2 * H)
    run.meter(MIDNIGHT - 2 * H, MIDNIGHT + 6 * H, steady(1.0))
    assert len(run.findings) == 1 and not any(t.notify for t in run.said)
    run.meter(MIDNIGHT + 6 * H + 5 * M, MIDNIGHT + 30 * H, steady(1.0))
    assert [t.change for t in run.said if t.notify] == [Change.RAISED, Change.CLEARED]
    assert len(run.findings) == 2 and all(one.ended_at is not None for one in run.findings)


def test_a_finding_goes_on_after_a_restart_with_what_the_counter_showed_first() -> None:
    found = rule(when=EXCESS, finding={"kind": "leak", "est": "excess"})
    first = Run(found, learned=[usual(0.1)]).meter(0, 3 * H, steady(1.0))
    (before,) = first.engine.findings()
    again = Run(found, learned=[usual(0.1)], states=first.engine.states(), start=3 * H)
    again.meter(3 * H + 5 * M, 5 * H, steady(1.0))
    (after,) = again.engine.findings()
    assert after.id == before.id and after.began_at == before.began_at
    whole = Run(found, learned=[usual(0.1)]).meter(0, 5 * H, steady(1.0)).engine.findings()[0]
    assert after.amount == pytest.approx(whole.amount)


def test_suspects_are_the_sub_meters_by_their_own_excess() -> None:
    found = rule(
        when=EXCESS, scope={"each": "water_meter", "where": {"level": "main"}},
        finding={"kind": "leak", "est": "excess", "suspects": {"top": 2}},
    )  # fmt: skip
    learned = [usual(0.1), usual(0.05, device="w1"), usual(0.05, device="w2")]
    run = Run(found, learned=learned)
    run.meter(0, 3 * H, lambda at: {"w1": 10 + 0.06 * at / H, "w2": 10 + 0.9 * at / H, "main": 100 + at / H})
    (one,) = run.engine.findings()
    assert [s.device for s in one.suspects] == ["w2", "w1"]
    assert one.suspects[0].excess == pytest.approx(0.85, abs=0.1)


def test_an_estimate_of_an_average_counts_power_by_the_time_it_lasted() -> None:
    found = rule(
        scope={"each": "air_conditioner"}, when={"p": "active_power", "op": "gt", "val": 0.5},
        finding={"kind": "waste", "est": "avg(active_power) * duration"},
    )  # fmt: skip
    run = Run(found)
    for minute, power in enumerate([0.0, *[2.0] * 30, *[1.0] * 30, 0.0]):
        run.say(minute * M, "ac", "active_power", power, "kW")
    (one,) = run.findings
    assert (one.unit, one.ended_at) == ("kWh", T0 + 61 * M)
    assert one.amount == pytest.approx(1.5, abs=0.01)


def test_another_point_is_a_value_and_unknown_while_it_is() -> None:
    found = rule(
        scope={"each": "air_conditioner"}, when={"p": "temperature", "op": "lt", "val": "point:setpoint - 2"}
    )
    run = Run(found)
    run.say(0, "ac", "temperature", 20.0, "Cel")
    assert run.engine.explain("r", "ac").truth is None
    run.say(M, "ac", "setpoint", 26.0, "Cel")
    assert run.changes == [(M, Change.RAISED)]
    run.say(2 * M, "ac", "setpoint", 21.0, "Cel")
    assert run.changes[-1] == (2 * M, Change.CLEARED)


@pytest.mark.parametrize(("part", "raised"), [(0.7, True), (0.95, False)])
def test_sub_meters_are_balanced_against_their_main(part: float, raised: bool) -> None:
    when = {
        "across": {"each": "submeter", "agg": "sum", "of": {"p": "volume", "agg": "delta", "over": "6h"}},
        "op": "lt", "val": "point:volume * 0.85",
    }  # fmt: skip
    run = Run(rule(when=when, for_="1h"))
    run.meter(0, 10 * H, lambda at: {
        "main": 100 + at / H, "w1": 10 + part * 0.5 * at / H, "w2": 10 + part * 0.5 * at / H,
    })  # fmt: skip
    assert any(change is Change.RAISED for _, change in run.changes) is raised
    coverage = run.engine.coverage()[0]
    assert coverage.bound == ("main",) and {u.scope for u in coverage.unbound} == {"w1", "w2"}


def test_a_mean_over_a_group_is_of_those_that_speak() -> None:
    when = {"across": {"each": "submeter", "agg": "avg", "of": {"p": "volume"}}, "op": "gt", "val": 10}
    run = Run(rule(when=when))
    run.say(0, "w1", "volume", 8.0, "m3")
    run.say(M, "w2", "volume", 13.0, "m3")
    assert run.changes == [(M, Change.RAISED)]


ROUND = rule(
    scope={"each": "patrol_slot"},
    when={"p": "pressed", "agg": "absent", "window": "slot.start..slot.end+10m"},
)
SLOT = 14 * H
"""22:00 in Shanghai."""


@pytest.mark.parametrize(
    ("came", "raised"), [(None, True), (SLOT - M, True), (SLOT + 5 * M, False), (SLOT + 39 * M, False)]
)
def test_a_slot_in_which_nothing_came_is_told_when_its_window_ends(came: int | None, raised: bool) -> None:
    run = Run(ROUND)
    run.tick(SLOT - 2 * M)
    if came is not None:
        run.say(came, "gate", "pressed", True, "bool")
    run.tick(SLOT + 5 * H)
    assert run.changes == ([(SLOT + 40 * M, Change.RAISED)] if raised else [])


def test_a_late_round_ends_the_alarm_and_the_next_slot_is_another() -> None:
    run = Run(ROUND)
    run.tick(SLOT + H)
    run.say(SLOT + 2 * H, "gate", "pressed", True, "bool")
    run.tick(SLOT + 25 * H)
    assert run.changes == [
        (SLOT + 40 * M, Change.RAISED), (SLOT + 2 * H, Change.CLEARED),
        (SLOT + 24 * H + 40 * M, Change.RAISED),
    ]  # fmt: skip


def test_a_slot_that_the_gateway_slept_through_says_nothing() -> None:
    run = Run(ROUND, start=SLOT + 3 * H)
    run.tick(SLOT + 10 * H)
    assert run.changes == []


def test_the_calendar_says_when_the_school_is_closed() -> None:
    when = {"all": [{"p": "flow", "op": "gt", "val": 0.3}, {"p": "schedule.closed", "op": "eq", "val": True}]}
    run = Run(rule(when=when))
    run.say(0, "main", "flow", 1.0, "m3/h")
    assert run.changes == []
    for at in range(5 * M, 11 * H, 5 * M):
        run.say(at, "main", "flow", 1.0, "m3/h")
    assert run.changes == [(10 * H, Change.RAISED)]


def test_a_leaf_may_say_itself_what_it_is_when_data_are_lost() -> None:
    lost = {"p": "flow", "op": "gt", "val": 5, "nodata": {"after": "10m", "then": "raise"}}
    run = Run(rule(when={"all": [lost, {"p": "volume", "op": "gt", "val": 0}]}))
    run.say(0, "main", "flow", 1.0, "m3/h")
    run.meter(0, H, steady(1.0))
    assert (10 * M, Change.RAISED) in run.changes


def test_a_baseline_comes_into_force_at_its_own_time() -> None:
    later = replace(usual(2.0), since=T0 + 4 * H)
    run = Run(rule(when=EXCESS), learned=[usual(0.1)]).meter(0, 2 * H, steady(1.0))
    run.engine.learn([later])
    run.meter(2 * H + 5 * M, 6 * H, steady(1.0))
    assert [change for _, change in run.changes] == [Change.RAISED, Change.CLEARED]
    assert run.changes[-1] == (4 * H, Change.CLEARED)


class Known:
    """Learns 0.1 m3/h on every day; says which days it was asked for."""

    def __init__(self) -> None:
        self.asked: list[date] = []

    def lesson(self, day: date, wanted: Sequence[Any]) -> list[Baseline]:
        self.asked.append(day)
        return [usual(0.1, device=key.device) for key in wanted]


def test_a_rehearsal_learns_as_its_days_pass_and_finds_what_the_engine_finds() -> None:
    found = rule(when=EXCESS, finding={"kind": "leak", "est": "excess"})
    readings = [
        Reading("main", "volume", 100 + at / H, "m3", T0 + at, T0 + at) for at in range(0, 50 * H, 5 * M)
    ]
    teacher = Known()
    done = rehearse([found], SITE, CALENDAR, readings, T0, T0 + 50 * H, teacher=teacher)
    assert teacher.asked == [date(2026, 3, day) for day in (1, 2, 3)]
    live = Run(found, learned=[usual(0.1)]).meter(0, 50 * H - 5 * M, steady(1.0))
    (one,), (other,) = done.findings, live.engine.findings()
    assert (one.id, one.began_at) == (other.id, other.began_at)
    assert one.amount == pytest.approx(other.amount, abs=0.2)
    assert done.found() == {("r", "m3"): one.amount}
    assert [o.scope for o in done.occurrences] == ["main"]


def test_nothing_is_open_for_an_edited_rule() -> None:
    found = rule(when=EXCESS, finding={"kind": "leak", "est": "excess"})
    run = Run(found, learned=[usual(0.1)]).meter(0, 2 * H, steady(1.0))
    edited = rule(alarm=False, when=EXCESS, finding={"kind": "leak", "est": "excess"})
    said = Run(edited, learned=[usual(0.1)], states=run.engine.states(), start=3 * H).said
    assert (Change.CLOSED, Condition.NORMAL) in [(t.change, t.state.condition) for t in said]
