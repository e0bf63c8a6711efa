"""Aggregates over time, alone and through the engine."""

from __future__ import annotations

import random

import pytest

from drivers.reading import Origin
from rules.alarm import Change
from rules.window import MAX_SAMPLES, Average, Extreme, Growth, Slope, build_window
from tests.rules.school import H, M, Run, S, rule


def test_an_average_is_that_of_the_window_and_rounding_does_not_creep() -> None:
    window = Average(5 * M)
    values = [random.Random(1).uniform(-1e6, 1e6) for _ in range(5_000)]
    for i, value in enumerate(values):
        window.push(i * 10 * S, value)
        kept = values[max(0, i - 29) : i + 1]
        assert window.value() == pytest.approx(sum(kept) / len(kept), abs=1e-6)


def test_extremes_match_the_plain_ones() -> None:
    chance = random.Random(2)
    least, most = Extreme(60 * S, 1), Extreme(60 * S, -1)
    samples: list[tuple[int, float]] = []
    at = 0
    for _ in range(2_000):
        at += chance.randrange(1, 20) * S
        samples.append((at, float(chance.randrange(100))))
        least.push(*samples[-1])
        most.push(*samples[-1])
        kept = [value for when, value in samples if at - 60 * S < when <= at]
        assert (least.value(), most.value()) == (min(kept), max(kept))


def test_growth_survives_a_counter_that_starts_again() -> None:
    window = Growth(1 * H)
    for minute, value in enumerate([100.0, 101.0, 103.0, 0.5, 1.0]):
        window.push(minute * M, value)
    assert window.value() == pytest.approx(4.0)


def test_growth_keeps_one_sample_from_before_the_window() -> None:
    window = Growth(10 * M)
    for minute in range(0, 60, 4):
        window.push(minute * M, float(minute))
    assert window.value() == pytest.approx(12.0)


def test_a_rate_waits_for_half_of_its_window() -> None:
    window = build_window("rate", 10 * M, "m3/h")
    window.push(0, 0.0)
    window.push(1 * M, 1.0)
    assert window.value() is None
    window.push(6 * M, 6.0)
    assert window.value() == pytest.approx(60.0)


def test_a_slope_is_that_of_the_line() -> None:
    window = Slope(10 * M, 60_000)
    for step in range(20):
        window.push(step * 30 * S, 4.0 + 0.3 * step / 2)
    assert window.value() == pytest.approx(0.3)


def test_a_window_is_bounded() -> None:
    window = Average(7 * 24 * H)
    for step in range(MAX_SAMPLES + 10):
        window.push(step, 1.0)
    assert window.next_loss() == 10 + 7 * 24 * H
    assert window.value() == pytest.approx(1.0)


def test_an_average_over_a_window_raises_where_single_values_waver() -> None:
    run = Run(rule(when={"p": "co2", "agg": "avg", "over": "5m", "op": "gt", "val": 1500}))
    run.series({i * 30 * S: 2200.0 if i % 2 else 1000.0 for i in range(20)})
    assert run.told.count(Change.RAISED) >= 1


def test_a_minimum_is_not_believed_before_its_window_is_full() -> None:
    leak = rule(
        scope={"each": "water_meter"},
        when={"p": "flow", "agg": "min", "over": "1h", "op": "gt", "val": 0.05},
    )
    run = Run(leak)
    run.series({i * M: 0.2 for i in range(90)}, device="water-b1", point="flow")
    assert run.changes == [(60 * M, Change.RAISED)]
    run.feed(90 * M, 0.0, device="water-b1", point="flow")
    assert run.said[-1].change is Change.CLEARED


def test_counted_events_leave_the_window_though_nothing_comes() -> None:
    quiet = rule(
        when={"p": "occupied", "agg": "count_true", "over": "15m", "op": "eq", "val": 0},
        nodata={"after": "2h"},
    )
    run = Run(quiet)
    run.feed(0, True, point="occupied")
    assert run.tick(14 * M) == []
    run.tick(16 * M)
    assert run.changes == [(15 * M, Change.RAISED)]
    run.feed(20 * M, True, point="occupied")
    assert run.said[-1].change is Change.CLEARED


def test_a_counted_event_is_certain_at_once_where_more_cannot_change_it() -> None:
    often = rule(when={"p": "occupied", "agg": "count_true", "over": "15m", "op": "ge", "val": 2})
    run = Run(often)
    run.series({0: True, 1 * M: True}, point="occupied")
    assert run.changes == [(1 * M, Change.RAISED)]


def test_time_since_a_change_passes_its_threshold_by_itself() -> None:
    held = {"p": "open", "agg": "since_change", "op": "ge", "val": 120, "unit": "s"}
    opened = {"p": "open", "op": "eq", "val": True}
    run = Run(rule(scope={"each": "contact"}, when={"all": [opened, held]}))
    run.feed(0, False, device="win-1", point="open")
    run.feed(10 * M, True, device="win-1", point="open")
    run.tick(11 * M)
    assert run.said == []
    run.tick(13 * M)
    assert run.changes == [(12 * M, Change.RAISED)]
    run.feed(20 * M, False, device="win-1", point="open")
    assert run.said[-1].change is Change.CLEARED


def test_a_clock_stepped_back_neither_blinds_nor_shortens_anything() -> None:
    run = Run(rule(for_="5m"), start=2 * H)
    run.feed(2 * H, 1600.0)
    run.tick(2 * H + 1 * M)
    for step in range(1, 10):
        run.feed(1 * H + step * 30 * S, 1600.0)
    assert run.engine.counts.late == 0
    assert run.said[-1].change is Change.RAISED
    raised = run.said[-1].at - run.said[0].at + 1 * H
    assert 3 * M <= raised <= 5 * M


def test_identical_windows_are_shared() -> None:
    leaf = {"p": "co2", "agg": "avg", "over": "5m", "op": "gt"}
    run = Run(rule(id="a", when={**leaf, "val": 1000}), rule(id="b", when={**leaf, "val": 1500}))
    run.feed(0, 1200.0, origin=Origin.LIVE)
    (track,) = [track for track in run.engine._points.tracks.values() if track.windows]
    assert len(track.windows) == 1
    assert [said.state.rule for said in run.said] == ["a"]
