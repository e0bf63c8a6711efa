"""What a rule does when good values stop coming."""

from __future__ import annotations

from rules.alarm import Change, Condition
from tests.rules.school import H, M, Run, S, rule

TWO = {"all": [{"p": "co2", "op": "gt", "val": 1500}, {"p": "occupied", "op": "eq", "val": True}]}


def test_the_last_value_is_held_until_the_time_is_up() -> None:
    run = Run(rule(for_="5m", nodata={"after": "15m", "then": "hold", "max": "30m"}))
    run.feed(0, 1600.0)
    run.tick(20 * M)
    assert run.changes == [(0, Change.PENDED), (5 * M, Change.RAISED)]


def test_pending_is_given_up_when_data_are_lost_first() -> None:
    run = Run(rule(for_="2h", nodata={"after": "15m", "then": "hold", "max": "30m"}))
    run.feed(0, 1600.0)
    run.tick(3 * H)
    assert run.changes == [(0, Change.PENDED), (45 * M, Change.QUALITY), (45 * M, Change.DROPPED)]


def test_clearing_counts_anew_when_data_were_lost_meanwhile() -> None:
    run = Run(rule(clear_for="10m", nodata={"after": "5m", "then": "hold", "max": "0s"}))
    run.series({0: 1600.0, 1 * M: 1000.0})
    run.tick(7 * M)
    run.series({(8 + i) * M: 1000.0 for i in range(12)})
    assert run.changes[-2:] == [(8 * M, Change.CLEARING), (18 * M, Change.CLEARED)]


def test_clear_takes_lost_data_for_false() -> None:
    run = Run(rule(nodata={"after": "10m", "then": "clear"}))
    run.feed(0, 1600.0)
    run.tick(1 * H)
    assert run.told == [Change.RAISED, Change.CLEARED]
    assert run.state().stale


def test_raise_takes_lost_data_for_true_and_says_so() -> None:
    gas = rule(
        scope={"each": "kitchen"},
        when={"p": "gas_lel", "op": "ge", "val": 20, "clear": 5},
        nodata={"after": "2m", "then": "raise"},
    )
    run = Run(gas)
    run.feed(0, 0.0, device="gas-1", point="gas_lel")
    run.tick(10 * M)
    assert run.told == [Change.RAISED]
    state = run.state(scope="kitchen")
    assert state.stale and state.value is None and "no data" in state.message
    run.feed(11 * M, 0.0, device="gas-1", point="gas_lel")
    assert run.told == [Change.RAISED, Change.CLEARED]


def test_a_sensor_that_never_spoke_is_lost_after_the_same_time() -> None:
    run = Run(rule(nodata={"after": "2m", "then": "raise"}))
    run.tick(10 * M)
    assert run.changes[-1] == (2 * M, Change.RAISED)


def test_ignore_keeps_everything_without_a_mark() -> None:
    run = Run(rule(nodata={"after": "10m", "then": "ignore"}))
    run.feed(0, 1600.0)
    run.tick(5 * H)
    assert run.state().condition is Condition.ACTIVE and not run.state().stale


def test_a_lost_leaf_does_not_matter_where_another_decides() -> None:
    run = Run(rule(when=TWO, nodata={"after": "10m", "then": "raise"}))
    run.series({i * M: 800.0 for i in range(60)})
    assert run.said == []
    run.feed(60 * M, 1600.0)
    assert run.told == [Change.RAISED]


def test_a_device_is_silent_only_when_all_its_points_are_and_speaks_with_one() -> None:
    silent = rule(scope={"each": "classroom_env"}, when={"p": "*", "agg": "absent", "over": "5m"})
    run = Run(silent)
    run.series({i * M: 21.0 for i in range(20)}, point="temperature")
    assert run.state(scope="env-301").condition is Condition.NORMAL
    assert run.state(scope="env-302").condition is Condition.ACTIVE
    run.tick(24 * M)
    assert run.changes[-1] == (24 * M, Change.RAISED)
    run.feed(25 * M, 800.0)
    assert run.said[-1].change is Change.CLEARED


def test_a_bad_reading_does_not_end_absence() -> None:
    run = Run(rule(scope={"each": "classroom_env"}, when={"p": "co2", "agg": "absent", "over": "5m"}))
    run.feed(0, 700.0)
    for step in range(1, 12):
        run.feed(step * 30 * S, None)
    assert run.state(scope="env-301").condition is Condition.ACTIVE


def test_without_over_absence_is_three_missed_rounds_but_at_least_five_minutes() -> None:
    run = Run(rule(scope={"each": "classroom_env"}, when={"p": "co2", "agg": "absent"}))
    run.feed(0, 700.0)
    run.tick(6 * M)
    assert (5 * M, Change.RAISED) in run.changes


def test_a_value_that_stands_still_is_found_and_a_lost_one_is_not_called_so() -> None:
    stuck = rule(when={"p": "co2", "agg": "unchanged", "over": "1h"}, nodata={"after": "90m"})
    run = Run(stuck)
    run.series({i * M: 700.0 for i in range(59)})
    assert run.said == []
    run.series({i * M: 700.0 for i in range(59, 62)})
    assert run.changes == [(60 * M, Change.RAISED)]
    run.feed(62 * M, 701.0)
    assert run.said[-1].change is Change.CLEARED
