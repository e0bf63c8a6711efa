"""Baselines: what is usual for a meter, how sure that is, and what it says for an instant.

    mnf_p50_28d        minimum night flow: per night the least 15 min between 01:00 and 05:00
    night_2h_p50_28d   night base load: growth in two hours between 23:00 and 05:00
    tow_p50_28d        growth in an hour, by weekday and hour of the day
    degree_day_12m     growth in a day: base + heating and cooling degrees, with change points

The first three are medians of the last 28 days. Each is learned once a day from what was measured
before 06:00 local time (`LEARNED`) and is in force from 12:00 (`IN_FORCE`): so that a rehearsal, which
learns as its time passes, knows exactly what the gateway knew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from rules.timetable import WEEKDAYS, Calendar, DayType, Weekday

HOUR_MS: Millis = 3_600_000
DAY_MS: Millis = 86_400_000
LEARNED = time(6, 0)
IN_FORCE = time(12, 0)


class BaselineKind(NamedTuple):
    """What one name means: its value is growth of a counter in `per_ms`; it is compared with `agg` over
    `over_ms` (any, where None), and learned from so many `days`."""

    agg: str
    over_ms: Millis | None
    per_ms: Millis
    days: int


KINDS: Mapping[str, BaselineKind] = {
    "mnf_p50_28d": BaselineKind("min_rate", None, HOUR_MS, 28),
    "night_2h_p50_28d": BaselineKind("delta", 2 * HOUR_MS, 2 * HOUR_MS, 28),
    "tow_p50_28d": BaselineKind("delta", HOUR_MS, HOUR_MS, 28),
    "degree_day_12m": BaselineKind("delta", DAY_MS, DAY_MS, 366),
}
"""All baselines by name."""


class BaselineKey(NamedTuple):
    """Which baseline of which counter."""

    device: str
    point: str
    name: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was learned of one counter. `values` are in the counter's unit per `per_ms` of its kind: one,
    or one for each weekday and hour (NaN-free; -1 where unknown), or the coefficients of a regression:
    base on school days, base on others, per heating degree, per cooling degree, and the two change points.

    `first` and `last` are the dates that it stands on, `days` how many of them counted, `excluded` those
    that did not, with the reason. `spread` is how far single values lie from it (one standard deviation,
    robust), `cv` the CV(RMSE) and `nmbe` the bias, both of the fit and as parts of its mean.
    `weak` says why nothing may be concluded from it; empty when something may.
    """

    device: str
    point: str
    name: str
    unit: str
    since: Millis
    first: str
    last: str
    days: int
    values: tuple[float, ...] = ()
    spread: float = 0.0
    cv: float | None = None
    nmbe: float | None = None
    excluded: tuple[str, ...] = ()
    weak: str = ""

    @property
    def key(self) -> BaselineKey:
        """Which one it is."""
        return BaselineKey(self.device, self.point, self.name)

    @property
    def words(self) -> str:
        """The dates, the number of days and the spread, for people."""
        if self.weak:
            return f"不足以下结论: {self.weak}"
        cv = "" if self.cv is None else f", CV(RMSE) {self.cv:.0%}"
        return f"{self.days} days {self.first}..{self.last}{cv}"


class LessonTimes(NamedTuple):
    """Of two times: the one until which a baseline learns, and that from which it holds."""

    learned: Millis
    since: Millis


def lesson_of(day: date, zone: ZoneInfo) -> LessonTimes:
    """When the baseline of a local day is learned, and when it comes into force."""
    return LessonTimes(_instant(day, LEARNED, zone), _instant(day, IN_FORCE, zone))


def newest_lesson(at: Millis, zone: ZoneInfo) -> date:
    """The local day of the last lesson that could be learned by then."""
    day = local_day(at, zone)
    return day if lesson_of(day, zone).learned <= at else day - timedelta(days=1)


def local_day(at: Millis, zone: ZoneInfo) -> date:
    """The local date of an instant."""
    return datetime.fromtimestamp(at / 1000, zone).date()


def _instant(day: date, clock: time, zone: ZoneInfo) -> Millis:
    return round(datetime.combine(day, clock, zone).astimezone(UTC).timestamp() * 1000)


def hour_ms(day: date, hour: int, zone: ZoneInfo) -> Millis:
    """A full hour of a local day as an instant; 24 is the end of the day."""
    if hour >= 24:
        day, hour = day + timedelta(days=hour // 24), hour % 24
    return _instant(day, time(hour), zone)


def alike(day: date, calendar: Calendar) -> tuple[DayType, Weekday] | None:
    """What a day is compared with: days of its type on the weekday that it follows; a day of rest that
    is no weekend is like a Sunday. None for exams, which are like no other days."""
    kind = calendar.day_type(day)
    special = calendar.special(day)
    weekday = WEEKDAYS[day.weekday()]
    if kind == "exam":
        return None
    if kind == "school" and special is not None and special.follows is not None:
        return kind, special.follows
    if kind == "rest" and calendar.week[weekday] != "rest":
        return kind, "sun"
    return kind, weekday


SLOTS: tuple[tuple[DayType, Weekday, int], ...] = tuple(
    (kind, weekday, hour)
    for kind in ("school", "rest", "vacation")
    for weekday in WEEKDAYS
    for hour in range(24)
)
"""The hours of a time-of-week baseline, in the order of its values."""
SLOT_PLACE: Mapping[tuple[DayType, Weekday, int], int] = {slot: place for place, slot in enumerate(SLOTS)}
UNKNOWN = -1.0
"""The value of an hour of the week that was never seen."""
