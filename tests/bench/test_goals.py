"""Goals are judged by what a run measured, and only by that."""

from __future__ import annotations

import pytest

from tests.bench.catalogue import FIGURES, LOADS
from tests.bench.goals import GOALS, Goal, Judgement, Verdict, judge
from tests.bench.results import gather
from tests.bench.stage import Sample

CHEAPER = Goal("cpu", "poll-50", "cpu_per_1000", 3.0, least=True, beside="thingsboard")
NEAR = Goal("cpu", "poll-50", "cpu_per_1000", 2.5, beside="floor")
LOSSES = Goal("losses", "kill", "lost_points", 0.0, worst=True)
SLOPE = Goal("slope", "memory", "rss_slope", 1e6 / 3600, needs={"watched_s": 3600.0})


def judged(goal: Goal, *samples: Sample) -> Judgement:
    (one,) = judge([goal], gather(samples))
    return one


def cpu(system: str, *seconds: float) -> list[Sample]:
    return [Sample("poll-50", system, {"cpu_per_1000": one}) for one in seconds]


def test_a_ratio_is_theirs_beside_ours_or_ours_beside_theirs() -> None:
    samples = [*cpu("campus-edge", 0.008), *cpu("thingsboard", 0.032), *cpu("floor", 0.002)]
    cheaper, near = judged(CHEAPER, *samples), judged(NEAR, *samples)
    assert (cheaper.verdict, near.verdict) == (Verdict.MET, Verdict.MISSED)
    assert cheaper.measured == pytest.approx(4.0)
    assert near.measured == pytest.approx(4.0)
    assert CHEAPER.asked() == "at least 3.00 x"
    assert NEAR.asked() == "at most 2.50 x"


def test_medians_are_compared_and_the_fewer_repetitions_are_told() -> None:
    one = judged(CHEAPER, *cpu("campus-edge", 0.009, 0.010, 0.100), *cpu("thingsboard", 0.03))
    assert one.measured == pytest.approx(3.0)
    assert one.runs == 1


def test_what_did_not_run_or_failed_is_not_measured() -> None:
    failed = Sample("poll-50", "thingsboard", failed="ended before reading all devices")
    for samples in (
        [],
        cpu("campus-edge", 0.01),
        cpu("thingsboard", 0.01),
        [*cpu("campus-edge", 0.01), failed],
        [*cpu("campus-edge", 0.0), *cpu("thingsboard", 0.01)],
    ):
        one = judged(CHEAPER, *samples)
        assert (one.verdict, one.measured, one.runs) == (Verdict.NOT_MEASURED, None, 0)


def test_one_bad_repetition_is_enough_where_the_worst_counts() -> None:
    runs = [Sample("kill", "campus-edge", {"lost_points": lost}) for lost in (0.0, 20.0, 0.0)]
    one = judged(LOSSES, *runs)
    assert (one.verdict, one.measured) == (Verdict.MISSED, 20.0)
    assert judged(LOSSES, runs[0], runs[2]).verdict is Verdict.MET


def test_a_short_look_does_not_stand_for_an_hour() -> None:
    def seen(seconds: float) -> Judgement:
        return judged(SLOPE, Sample("memory", "campus-edge", {"rss_slope": 0.0, "watched_s": seconds}))

    assert seen(300.0).verdict is Verdict.NOT_MEASURED
    assert seen(3600.0).verdict is Verdict.MET
    assert SLOPE.show(1e6 / 3600) == "1.00 MB/h"


def test_every_goal_names_a_load_and_figures_that_there_are() -> None:
    loads = {load.name for load in LOADS}
    assert len({goal.what for goal in GOALS}) <= len(GOALS)
    for goal in GOALS:
        assert goal.load.split(",")[0] in loads, goal.what
        assert {goal.figure, *goal.needs} <= set(FIGURES), goal.what
    assert len({(goal.what, goal.bound) for goal in GOALS}) == len(GOALS)
