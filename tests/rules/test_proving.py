"""What a rule's own tests can say beside readings: weeks before, meters below, slots of a plan."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from rules.baseline import SLOT_PLACE, BaselineKey
from rules.past import lessons
from rules.proving import prove
from rules.rulebook import Rule, RuleError, parse_rules
from rules.series import past_of
from rules.stage import stage_of
from tests.rules.test_pack import PACK, UNITS, VOCABULARY

KINDS = frozenset(VOCABULARY.space_kinds)
DAY = {
    "id": "day-over-usual",
    "scope": {"each": "electricity_meter"},
    "when": {
        "p": "energy_import", "agg": "delta", "over": "1h", "op": "gt", "val": "baseline:tow_p50_28d * 1.5",
    },
    "finding": {"kind": "waste", "title": "more than usual"},
}  # fmt: skip


def rule(**changes: Any) -> Rule:
    """The rule with something else."""
    return parse_rules({**DAY, **changes})[0]


def said(one: Rule) -> list[str]:
    """What its tests find wrong."""
    return [fault.message for fault in prove(one, UNITS, KINDS)]


def trial(**changes: Any) -> dict[str, Any]:
    """A test of three hours at 8 kWh an hour, 5 being usual."""
    whole = {
        "given": {"energy_import": "0..3h @5m 0->24"},
        "history": {"energy_import": "28d @1h 5"},
        "expect": {"findings": 1},
    }
    return {**whole, **changes}


def test_what_is_usual_is_learned_from_the_weeks_before() -> None:
    assert said(rule(tests=[trial()])) == []
    (fault,) = said(rule(tests=[trial(history={"energy_import": "28d @1h 6"})]))
    assert "0 findings, not 1" in fault
    (fault,) = said(rule(tests=[trial(history={"energy_import": "14d @1h 5"})]))
    assert "0 findings, not 1" in fault


def test_the_weeks_before_are_learned_hour_by_hour_and_day_by_day() -> None:
    hours = ",".join(str(hour) for hour in range(24))
    (one,) = rule(tests=[trial(history={"energy_import": f"28d @1h {hours}"})]).tests
    whole = rule(tests=[trial()])
    stage = stage_of(whole, one, UNITS, KINDS, None)
    (known,) = lessons(stage, one.history, [BaselineKey("subject", "energy_import", "tow_p50_28d")])
    assert [known.values[SLOT_PLACE["school", "wed", hour]] for hour in (0, 7, 23)] == pytest.approx(
        [0, 7, 23]
    )
    assert (known.first, known.last) == ("2026-02-02", "2026-02-28")
    assert known.since < stage.start and stage.day == date(2026, 3, 2)


def test_use_that_the_weather_explains_is_learned_from_a_year() -> None:
    weather = PACK["electricity-day-over-weather"]
    one = weather.tests[0]
    stage = stage_of(weather, one, UNITS, KINDS, None)
    (known,) = lessons(stage, one.history, [BaselineKey("subject", "energy_import", "degree_day_12m")])
    base, _, heating, cooling, below, above = known.values
    assert [base, heating, cooling, below, above] == pytest.approx([100, 10, 6, 15, 24])
    assert known.days >= 364 and known.weak == ""


def test_meters_below_count_as_those_of_the_rule_do() -> None:
    balance = PACK["water-balance"]
    stage = stage_of(balance, balance.tests[0], UNITS, KINDS, None)
    meter = stage.site.device_by_id["subject"]
    assert [one.id for one in stage.site.submeters(meter)] == ["submeter", "submeter_2"]
    assert {one.kind for one in stage.site.devices} == {"water_meter"}


@pytest.mark.parametrize(
    "text",
    [
        "28d 5", "28d @1h", "28d @7m 5", "28d @5h 5", "0d @1h 5", "36h @1h 5", "500d @1d 5", "28d @1h a",
        "28d @0s 5", "28d @0 5", "28d @36h 5",
    ],
)  # fmt: skip
def test_a_past_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RuleError)):
        past_of(text)
    with pytest.raises(RuleError):
        rule(tests=[trial(history={"energy_import": text})])


def test_the_past_takes_turns_step_by_step() -> None:
    past = past_of("28d @12h 1,2,3")
    half = timedelta(hours=12) // timedelta(milliseconds=1)
    assert [past.during(n * half) for n in range(5)] == [1, 2, 3, 1, 2]
    assert past.during(half - 1) == 1 and past.days == 28


def test_a_history_that_nothing_is_learned_from_is_told() -> None:
    (fault,) = said(rule(tests=[trial(history={"power_factor": "28d @1h 1"})]))
    assert "power_factor" in fault and "no baseline" in fault


def test_what_is_usual_is_told_or_learned_but_not_both() -> None:
    with pytest.raises(RuleError, match="not both"):
        rule(tests=[trial(baselines={"tow_p50_28d": 5})])


def test_a_rule_for_slots_needs_one_in_its_test() -> None:
    missed = PACK["patrol-round-missed"]
    bare = missed.tests[0].model_copy(update={"slot": None})
    (fault,) = said(missed.model_copy(update={"tests": (bare,)}))
    assert "fails" in fault
