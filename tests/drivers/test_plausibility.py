"""Leaps and stuck values: what no honest sensor shows, told from what it rarely does."""

from __future__ import annotations

from drivers.plausibility import PointWatch
from drivers.reading import Value

MINUTE = 60_000
HOUR = 60 * MINUTE


def judged(watch: PointWatch, values: list[Value], every: int = MINUTE) -> list[str]:
    return [watch.judge(value, number * every) for number, value in enumerate(values)]


def test_a_single_leap_is_a_bad_reading() -> None:
    assert judged(PointWatch(15.0, None), [21.0, 21.2, 60.0, 21.3]) == ["", "", "rate", ""]


def test_a_leap_that_stays_is_the_truth_from_the_second_reading_on() -> None:
    assert judged(PointWatch(15.0, None), [21.0, 58.0, 59.0, 60.0]) == ["", "rate", "", ""]


def test_readings_that_leap_about_stay_bad() -> None:
    assert judged(PointWatch(15.0, None), [21.0, 58.0, -30.0, 80.0]) == ["", "rate", "rate", "rate"]


def test_a_fast_poll_makes_no_leap_of_an_honest_step() -> None:
    assert judged(PointWatch(15.0, None), [21.0, 23.0, 25.0], every=100) == ["", "", ""]


def test_a_change_over_an_outage_has_had_its_time() -> None:
    watch = PointWatch(15.0, None)
    assert [watch.judge(21.0, 0), watch.judge(-5.0, 2 * MINUTE)] == ["", ""]


def test_a_value_that_never_moves_is_stuck() -> None:
    assert judged(PointWatch(None, 3 * HOUR), [21.0] * 6, every=HOUR) == ["", "", "", "", "stuck", "stuck"]


def test_the_slightest_move_ends_it() -> None:
    values: list[Value] = [21.0, 21.0, 21.0, 21.1, 21.1, 21.1]
    assert judged(PointWatch(None, 3 * HOUR), values, every=2 * HOUR) == ["", "", "stuck", "", "", "stuck"]


def test_texts_and_switches_do_not_leap() -> None:
    assert judged(PointWatch(1.0, None), ["cool", "heat", "off"]) == ["", "", ""]
