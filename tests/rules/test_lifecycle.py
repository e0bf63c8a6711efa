"""An alarm's life through the engine: pending, active, clearing, acknowledged, latched."""

from __future__ import annotations

import pytest

from rules.alarm import Change, Condition
from tests.rules.school import ALARM, H, M, Run, S, rule


def test_without_for_a_true_condition_raises_at_once() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    assert run.changes == [(0, Change.RAISED)]
    assert run.said[0].notify
    state = run.state()
    assert (state.device, state.point, state.value, state.unit) == ("env-301", "co2", 1600.0, "[ppm]")
    assert not state.acked and state.isa == "unacknowledged"


def test_for_is_counted_from_the_reading_that_made_it_true_and_fires_without_a_new_message() -> None:
    run = Run(rule(for_="5m"))
    run.feed(10 * S, 1600.0, now=14 * S)
    assert run.engine.next_due() is not None
    assert run.tick(5 * M + 9 * S) == []
    run.tick(5 * M + 30 * S)
    assert run.changes == [(10 * S, Change.PENDED), (5 * M + 10 * S, Change.RAISED)]


def test_a_false_reading_just_as_for_ends_drops_it() -> None:
    run = Run(rule(for_="5m"))
    run.series({0: 1600.0, 5 * M: 1200.0})
    assert [change for _, change in run.changes] == [Change.PENDED, Change.DROPPED]
    assert run.told == []


def test_clearing_takes_clear_for_and_a_return_is_the_same_occurrence_without_a_second_push() -> None:
    run = Run(rule(clear_for="2m"))
    run.series({0: 1600.0, 1 * M: 1300.0, 2 * M: 1600.0, 3 * M: 1300.0, 5 * M: 1300.0})
    assert run.changes == [
        (0, Change.RAISED),
        (1 * M, Change.CLEARING),
        (2 * M, Change.REASSERTED),
        (3 * M, Change.CLEARING),
        (5 * M, Change.CLEARED),
    ]
    assert run.told == [Change.RAISED, Change.CLEARED]
    assert len({said.state.occurrence for said in run.said}) == 1
    assert run.state().reasserts == 1


def test_acknowledging_never_clears_and_clearing_never_acknowledges() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    (acked,) = run.engine.acknowledge("high", "r301", "wang", "看到了", run.said[0].at + 1)
    assert acked.state.condition is Condition.ACTIVE and acked.state.isa == "acknowledged"
    assert run.engine.acknowledge("high", "r301", "wang", "", run.said[0].at + 2) == []
    run.feed(1 * M, 1000.0)
    assert run.state().isa == "normal"
    run.feed(2 * M, 1600.0)
    run.feed(3 * M, 1000.0)
    assert run.state().isa == "returned_unacknowledged"


def test_an_acknowledged_alarm_that_comes_back_while_clearing_stays_acknowledged() -> None:
    run = Run(rule(clear_for="5m"))
    run.feed(0, 1600.0)
    run.engine.acknowledge("high", "r301", "wang", "", run.said[0].at)
    run.series({1 * M: 1000.0, 2 * M: 1600.0})
    assert run.said[-1].change is Change.REASSERTED and run.state().isa == "acknowledged"


def test_a_returned_alarm_of_low_priority_lets_go_after_a_day_and_a_high_one_never() -> None:
    low = Run(rule())
    high = Run(rule(alarm={**ALARM, "prio": 2}))
    for run in (low, high):
        run.series({0: 1600.0, 1 * M: 1000.0})
        run.tick(1 * M + 24 * H)
    assert low.changes[-1] == (1 * M + 24 * H, Change.ACKED)
    assert low.state().isa == "normal"
    assert high.state().isa == "returned_unacknowledged"


def test_a_latched_alarm_waits_for_a_reset_and_a_reset_waits_for_normal() -> None:
    run = Run(rule(latch=True))
    run.feed(0, 1600.0)
    assert run.engine.reset("high", "r301", "li", "", run.said[0].at) == []
    run.feed(1 * M, 1000.0)
    assert run.state().isa == "latched_unacknowledged"
    run.engine.acknowledge("high", "r301", "wang", "", run.said[0].at)
    assert run.state().isa == "latched_acknowledged"
    (done,) = run.engine.reset("high", "r301", "li", "查过", run.said[0].at)
    assert done.change is Change.RESET and done.state.isa == "normal"


def test_a_new_raise_is_a_new_occurrence_unacknowledged_again() -> None:
    run = Run(rule())
    run.feed(0, 1600.0)
    run.engine.acknowledge("high", "r301", "wang", "", run.said[0].at)
    run.series({1 * M: 1000.0, 2 * M: 1600.0})
    ids = [said.state.occurrence for said in run.said if said.change is Change.RAISED]
    assert len(set(ids)) == 2
    assert all(name.startswith("high.r301.") for name in ids)
    assert not run.state().acked


def test_occurrences_in_one_millisecond_have_different_names() -> None:
    run = Run(rule())
    for value in (1600.0, 1000.0, 1700.0):
        run.feed(0, value)
    ids = [said.state.occurrence for said in run.said if said.change is Change.RAISED]
    assert len(ids) == len(set(ids)) == 2


def test_an_unknown_instance_cannot_be_acknowledged() -> None:
    with pytest.raises(KeyError):
        Run(rule()).engine.acknowledge("high", "r999", "wang", "", 0)
