"""Learns baselines from a counter's quarter hours; pure arithmetic, no store and no clock.

    quarter hours of the counter -> growth by quarter hour -> one figure per night, or hour, or day
    -> median of those days that count, its spread and its fit; or why nothing may be concluded

Days that are not alike (exams for the hour of the week) and days with gaps are left out and listed.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from rules.baseline import (
    HOUR_MS,
    KINDS,
    SLOT_PLACE,
    SLOTS,
    UNKNOWN,
    Baseline,
    BaselineKey,
    alike,
    hour_ms,
    lesson_of,
    local_day,
)
from rules.regression import fit
from rules.timetable import Calendar

QUARTER_MS: Millis = 900_000
NIGHTS_WANTED = 14
"""Fewer good nights of 28 than this say nothing."""
WEEKS_WANTED = 3
"""An hour of the week is known from so many of its four."""
HOURS_WANTED = 0.6
"""So large a part of the hours of the week must be known."""
YEAR_WANTED = 350
"""The regression needs days that lie so far apart, and three quarters of them."""
HOURLY_CV, MONTHLY_CV, MOST_BIAS = 0.30, 0.15, 0.05
"""Fits that err by more say nothing (ASHRAE Guideline 14: CV(RMSE) hourly and monthly, NMBE)."""
ROBUST = 1.4826
"""A median absolute deviation times this is a standard deviation, for normal errors."""
MOST_EXCLUDED = 60


class Quarter(NamedTuple):
    """The last value of a counter in the quarter hour that begins at `at`."""

    at: Millis
    value: float


class History(NamedTuple):
    """What is known of one counter: its quarter hours, oldest first, and the mean outdoor temperature of
    local days (for the regression)."""

    unit: str
    quarters: Sequence[Quarter]
    outdoor: Mapping[date, float] = {}


def learn(key: BaselineKey, day: date, history: History, calendar: Calendar, zone: ZoneInfo) -> Baseline:
    """The baseline of a local day, learned from what was measured before its lesson."""
    times = lesson_of(day, zone)
    known = _Counter(history.quarters, times.learned)
    blank = Baseline(key.device, key.point, key.name, history.unit, times.since, "", "", 0)
    days = [day - timedelta(days=back) for back in range(KINDS[key.name].days - 1, -1, -1)]
    match key.name:
        case "mnf_p50_28d":
            return _of_nights(blank, days, lambda night: known.least(night, zone), 4 * known.step)
        case "night_2h_p50_28d":
            return _of_nights(blank, days, lambda night: known.pairs(night, zone), known.step)
        case "tow_p50_28d":
            return _of_week(blank, days[:-1], known, calendar, zone)
    return _of_weather(blank, days[:-1], known, history.outdoor, calendar, zone)


def since(name: str, day: date, zone: ZoneInfo) -> Millis:
    """From when on quarter hours are needed for the baseline of a day."""
    return hour_ms(day - timedelta(days=KINDS[name].days + 1), 0, zone)


class _Counter:
    """Growth between two instants, from the last values of quarter hours."""

    def __init__(self, quarters: Sequence[Quarter], until: Millis) -> None:
        kept = [one for one in quarters if one.at + QUARTER_MS <= until]
        self._ends = [one.at + QUARTER_MS for one in kept]
        self._values = [one.value for one in kept]
        steps = (late - early for early, late in pairwise(self._values))
        self.step = min((step for step in steps if step > 1e-9), default=0.0)
        """The least that it ever grew in a quarter hour: the grain of its display or pulses."""

    def at(self, end: Millis) -> float | None:
        """The counter at the end of a quarter hour; None where that has no value."""
        place = bisect_left(self._ends, end)
        return self._values[place] if place < len(self._ends) and self._ends[place] == end else None

    def grown(self, since: Millis, until: Millis) -> float | None:
        """Growth between the ends of two quarter hours; None with a gap, or where the counter fell."""
        first, last = self.at(since), self.at(until)
        if first is None or last is None or last < first:
            return None
        return last - first

    def least(self, night: date, zone: ZoneInfo) -> float | None:
        """The least flow per hour of any quarter hour from 01:00 to 05:00."""
        steps = range(hour_ms(night, 1, zone), hour_ms(night, 5, zone) + 1, QUARTER_MS)
        grown = [self.grown(early, late) for early, late in pairwise(steps)]
        whole = [one for one in grown if one is not None]
        return min(whole) * HOUR_MS / QUARTER_MS if grown and len(whole) == len(grown) else None

    def pairs(self, night: date, zone: ZoneInfo) -> float | None:
        """The median growth in two hours, of the night that ended on this day's morning."""
        start, end = hour_ms(night - timedelta(days=1), 23, zone), hour_ms(night, 5, zone)
        span = 2 * HOUR_MS
        grown = [self.grown(at, at + span) for at in range(start, end - span + 1, QUARTER_MS)]
        whole = [one for one in grown if one is not None]
        return median(whole) if grown and len(whole) == len(grown) else None

    def hours(self, day: date, zone: ZoneInfo) -> list[float | None]:
        """Growth in each hour of a day."""
        return [self.grown(hour_ms(day, h, zone), hour_ms(day, h + 1, zone)) for h in range(24)]


def _of_nights(
    blank: Baseline, days: Sequence[date], figure: Callable[[date], float | None], grain: float
) -> Baseline:
    found = {day: figure(day) for day in days}
    good = {day: value for day, value in found.items() if value is not None}
    excluded = [f"{day} no data" for day, value in found.items() if value is None]
    if len(good) < NIGHTS_WANTED:
        return _dated(blank, good, excluded, f"{len(good)} 个有效夜晚，至少要 {NIGHTS_WANTED} 个")
    middle = median(good.values())
    pairs = [(value, middle) for value in good.values()]
    return _told(blank, good, excluded, (middle,), pairs, grain=grain)


