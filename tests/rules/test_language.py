"""The later words of the language: groups, inner timers, confirmation, suppression, arithmetic, tests."""

from __future__ import annotations

from typing import Any

import pytest

from rules import arithmetic
from rules.alarm import Change, Condition
from rules.check import check_rule
from rules.explanation import ExplainedBranch
from rules.proving import prove
from rules.rulebook import RuleError
from rules.tree import Path
from tests.rules.school import HIGH, SITE, UNITS, H, M, Run, rule

KINDS = frozenset({"classroom", "building", "kitchen"})


def wrong(**given: Any) -> dict[Path, str]:
    """The faults of a rule at the small school, by path."""
    return {fault.path: fault.message for fault in check_rule(rule(**given), UNITS, SITE)}


# across

TWO_ROOMS: dict[str, Any] = {
    "scope": {"each": "building"},
    "when": {"across": {"each": "classroom", "of": HIGH}, "op": "ge", "val": 2},
}


def test_a_group_is_counted_and_unknown_members_leave_it_open() -> None:
    run = Run(rule(**TWO_ROOMS))
    run.feed(0, 1600.0)
    assert run.said == [] and run.engine.explain("high", "b1").truth is None
    run.feed(1 * M, 1600.0, device="env-302")
    assert run.changes == [(1 * M, Change.RAISED)]
    run.feed(2 * M, 1000.0)
    assert run.changes[-1] == (2 * M, Change.CLEARED)


def test_a_share_counts_members_that_can_be_watched() -> None:
    share = {"across": {"each": "classroom", "agg": "share", "of": HIGH}, "op": "ge", "val": 0.5}
    run = Run(rule(scope={"each": "site"}, when=share))
    run.feed(0, 1600.0)
    assert run.changes == [(0, Change.RAISED)]
    tree = run.engine.explain("high", "shangde").tree
    assert isinstance(tree, ExplainedBranch) and (tree.kind, tree.n) == ("across", 2)


def test_a_group_is_bound_where_it_has_members_only() -> None:
    scope = {"each": "space", "where": {"kind": ["building", "kitchen"]}}
    (coverage,) = Run(rule(**{**TWO_ROOMS, "scope": scope})).engine.coverage()
    assert coverage.bound == ("b1",) and coverage.unbound[0].scope == "kitchen"


def test_a_group_is_checked_like_all_else() -> None:
    across = {"each": "clasroom", "of": {"p": "c02", "op": "gt", "val": 1}}
    found = wrong(scope={"each": "building"}, when={"across": across, "op": "ge", "val": "param:n"})
    assert "no kind" in found["when", "across", "each"]
    assert "no point" in found["when", "across", "of", "p"]
    assert "no parameter" in found["when", "val"]


# inner for

LONG_LOW: dict[str, Any] = {
    "when": {
        "any": [
            {"p": "co2", "op": "gt", "val": 3000},
            {"all": [HIGH, {"p": "occupied", "op": "eq", "val": True}], "for": "10m"},
        ]
    }
}


def test_a_part_with_its_own_for_must_hold_so_long() -> None:
    run = Run(rule(**LONG_LOW))
    run.feed(0, True, point="occupied")
    run.feed(0, 1600.0)
    run.tick(9 * M)
    assert [c for _, c in run.changes if c is not Change.NOTED] == []
    run.tick(10 * M)
    assert run.changes[-1] == (10 * M, Change.RAISED)


def test_the_other_part_needs_no_patience() -> None:
    run = Run(rule(**LONG_LOW))
    run.feed(0, True, point="occupied")
    run.feed(0, 3500.0)
    assert run.told == [Change.RAISED]


def test_an_inner_timer_goes_on_over_a_restart() -> None:
    first = Run(rule(**LONG_LOW))
    first.feed(0, True, point="occupied")
    first.feed(0, 1600.0)
    second = Run(rule(**LONG_LOW), states=first.engine.states(), start=4 * M)
    second.feed(4 * M, True, point="occupied")
    second.feed(4 * M, 1600.0)
    second.tick(11 * M)
    assert second.changes[-1] == (10 * M, Change.RAISED)


