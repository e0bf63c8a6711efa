"""The engine as a whole: edited rules, what is due, what is explained, what is not touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drivers.reading import Quality
from rules.alarm import Change, Condition
from rules.engine import Engine
from rules.explanation import ExplainedBranch, ExplainedLeaf
from tests.rules.school import ALARM, HIGH, SITE, T0, H, M, Run, S, reading_of, rule


def edited(**changed: Any) -> Run:
    """An engine with a changed rule, restored from one in which the alarm is active."""
    first = Run(rule())
    first.feed(0, 1600.0)
    second = Run(rule(**changed), states=first.engine.states(), start=1 * M)
    second.feed(2 * M, 1600.0)
    return second


def test_an_edited_condition_closes_the_alarm_tells_so_and_starts_anew() -> None:
    run = edited(when={**HIGH, "val": 1550})
    assert run.changes == [(1 * M, Change.CLOSED), (2 * M, Change.RAISED)]
    assert run.said[0].notify
    assert run.said[0].state.occurrence != run.said[1].state.occurrence


@pytest.mark.parametrize(
    "changed",
    [
        {"alarm": {**ALARM, "guide": "开窗"}},
        {"alarm": {**ALARM, "prio": 2}},
        {"source": "a standard"},
        {"params": {"unused": {"default": 1, "overrides": {"r302": 2}}}, "id": "high"},
    ],
)
def test_edited_words_or_priority_leave_a_running_alarm_alone(changed: dict[str, Any]) -> None:
    if "params" in changed:
        first = Run(rule(params={"unused": {"default": 1}}))
        first.feed(0, 1600.0)
        run = Run(rule(**changed), states=first.engine.states(), start=M)
    else:
        run = edited(**changed)
    assert run.said == []
    assert run.state().condition is Condition.ACTIVE


def test_a_removed_rule_closes_its_alarm() -> None:
    first = Run(rule())
    first.feed(0, 1600.0)
    run = Run(rule(id="other"), states=first.engine.states(), start=1 * M)
    assert run.changes == [(1 * M, Change.CLOSED)]
    assert run.said[0].state.condition is Condition.NORMAL and run.said[0].state.acked


def test_a_removed_rule_that_was_quiet_goes_quietly() -> None:
    first = Run(rule())
    first.feed(0, 600.0)
    assert Run(rule(id="other"), states=first.engine.states()).said == []


def test_the_first_call_is_due_at_once_and_the_next_when_something_may_happen() -> None:
    engine = Engine([rule(for_="5m")], SITE, None)
    assert engine.next_due() == 0
    engine.tick(T0)
    engine.evaluate([reading_of(0, 1600.0)], T0)
    assert engine.next_due() == T0 + 5 * M


def test_a_timer_that_is_due_between_two_readings_of_a_batch_fires_between_them() -> None:
    run = Run(rule(for_="5m"))
    batch = [reading_of(0, 1600.0), reading_of(10 * M, 600.0)]
    said = run.engine.evaluate(batch, T0 + 10 * M)
    assert [(t.at - T0, t.change) for t in said] == [
        (0, Change.PENDED),
        (5 * M, Change.RAISED),
        (10 * M, Change.CLEARED),
    ]


def test_readings_of_unknown_points_and_wrong_types_are_survived() -> None:
    run = Run(rule())
    run.feed(0, 1.0, device="nobody")
    run.feed(1 * S, True)
    run.feed(2 * S, "1600")
    run.feed(3 * S, float("nan"))
    run.feed(4 * S, float("inf"))
    run.feed(5 * S, 1600)
    assert run.engine.counts.wrong_type == 4
    assert run.told == [Change.RAISED]


def test_a_stale_reading_is_no_news() -> None:
    run = Run(rule())
    run.feed(0, 1600.0, quality=Quality.STALE)
    assert run.said == []


def test_an_alarm_restored_outside_its_hours_is_cleared() -> None:
    hours = {"between": ["07:30", "18:00"]}
    first = Run(rule(active=hours))
    first.feed(0, 1600.0)
    run = Run(rule(active=hours), states=first.engine.states(), start=14 * H)
    assert run.changes == [(14 * H, Change.CLEARED)] and run.said[0].notify


def test_history_warms_windows_without_an_edge() -> None:
    average = rule(when={"p": "co2", "agg": "avg", "over": "5m", "op": "gt", "val": 1500})
    engine = Engine([average], SITE, None)
    engine.warm([reading_of(i * 30 * S, 1600.0) for i in range(10)], T0 + 5 * M)
    assert engine.tick(T0 + 5 * M) == []
    said = engine.evaluate([reading_of(5 * M, 1600.0)], T0 + 5 * M)
    assert [transition.change for transition in said] == [Change.RAISED]
    with pytest.raises(RuntimeError):
        engine.warm([], T0)


def test_an_explanation_shows_values_truths_and_what_is_awaited() -> None:
    both = {"all": [HIGH, {"not": {"p": "occupied", "op": "eq", "val": False}}]}
    run = Run(rule(when=both, for_="5m"))
    run.feed(0, 1600.0)
    first = run.engine.explain("high", "r301")
    assert first.truth is None and first.sentence == "waits for data"
    run.feed(1 * M, True, point="occupied")
    run.tick(5 * M + 20 * S)
    explained = run.engine.explain("high", "r301")
    assert explained.sentence == "raises in 40 s"
    assert isinstance(explained.tree, ExplainedBranch)
    leaf = explained.tree.parts[0]
    assert isinstance(leaf, ExplainedLeaf)
    assert (leaf.value, leaf.truth, leaf.quality, leaf.points) == (
        1600.0,
        True,
        Quality.GOOD,
        ("env-301.co2",),
    )
    assert (leaf.val, leaf.clear, leaf.unit) == (1500.0, 1350.0, "[ppm]")


def test_an_explanation_says_when_it_would_clear_and_when_it_is_not_armed() -> None:
    run = Run(rule(clear_for="10m", active={"between": ["07:30", "18:00"]}))
    run.series({0: 1600.0, 1 * M: 1000.0})
    assert run.engine.explain("high", "r301").sentence == "clears in 10 min"
    run.tick(12 * H)
    assert run.engine.explain("high", "r301").awaiting == "hours"


def test_event_time_of_one_alarm_never_runs_back() -> None:
    both = {"all": [HIGH, {"p": "temperature", "op": "gt", "val": 20}]}
    run = Run(rule(when=both))
    run.feed(10 * S, 1600.0)
    run.feed(12 * S, 25.0, point="temperature")
    run.feed(11 * S, 1000.0, now=13 * S)
    assert [at for at, _ in run.changes] == [12 * S, 12 * S]


def test_only_instances_whose_points_are_read_are_touched() -> None:
    run = Run(rule(scope={"each": "classroom"}))
    before = run.state(scope="r302")
    run.feed(0, 1600.0)
    assert run.state(scope="r302") is before


def test_a_state_of_a_scope_that_is_no_longer_bound_is_closed() -> None:
    first = Run(rule())
    first.feed(0, 1600.0)
    moved = replace(SITE, devices=tuple(d for d in SITE.devices if d.id != "env-301"))
    run = Run(rule(), states=first.engine.states(), site=moved, start=M)
    assert [change for _, change in run.changes] == [Change.CLOSED]
