"""What a rule's tests say was before: learned from as the gateway learns from its store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache

from drivers.reading import Millis
from rules.baseline import KINDS, Baseline, BaselineKey, hour_ms
from rules.learning import History, Quarter, learn
from rules.series import DAY_MS, QUARTER_MS, Past, past_of
from rules.stage import ZONE, Stage, place_of
from rules.timetable import WEEKDAYS, Calendar, DayType


def lessons(stage: Stage, history: Mapping[str, str], wanted: Sequence[BaselineKey]) -> Iterator[Baseline]:
    """The baselines of all counters that are compared with their usual, as learned on the day before the
    test's: those that hold on its morning. ValueError for a history that nothing is learned from."""
    texts = {(place_of(role), role.rpartition(".")[2]): text for role, text in history.items()}
    place = None if stage.site.outdoor is None else stage.site.outdoor[:2]
    idle = texts.keys() - {(key.device, key.point) for key in wanted} - {place}
    if idle:
        device, point = min(idle)
        raise ValueError(f"history: {point} of the {device} is compared with no baseline")
    outdoor = "" if place is None else texts.get(place, "")
    for key in wanted:
        if (key.device, key.point) in texts:
            unit = stage.site.device_by_id[key.device].points[key.point]
            kind = stage.calendar.day_type(stage.day)
            yield _lesson(key, unit, texts[key.device, key.point], outdoor, stage.day, kind)


@lru_cache(maxsize=64)
def _lesson(key: BaselineKey, unit: str, counter: str, outdoor: str, day: date, kind: DayType) -> Baseline:
    """One baseline; the tests of a rule tell the same history several times, and a year takes its time."""
    grain = DAY_MS if KINDS[key.name].per_ms == DAY_MS else QUARTER_MS
    means = _means(past_of(outdoor), day) if outdoor else {}
    known = History(unit, _counted(past_of(counter), day, grain), means)
    return learn(key, day - timedelta(days=1), known, Calendar(week=dict.fromkeys(WEEKDAYS, kind)), ZONE)


def _counted(past: Past, until: date, grain: Millis) -> list[Quarter]:
    """A counter that grew so, from 0, until `until` begins; told as often as `grain`, or the past itself,
    is fine."""
    first = hour_ms(until - timedelta(days=past.days), 0, ZONE)
    tick = min(grain, past.step)
    value, found = 0.0, [Quarter(first - QUARTER_MS, 0.0)]
    for since in range(0, past.days * DAY_MS, tick):
        value += past.during(since) * tick / past.step
        found.append(Quarter(first + since + tick - QUARTER_MS, value))
    return found


def _means(past: Past, until: date) -> dict[date, float]:
    """The mean of each day."""
    tick = min(DAY_MS, past.step)
    found: dict[date, float] = {}
    for back in range(past.days):
        steps = range(back * DAY_MS, (back + 1) * DAY_MS, tick)
        found[until - timedelta(days=past.days - back)] = sum(map(past.during, steps)) / len(steps)
    return found