def test_a_part_that_lets_go_starts_anew() -> None:
    run = Run(rule(**LONG_LOW))
    run.feed(0, True, point="occupied")
    run.series({0: 1600.0, 5 * M: 1000.0, 6 * M: 1600.0})
    run.tick(15 * M)
    assert run.told == []
    run.tick(16 * M)
    assert run.told == [Change.RAISED]


# confirm

NIGHTS: dict[str, Any] = {"confirm": {"occurrences": 2, "within": "3d"}, "nodata": {"after": "7d"}}


def test_the_first_episode_is_a_sighting_and_the_second_an_alarm() -> None:
    run = Run(rule(for_="5m", **NIGHTS))
    run.feed(0, 1600.0)
    run.tick(30 * M)
    assert run.told == [] and run.state().sighted
    assert run.engine.explain("high", "r301").awaiting == "confirmation"
    run.feed(1 * H, 600.0)
    assert run.state().condition is Condition.NORMAL
    run.feed(24 * H, 1600.0)
    run.tick(24 * H + 5 * M)
    assert run.told == [Change.RAISED]


def test_sightings_too_far_apart_are_no_confirmation() -> None:
    run = Run(rule(**NIGHTS))
    run.series({0: 1600.0, 1 * H: 600.0, 73 * H: 1600.0})
    assert run.told == []


def test_a_sighting_outlives_a_restart() -> None:
    first = Run(rule(**NIGHTS))
    first.series({0: 1600.0, 1 * H: 600.0})
    second = Run(rule(**NIGHTS), states=first.engine.states(), start=2 * H)
    second.feed(24 * H, 1600.0)
    assert second.told == [Change.RAISED]


# suppress_when

DEFROST: dict[str, Any] = {
    "suppress_when": {"p": "occupied", "op": "eq", "val": True, "extend": "20m"},
    "nodata": {"after": "1d"},
}


def test_nothing_is_raised_while_it_is_suppressed_nor_shortly_after() -> None:
    run = Run(rule(**DEFROST))
    run.feed(0, True, point="occupied")
    run.feed(1 * M, 1600.0)
    run.feed(10 * M, False, point="occupied")
    run.tick(29 * M)
    assert run.told == []
    assert run.engine.explain("high", "r301").awaiting == "suppressed"
    run.tick(30 * M)
    assert run.changes[-1] == (30 * M, Change.RAISED)


def test_what_was_raised_before_may_clear_while_it_is_suppressed() -> None:
    run = Run(rule(**DEFROST))
    run.feed(0, 1600.0)
    run.feed(1 * M, True, point="occupied")
    run.feed(2 * M, 600.0)
    assert run.told == [Change.RAISED, Change.CLEARED]


def test_the_rest_of_a_suppression_outlives_a_restart() -> None:
    first = Run(rule(**DEFROST))
    first.feed(0, True, point="occupied")
    first.feed(10 * M, False, point="occupied")
    second = Run(rule(**DEFROST), states=first.engine.states(), start=11 * M)
    second.feed(12 * M, 1600.0)
    second.tick(29 * M)
    assert second.told == []
    second.tick(30 * M)
    assert second.told == [Change.RAISED]


# arithmetic


def test_a_threshold_may_be_computed_from_parameters() -> None:
    params = {"cap": {"default": 2000, "unit": "[ppm]"}, "k": {"default": 0.75}}
    when = {"p": "co2", "op": "gt", "val": "max(param:cap * param:k, 1000) + 100", "clear": "param:cap*0.5"}
    assert wrong(params=params, when=when) == {}
    run = Run(rule(params=params, when=when))
    run.series({0: 1599.0, 1 * M: 1601.0, 2 * M: 1100.0, 3 * M: 999.0})
    assert [at for at, _ in run.changes] == [1 * M, 3 * M]


@pytest.mark.parametrize(
    "text",
    [
        "param:a ** 9", "__import__('os').system('true') or param:a", "param:a.real", "[param:a][0]",
        "param:a if 1 else 2", "lambda: param:a", "param:a < 2", "min(param:a)", "open(param:a, 1)",
        "max(*param:a)", "param:a +", "param:a" + "+1" * 200, "not param:a", "True + param:a",
        "(" * 90 + "param:a" + ")" * 90 + "; 1", "-" * 60 + "param:a",
    ],
)  # fmt: skip
def test_nothing_but_arithmetic_is_let_in(text: str) -> None:
    with pytest.raises(ValueError):
        arithmetic.parse(text)
    with pytest.raises(RuleError):
        rule(when={"p": "co2", "op": "gt", "val": text})


