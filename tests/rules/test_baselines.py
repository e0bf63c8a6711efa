"""What is learned of a counter, against known answers and against numpy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from statistics import stdev
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.baseline import (
    HOUR_MS,
    SLOT_PLACE,
    Baseline,
    BaselineKey,
    alike,
    hour_ms,
    lesson_of,
    newest_lesson,
)
from rules.learning import QUARTER_MS, History, Quarter, daily_means, learn, since
from rules.regression import fit, least_squares
from rules.spread import Deviation, LeastRate, Percentile
from rules.timetable import Calendar
from rules.yardstick import Yardstick

ZONE = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 3, 30)
CALENDAR = Calendar()


def quarters(rate: Callable[[int], float], name: str = "mnf_p50_28d", day: date = DAY) -> list[Quarter]:
    """A counter that grows by `rate(at)` in the quarter hour that begins at `at`."""
    found, value = [], 100.0
    for at in range(since(name, day, ZONE), lesson_of(day, ZONE).learned + 4 * HOUR_MS, QUARTER_MS):
        value += rate(at)
        found.append(Quarter(at, round(value, 6)))
    return found


def hour_of(at: int) -> int:
    return (at // HOUR_MS + 8) % 24


def learned(name: str, history: list[Quarter], calendar: Calendar = CALENDAR, day: date = DAY) -> Baseline:
    return learn(BaselineKey("meter", "volume", name), day, History("m3", history), calendar, ZONE)


def test_the_minimum_night_flow_is_the_median_of_the_nights_least_quarter_hours() -> None:
    def rate(at: int) -> float:
        night = (at + 8 * HOUR_MS) // 86_400_000
        return (0.01 + 0.001 * (night % 3)) if hour_of(at) < 6 else 0.5

    found = learned("mnf_p50_28d", quarters(rate))
    assert found.weak == "" and found.days == 28
    assert found.values == pytest.approx((0.044,))
    assert (found.first, found.last) == ("2026-03-03", "2026-03-30")


def test_nothing_is_concluded_from_few_or_from_wild_nights() -> None:
    few = [q for q in quarters(lambda _: 0.01) if q.at > hour_ms(DAY - timedelta(days=10), 0, ZONE)]
    found = learned("mnf_p50_28d", few)
    assert "至少要 14" in found.weak and found.values == () and found.days == 11
    assert len(found.excluded) == 17 and found.excluded[0] == "2026-03-03 no data"
    wild = learned("mnf_p50_28d", quarters(lambda at: 0.01 * (1 + (at // 86_400_000) % 5)))
    assert "30%" in wild.weak


def test_what_was_measured_after_the_lesson_changes_nothing() -> None:
    before = quarters(lambda _: 0.01)
    learned_at = lesson_of(DAY, ZONE).learned
    after = [q if q.at + QUARTER_MS <= learned_at else Quarter(q.at, q.value + 50) for q in before]
    assert learned("mnf_p50_28d", before) == learned("mnf_p50_28d", after)


def test_a_counter_that_falls_or_has_a_gap_costs_that_night_only() -> None:
    gap = hour_ms(DAY - timedelta(days=5), 3, ZONE)
    holed = [q for q in quarters(lambda _: 0.01) if q.at != gap]
    found = learned("mnf_p50_28d", holed)
    assert found.days == 27 and found.excluded == (f"{DAY - timedelta(days=5)} no data",)
    assert found.values == pytest.approx((0.04,))


@given(st.floats(0.001, 50), st.integers(0, 13))
@settings(max_examples=20, deadline=None)
def test_a_leak_of_fewer_than_half_of_the_nights_does_not_move_the_median(flow: float, leaking: int) -> None:
    first = hour_ms(DAY - timedelta(days=leaking - 1), 0, ZONE)
    found = learned("mnf_p50_28d", quarters(lambda at: flow + (flow if at >= first else 0)))
    if not found.weak:
        assert found.values == pytest.approx((flow * 4,), rel=1e-3)


def test_the_night_base_load_is_growth_in_two_hours() -> None:
    found = learned(
        "night_2h_p50_28d", quarters(lambda at: 5.0 if hour_of(at) in (23, 0, 1, 2, 3, 4) else 20.0)
    )
    assert found.values == pytest.approx((40.0,)) and found.spread == pytest.approx(0.0, abs=1e-5)


def test_the_week_has_an_hour_each_and_holidays_are_like_sundays() -> None:
    calendar = Calendar.model_validate(
        {"days": [{"first": "2026-03-11", "last": "2026-03-11", "type": "exam"},
                  {"first": "2026-03-18", "last": "2026-03-18", "type": "rest"}]}
    )  # fmt: skip

    def rate(at: int) -> float:
        day = date(1970, 1, 1) + timedelta(days=(at + 8 * HOUR_MS) // 86_400_000)
        return 1.0 + hour_of(at) if calendar.day_type(day) != "rest" else 0.5

    found = learned("tow_p50_28d", quarters(rate, "tow_p50_28d"), calendar)
    assert found.weak == "" and "2026-03-11 exam" in found.excluded
    assert found.values[SLOT_PLACE["school", "mon", 9]] == pytest.approx(40.0)
    assert found.values[SLOT_PLACE["rest", "sun", 9]] == pytest.approx(2.0)
    assert alike(date(2026, 3, 18), calendar) == ("rest", "sun")
    stick = Yardstick(found.key, calendar, ZONE, lambda _: None)
    stick.take(found, 0)
    at = hour_ms(date(2026, 3, 30), 10, ZONE)
    assert stick.value(at) == pytest.approx(40.0)
    assert stick.value(at + HOUR_MS // 2) == pytest.approx(42.0)
    assert stick.expected(at - 2 * HOUR_MS, at) == pytest.approx(76.0)
    assert stick.value(hour_ms(date(2026, 3, 11), 10, ZONE)) is None


def weather(days: int, noise: float = 4.0) -> tuple[list[float], list[float], list[bool]]:
    rng = np.random.default_rng(7)
    outdoor = [10 + 15 * np.sin(day / 58) + rng.normal(0, 3) for day in range(days)]
    school = [day % 7 < 5 for day in range(days)]
    use = [
        (500 if here else 200) + 20 * max(0, 14 - t) + 30 * max(0, t - 24) + rng.normal(0, noise)
        for t, here in zip(outdoor, school, strict=True)
    ]
    return use, outdoor, school


def test_the_regression_finds_base_slopes_and_change_points() -> None:
    found = fit(*weather(366))
    assert found.values == pytest.approx((500, 200, 20, 30, 14, 24), rel=0.05)
    assert found.free == 4


@given(
    st.lists(st.tuples(*[st.floats(-50, 50, allow_subnormal=False)] * 4), min_size=8, max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_least_squares_are_those_of_numpy(rows: list[tuple[float, float, float, float]]) -> None:
    columns = [[row[i] for row in rows] for i in range(3)]
    target = [row[3] for row in rows]
    matrix = np.array(columns).T
    singular = np.linalg.svd(matrix, compute_uv=False)
    if singular[-1] < 1e-2 * max(1.0, singular[0]):
        return
    expected = np.linalg.lstsq(matrix, np.array(target), rcond=None)[0]
    assert least_squares(columns, target) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_year_of_weather_makes_a_baseline_and_half_a_year_does_not() -> None:
    use, outdoor, _ = weather(366)
    day = date(2026, 12, 31)
    days = [day - timedelta(days=back) for back in range(366, 0, -1)]
    per_day = dict(zip(days, use, strict=True))
    temperature = dict(zip(days, outdoor, strict=True))
    calendar = Calendar.model_validate({"week": {"mon": "school"}})
    school = {one: calendar.day_type(one) == "school" for one in days}
    per_day = {one: value + (0 if (i % 7 < 5) == school[one] else (300 if school[one] else -300))
               for i, (one, value) in enumerate(per_day.items())}  # fmt: skip

    def rate(at: int) -> float:
        one = date(1970, 1, 1) + timedelta(days=(at + 8 * HOUR_MS) // 86_400_000)
        return per_day.get(one, 300.0) / 96

    key = BaselineKey("meter", "volume", "degree_day_12m")
    counted = quarters(rate, key.name, day)
    found = learn(key, day, History("kWh", counted, temperature), calendar, ZONE)
    assert found.weak == "" and found.days > 350 and found.cv is not None and found.cv < 0.05
    assert found.values == pytest.approx((500, 200, 20, 30, 14, 24), rel=0.06)
    stick = Yardstick(key, calendar, ZONE, lambda _: 4.0)
    stick.take(found, 0)
    assert stick.value(hour_ms(date(2026, 12, 15), 0, ZONE)) == pytest.approx(700, rel=0.05)
    half = [q for q in counted if q.at > hour_ms(date(2026, 7, 1), 0, ZONE)]
    short = learn(key, day, History("kWh", half, temperature), calendar, ZONE)
    assert "至少要跨" in short.weak


def test_means_of_days_want_most_of_their_hours() -> None:
    start = hour_ms(DAY, 0, ZONE)
    hours = [(start + n * HOUR_MS, float(n)) for n in range(24)] + [
        (start + n * HOUR_MS, 9.0) for n in range(24, 30)
    ]
    assert daily_means(hours, ZONE) == {DAY: 11.5}


def test_a_lesson_is_that_of_the_day_once_the_morning_has_come() -> None:
    assert newest_lesson(hour_ms(DAY, 5, ZONE), ZONE) == DAY - timedelta(days=1)
    assert newest_lesson(hour_ms(DAY, 6, ZONE), ZONE) == DAY
    assert lesson_of(DAY, ZONE).since - lesson_of(DAY, ZONE).learned == 6 * HOUR_MS


SAMPLES = st.lists(
    st.tuples(st.integers(1, 90_000), st.floats(0, 1000, allow_subnormal=False)), min_size=3, max_size=80
)


@given(SAMPLES)
@settings(max_examples=60, deadline=None)
def test_scatter_in_a_window_is_that_of_its_samples(steps: list[tuple[int, float]]) -> None:
    deviation, percentile, at, seen = Deviation(300_000), Percentile(300_000), 0, []
    for step, value in steps:
        at += step
        seen.append((at, value))
        deviation.push(at, value)
        percentile.push(at, value)
        inside = [v for when, v in seen if when > at - 300_000]
        assert percentile.value() == pytest.approx(np.percentile(inside, 95))
        expected = stdev(inside) if len(inside) > 1 else None
        assert deviation.value() == (
            None if expected is None else pytest.approx(expected, abs=1e-9, rel=1e-9)
        )


@given(st.lists(st.floats(0, 5), min_size=60, max_size=120), st.integers(20_000, 50_000))
@settings(max_examples=60, deadline=None)
def test_the_least_rate_is_that_of_the_buckets_growth(growth: list[float], step: int) -> None:
    bucket, over = 60_000, 600_000
    window, at, value, last = LeastRate(over, bucket, HOUR_MS), 0, 0.0, {}
    for grown in growth:
        at += step
        value += grown
        window.push(at, value)
        last[at // bucket] = value
    newest = at // bucket
    ends = [last[place] for place in range(newest - over // bucket - 1, newest)]
    expected = min(late - early for early, late in pairwise(ends)) * HOUR_MS / bucket
    assert window.value() == pytest.approx(expected, abs=1e-6)


def test_a_bucket_without_a_sample_is_not_taken_for_one_without_flow() -> None:
    window = LeastRate(180_000, 60_000, HOUR_MS)
    for minute in range(6):
        window.push(minute * 60_000, minute * 1.0)
    assert window.value() == pytest.approx(60.0)
    window.push(8 * 60_000, 8.0)
    assert window.value() is None
