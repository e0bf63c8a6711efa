"""What a rule file may say, and what is refused with a place and a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.check import check_rule
from rules.rulebook import RuleError, RuleFile, parse_rules
from rules.tree import Path
from tests.rules.school import ALARM, HIGH, SITE, UNITS, raw, rule


def refused(**given: Any) -> dict[Path, str]:
    """The faults of a rule that does not even parse, by path."""
    with pytest.raises(RuleError) as error:
        parse_rules(raw(**given))
    return {fault.path: fault.message for fault in error.value.faults}


def wrong(**given: Any) -> dict[Path, str]:
    """The faults of a rule at the small school, by path."""
    return {fault.path: fault.message for fault in check_rule(rule(**given), UNITS, SITE)}


def test_a_good_rule_has_no_fault() -> None:
    assert wrong(for_="5m") == {}


def test_a_file_holds_one_rule_or_a_list_and_no_id_twice() -> None:
    assert [found.id for found in parse_rules({"rules": [raw(), raw(id="b")]})] == ["high", "b"]
    with pytest.raises(RuleError, match="used twice"):
        parse_rules({"rules": [raw(), raw()]})


def test_a_plain_text_stands_for_both_languages() -> None:
    (found,) = parse_rules(raw(alarm={**ALARM, "guide": "开窗"}))
    assert found.alarm is not None
    assert (found.alarm.guide.zh, found.alarm.guide.en) == ("开窗", "开窗")


@pytest.mark.parametrize(
    ("leaf", "says"),
    [
        ({"agg": "min_rate", "over": "1h"}, "needs it"),
        ({"bucket": "5m"}, "goes with agg min_rate"),
        ({"agg": "min_rate", "over": "20m", "bucket": "15m"}, "two buckets"),
        ({"window": "slot.start..slot.end"}, "goes with agg absent"),
        ({"val": "baseline:mnf_p50_28d * open('x')"}, "allowed are"),
        ({"val": "point:Setpoint"}, "small letters"),
        ({"op": "between", "val": ["point:co2", 5]}, "a list holds no"),
    ],
)
def test_the_words_of_windows_and_values_that_make_no_sense_are_refused(
    leaf: dict[str, Any], says: str
) -> None:
    found = refused(when={"p": "co2", "op": "gt", "val": 1, **leaf})
    assert any(says in message for message in found.values()), found


@pytest.mark.parametrize("window", ["start..end", "slot.end..slot.start", "slot.start..slot.end+13h", "5m"])
def test_a_window_around_a_slot_is_written_in_one_way(window: str) -> None:
    assert ("when", "window") in refused(when={"p": "pressed", "agg": "absent", "window": window})


LEAK = {
    "p": "volume", "agg": "min_rate", "over": "3h", "bucket": "15m", "op": "gt",
    "val": "max(param:floor, baseline:mnf_p50_28d * param:k)",
}  # fmt: skip
FLOOR = {"floor": {"default": 0.05, "unit": "m3/h"}, "k": {"default": 1.5}}
METER: dict[str, Any] = {"scope": {"each": "water_meter"}, "params": FLOOR, "when": LEAK}


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"when": {**LEAK, "val": "baseline:nights"}}, ("when", "val"), "there is no baseline nights"),
        ({"when": {**LEAK, "p": "flow"}}, ("when", "val"), "learned from a counter"),
        ({"when": {**LEAK, "val": "baseline:tow_p50_28d"}}, ("when", "val"), "delta over 1h"),
        ({"when": {**LEAK, "unit": "m3/d"}}, ("when", "val"), "per hour"),
        ({"when": {**LEAK, "clear": "baseline:mnf_p50_28d * 2"}}, ("when", "clear"), "wrong side"),
        ({"when": {**LEAK, "val": "point:pressure_x"}}, ("when", "val"), "no point"),
        ({"when": {**LEAK, "val": "point:active_power"}}, ("when", "val"), "is in kW"),
        ({"when": {**LEAK, "bucket": "1m", "over": "2m"}, "every": 1}, ("when", "bucket"), "shorter than"),
        ({"when": {"p": "volume", "agg": "absent", "window": "slot.start..slot.end"}}, ("when", "window"),
         "patrol_slot"),
        ({"when": {"p": "volume", "agg": "delta", "over": "6d", "op": "gt", "val": 1}}, ("when", "over"),
         "kept"),
        ({"finding": {"kind": "leak", "est": "avg(nothing)*duration"}}, ("finding", "est"), "no point"),
        ({"finding": {"kind": "leak", "est": "avg(volume)*duration"}}, ("finding", "est"),
         "say the finding's unit"),
    ],
)  # fmt: skip
def test_what_a_baseline_or_a_finding_gets_wrong_is_refused_in_its_place(
    given: dict[str, Any], path: Path, says: str
) -> None:
    slow = given.pop("every", None)
    site = replace(SITE, counters=frozenset({"volume"}), kept_ms=5 * 86_400_000)
    if slow:
        site = replace(site, devices=tuple(replace(one, every_ms=300_000) for one in SITE.devices))
    found = [(f.path, f.message) for f in check_rule(rule(**{**METER, **given}), UNITS, site)]
    assert any(at == path and says in message for at, message in found), found


def test_the_leak_rule_as_the_specification_writes_it_is_good() -> None:
    site = replace(SITE, counters=frozenset({"volume"}))
    good = rule(
        **METER, confirm={"occurrences": 2, "within": "3 nights"}, finding={"kind": "leak", "est": "excess"}
    )
    assert check_rule(good, UNITS, site) == []


def test_a_rule_without_an_alarm_says_what_it_finds() -> None:
    bare = raw(finding={"kind": "waste"})
    del bare["alarm"]
    (found,) = parse_rules(bare)
    assert (found.priority, found.title.en) == (4, "high")
    for key, value in {"latch": True, "confirm": {"occurrences": 2, "within": "1d"}}.items():
        with pytest.raises(RuleError, match="belongs to an alarm"):
            parse_rules({**bare, key: value})
    with pytest.raises(RuleError, match="needs an alarm"):
        parse_rules({key: value for key, value in bare.items() if key != "finding"})
    with pytest.raises(RuleError, match="compared with a baseline"):
        parse_rules(raw(finding={"kind": "waste", "est": "excess"}))


@pytest.mark.parametrize("key", ["guide", "consequence", "title", "owner", "respond_within"])
def test_an_alarm_without_what_to_do_is_refused(key: str) -> None:
    alarm = {name: value for name, value in ALARM.items() if name != key}
    assert ("alarm", key) in refused(alarm=alarm)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({}, "exactly one of"),
        ({"p": "co2", "all": [HIGH]}, "exactly one of"),
        ({"all": []}, "at least one"),
        ({"all": [HIGH], "op": "gt"}, "belong to a leaf"),
        ({"p": "co2"}, "needs op and val"),
        ({"p": "co2", "agg": "avg", "op": "gt", "val": 1}, "needs over"),
        ({"p": "co2", "over": "5m", "op": "gt", "val": 1}, "takes no over"),
        ({"p": "co2", "agg": "absent", "op": "gt", "val": 1}, "takes no op"),
        ({"p": "co2", "op": "between", "val": 1}, "needs a list"),
        ({"p": "co2", "op": "gt", "val": [1, 2]}, "not with a list"),
        ({"p": "occupied", "op": "eq", "val": True, "clear": False}, "takes no clear"),
        ({"p": "*", "op": "gt", "val": 1}, "agg absent only"),
        ({"p": "co2", "agg": "rate", "over": "5m", "op": "gt", "val": 1}, "needs unit"),
        ({"n_of": {"n": 3, "of": [HIGH, HIGH]}}, "only 2 conditions"),
    ],
)
def test_a_condition_that_says_nothing_sensible_is_refused(when: dict[str, Any], says: str) -> None:
    assert any(says in message for message in refused(when=when).values())


def test_a_life_safety_alarm_is_not_shelvable_and_never_takes_silence_for_normal() -> None:
    first = {**ALARM, "prio": 1}
    assert any("shelvable" in message for message in refused(alarm=first).values())
    faults = refused(alarm=first, shelvable=False, nodata={"after": "2m", "then": "clear"})
    assert any("lost data" in message for message in faults.values())


def test_a_bottomless_condition_is_refused() -> None:
    when: dict[str, Any] = dict(HIGH)
    for _ in range(60):
        when = {"not": when}
    assert refused(when=when)


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        ({"when": {"p": "c02", "op": "gt", "val": 1}}, ("when", "p"), "no point"),
        ({"when": {"p": "robot.co2", "op": "gt", "val": 1}}, ("when", "p"), "no kind"),
        ({"scope": {"each": "clasroom"}}, ("scope", "each"), "no kind"),
        ({"when": {**HIGH, "unit": "%"}}, ("when", "unit"), "has the unit"),
        ({"when": {**HIGH, "clear": 1600}}, ("when", "clear"), "wrong side"),
        (
            {"when": {"p": "temperature", "op": "lt", "val": 5, "clear": 3}},
            ("when", "clear"),
            "wrong side",
        ),
        ({"when": {"p": "co2", "op": "between", "val": [5, 5]}}, ("when", "val"), "smaller one first"),
        (
            {"when": {"p": "co2", "op": "between", "val": [5, 9], "clear": [6, 9]}},
            ("when", "clear"),
            "enclose",
        ),
        ({"when": {"p": "co2", "op": "gt", "val": "param:hi"}}, ("when", "val"), "no parameter"),
        ({"when": {"p": "co2", "op": "gt", "val": True}}, ("when", "val"), "a number"),
        ({"when": {"p": "occupied", "op": "gt", "val": True}}, ("when", "op"), "needs a number"),
        (
            {"when": {"p": "mode", "agg": "avg", "over": "5m", "op": "gt", "val": 1}},
            ("when", "agg"),
            "needs a number",
        ),
        ({"for_": "45s"}, ("for",), "at least 60 s"),
        (
            {"when": {"p": "co2", "agg": "avg", "over": "10s", "op": "gt", "val": 1}},
            ("when", "over"),
            "reports every 30 s",
        ),
        ({"when": {"p": "open", "op": "eq", "val": True}}, ("when", "p"), "say pick"),
        (
            {
                "params": {"hi": {"default": 1500, "unit": "%"}},
                "when": {"p": "co2", "op": "gt", "val": "param:hi"},
            },
            ("when", "val"),
            "is in %",
        ),
        (
            {
                "params": {"hi": {"default": 1500, "overrides": {"r301": 1200}}},
                "when": {"p": "co2", "op": "gt", "val": "param:hi", "clear": 1350},
            },
            ("when", "clear"),
            "in r301",
        ),
        (
            {"params": {"hi": {"default": 1500, "overrides": {"r999": 1200}}}},
            ("params", "hi", "overrides", "r999"),
            "no space",
        ),
        ({"scope": {"each": "room", "where": {"in": "b9"}}}, ("scope", "where", "in"), "no space"),
    ],
)
def test_what_contradicts_the_site_is_refused_at_its_place(
    given: dict[str, Any], path: Path, says: str
) -> None:
    found = wrong(**given)
    assert says in found[path], found


def test_hours_that_never_begin_are_refused() -> None:
    assert ("active", "between") in refused(active={"between": ["07:30", "07:30"]})
    assert any(path[:2] == ("active", "between") for path in refused(active={"between": ["7:30", "9:00"]}))


def test_no_condition_comes_without_its_rules_schema() -> None:
    schema = RuleFile.model_json_schema()
    node = schema["$defs"]["Node"]
    assert "oneOf" in node and "bucket" in node["properties"]
    assert {"do", "finding"} <= set(schema["$defs"]["Rule"]["properties"])