def test_arithmetic_without_a_value_is_refused_at_its_place() -> None:
    params = {"a": {"default": 1, "overrides": {"r301": 0}}}
    found = wrong(params=params, when={"p": "co2", "op": "gt", "val": "1000 / param:a"})
    assert "r301" in found["when", "val"]
    assert "no parameter b" in wrong(when={"p": "co2", "op": "gt", "val": "2*param:b"})["when", "val"]


def test_arithmetic_computes_as_people_do() -> None:
    params = {"a": 3.0, "b": -2.0}
    assert arithmetic.evaluate("abs(param:b) * (param:a - 1) / 2 + min(param:a, 9, 4)", params) == 5.0


# tests inside a rule

TESTS = [
    {"given": {"co2": "0..20m @1m 1600"}, "expect": {"active_at": "6m"}},
    {"given": {"co2": "0..20m @1m 1510,1490"}, "expect": {"occurrences_le": 1}},
    {"given": {"co2": "0..20m @1m 1400"}, "expect": {"active_never": True}},
    {
        "given": {"co2": ["0..10m @1m 1600", "11m..30m @1m 600"]},
        "expect": {"normal_at": "30m", "occurrences": 1},
    },
]


def test_a_rules_own_tests_hold() -> None:
    assert prove(rule(for_="5m", clear_for="2m", tests=TESTS), UNITS, KINDS) == []


def test_a_wrong_threshold_fails_its_test_with_a_sentence() -> None:
    (fault, *more) = prove(rule(for_="5m", when={**HIGH, "val": 1700}, tests=TESTS), UNITS, KINDS)
    assert fault.path == ("tests", 0) and "not active at 360 s" in fault.message
    assert len(more) == 1


def test_tests_play_inside_the_active_hours_and_on_devices_lines_and_groups() -> None:
    night = rule(
        active={"cal": "rest", "between": ["23:00", "05:00"]},
        scope={"each": "meter", "where": {"medium": "water"}},
        when={"p": "flow", "agg": "min", "over": "30m", "op": "gt", "val": 0.05},
        tests=[
            {"given": {"flow": "0..60m @1m 0.4"}, "expect": {"active_at": "40m"}},
            {"given": {"flow": "0..60m @1m 0.4"}, "day": "school", "expect": {"active_never": True}},
            {"given": {"flow": "0..60m @1m 0.4"}, "start": "12:00", "expect": {"active_never": True}},
        ],
    )
    assert prove(night, UNITS, KINDS) == []
    down = rule(
        scope={"each": "device"}, when={"p": "online", "op": "eq", "val": False}, for_="30s",
        tests=[{"given": {"online": "0..2m @10s false"}, "expect": {"active_at": "40s"}}],
    )  # fmt: skip
    assert prove(down, UNITS, KINDS) == []


@pytest.mark.parametrize(
    "given",
    [
        {"co2": "0..20m 1600"}, {"co2": "20m..0 @1m 1600"}, {"co2": "0..20m @0s 1600"}, {"co2": 1600.0},
        {"co2": "0..2000m @1s 1"},
    ],
)  # fmt: skip
def test_a_series_that_says_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        rule(tests=[{"given": given, "expect": {"active_never": True}}])


def test_a_test_without_expectation_is_refused() -> None:
    with pytest.raises(RuleError):
        rule(tests=[{"given": {"co2": "0..20m @1m 1600"}, "expect": {}}])


def test_a_test_that_lacks_a_role_says_so() -> None:
    both = rule(
        when={"all": [HIGH, {"p": "occupied", "op": "eq", "val": True}]},
        tests=[{"given": {"co2": "0..20m @1m 1600"}, "expect": {"active_at": "1m"}}],
    )
    (fault,) = prove(both, UNITS, KINDS)
    assert "given lacks occupied" in fault.message


def test_supervision_is_of_priority_one_and_binds_to_what_lives_hang_on() -> None:
    with pytest.raises(RuleError, match="priority 1"):
        rule(scope={"each": "device"}, supervise=["panic"])
    with pytest.raises(RuleError, match="own parent"):
        rule(parent_of=["high"])