def _of_week(
    blank: Baseline, days: Sequence[date], known: _Counter, calendar: Calendar, zone: ZoneInfo
) -> Baseline:
    samples: dict[int, list[float]] = {}
    good: dict[date, float] = {}
    excluded: list[str] = []
    for day in days:
        like, hours = alike(day, calendar), known.hours(day, zone)
        whole = [one for one in hours if one is not None]
        if like is None or len(whole) < len(hours):
            excluded.append(f"{day} {'no data' if like is not None else calendar.day_type(day)}")
            continue
        good[day] = sum(whole)
        for hour, value in enumerate(whole):
            samples.setdefault(SLOT_PLACE[(*like, hour)], []).append(value)
    values = [UNKNOWN] * len(SLOTS)
    pairs: list[tuple[float, float]] = []
    for place, seen in samples.items():
        if len(seen) >= WEEKS_WANTED:
            values[place] = median(seen)
            pairs += [(value, values[place]) for value in seen]
    told = sum(value != UNKNOWN for value in values)
    if told < HOURS_WANTED * 7 * 24:
        return _dated(blank, good, excluded, f"一周 168 小时中只有 {told} 小时有 {WEEKS_WANTED} 个以上样本")
    return _told(blank, good, excluded, tuple(values), pairs)


def _of_weather(
    blank: Baseline, days: Sequence[date], known: _Counter, outdoor: Mapping[date, float],
    calendar: Calendar, zone: ZoneInfo,
) -> Baseline:  # fmt: skip
    good: dict[date, float] = {}
    excluded: list[str] = []
    for day in days:
        use = known.grown(hour_ms(day, 0, zone), hour_ms(day, 24, zone))
        if use is None or day not in outdoor:
            excluded.append(f"{day} {'no data' if use is None else 'no outdoor temperature'}")
        else:
            good[day] = use
    span = (max(good) - min(good)).days + 1 if good else 0
    if span < YEAR_WANTED or len(good) < 0.75 * span:
        wanted = f"至少要跨 {YEAR_WANTED} 天且有四分之三"
        return _dated(blank, good, excluded, f"{len(good)} 天数据跨 {span} 天，{wanted}")
    school = [calendar.day_type(day) == "school" for day in good]
    found = fit(list(good.values()), [outdoor[day] for day in good], school)
    pairs = list(zip(good.values(), found.fitted, strict=True))
    told = _told(blank, good, excluded, found.values, pairs, free=found.free)
    monthly = _monthly_cv(list(good), pairs)
    if not told.weak and monthly > MONTHLY_CV:
        return replace(told, weak=f"按月 CV(RMSE) {monthly:.0%}，超过 {MONTHLY_CV:.0%}")
    return told


def _monthly_cv(days: Sequence[date], pairs: Sequence[tuple[float, float]]) -> float:
    months: dict[tuple[int, int], list[float]] = {}
    for day, (value, fitted) in zip(days, pairs, strict=True):
        total = months.setdefault((day.year, day.month), [0.0, 0.0])
        total[0] += value
        total[1] += fitted
    mean = sum(value for value, _ in months.values()) / len(months)
    squares = sum((value - fitted) ** 2 for value, fitted in months.values())
    return math.sqrt(squares / len(months)) / mean if mean else math.inf


def _told(
    blank: Baseline, good: Mapping[date, float], excluded: Sequence[str], values: tuple[float, ...],
    pairs: Sequence[tuple[float, float]], *, free: int = 1, grain: float = 0.0,
) -> Baseline:  # fmt: skip
    """A baseline with its fit; weak where that is bad. Nights may differ by the `grain` that the counter
    has: what it cannot tell apart is no scatter."""
    off = [value - fitted for value, fitted in pairs]
    mean = sum(value for value, _ in pairs) / len(pairs)
    freedom = max(1, len(off) - free)
    cv = math.sqrt(sum(one * one for one in off) / freedom) / mean if mean else 0.0
    nmbe = sum(off) / freedom / mean if mean else 0.0
    spread = ROBUST * median(abs(one) for one in off)
    weak = ""
    if len(values) == 1 and spread > max(grain, HOURLY_CV * values[0]):
        apart = spread / values[0] if values[0] else math.inf
        weak = f"各夜相差太大，离散 {apart:.0%}，超过 {HOURLY_CV:.0%}"
    elif len(values) > 1 and cv > HOURLY_CV:
        weak = f"CV(RMSE) {cv:.0%}，超过 {HOURLY_CV:.0%}"
    elif len(values) > 1 and abs(nmbe) > MOST_BIAS:
        weak = f"NMBE {nmbe:.1%}，超过 {MOST_BIAS:.0%}"
    found = replace(blank, values=values, spread=spread, cv=cv, nmbe=nmbe)
    return _dated(found, good, excluded, weak)


def _dated(blank: Baseline, good: Mapping[date, float], excluded: Sequence[str], weak: str) -> Baseline:
    return replace(
        blank,
        first=min(good).isoformat() if good else "",
        last=max(good).isoformat() if good else "",
        days=len(good),
        excluded=tuple(excluded[-MOST_EXCLUDED:]),
        weak=weak,
    )


def daily_means(hours: Sequence[tuple[Millis, float]], zone: ZoneInfo) -> dict[date, float]:
    """Hourly means (beginning, value) as means of local days; a day wants 18 of its hours."""
    found: dict[date, list[float]] = {}
    for at, value in hours:
        found.setdefault(local_day(at, zone), []).append(value)
    return {day: sum(values) / len(values) for day, values in found.items() if len(values) >= 18}
