"""A baseline at work: what is usual at an instant, as last learned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.reading import Millis
from rules.agenda import Agenda
from rules.baseline import KINDS, SLOT_PLACE, UNKNOWN, Baseline, BaselineKey, alike, hour_ms, local_day
from rules.timetable import Calendar
from rules.track import Refreshable

NOT_YET = "还没有学到 (nothing learned yet)"


class Yardstick:
    """One baseline. `outdoor` gives the mean outdoor temperature of the last day, where it is measured."""

    __slots__ = ("_calendar", "_outdoor", "_zone", "cells", "key", "learned")

    def __init__(
        self,
        key: BaselineKey,
        calendar: Calendar,
        zone: ZoneInfo,
        outdoor: Callable[[Millis], float | None],
    ) -> None:
        self.key = key
        self.learned: Baseline | None = None
        self.cells: list[Refreshable] = []
        self._calendar = calendar
        self._zone = zone
        self._outdoor = outdoor

    def take(self, learned: Baseline, at: Millis) -> None:
        """What was learned comes into force; an older lesson than the present one does not."""
        if self.learned is None or self.learned.since <= learned.since:
            self.learned = learned
            for cell in self.cells:
                cell.refresh(at)

    @property
    def words(self) -> str:
        """What it stands on, or why nothing may be concluded."""
        return f"{self.key.name}: {NOT_YET if self.learned is None else self.learned.words}"

    @property
    def weak(self) -> str:
        """Why nothing may be concluded; empty when something may."""
        return NOT_YET if self.learned is None else self.learned.weak

    def value(self, at: Millis) -> float | None:
        """What is usual for the window that ends at `at`; None when it cannot be told."""
        known = self.learned
        if known is None or known.weak or not known.values:
            return None
        if self.key.name == "tow_p50_28d":
            return self._of_hours(known, at - KINDS[self.key.name].per_ms, at)
        if self.key.name == "degree_day_12m":
            return self._of_weather(known, at)
        return known.values[0]

    def expected(self, since: Millis, until: Millis) -> float | None:
        """The usual growth of the counter between two instants."""
        known, kind = self.learned, KINDS[self.key.name]
        if known is None or known.weak:
            return None
        if self.key.name == "tow_p50_28d":
            return self._of_hours(known, since, until)
        value = self.value(until)
        return None if value is None else value * (until - since) / kind.per_ms

    def spread(self, since: Millis, until: Millis) -> float | None:
        """How far the growth between two instants may lie from that (one standard deviation): single
        values are taken to err alike, so that errors add up."""
        known = self.learned
        return None if known is None else known.spread * (until - since) / KINDS[self.key.name].per_ms

    def _of_hours(self, known: Baseline, since: Millis, until: Millis) -> float | None:
        """Hours of the week, each by the part of it that lies in the time."""
        total, start = 0.0, since
        while start < until:
            local = datetime.fromtimestamp(start / 1000, self._zone)
            like = alike(local.date(), self._calendar)
            usual = UNKNOWN if like is None else known.values[SLOT_PLACE[(*like, local.hour)]]
            if usual == UNKNOWN:
                return None
            stop = min(until, max(hour_ms(local.date(), local.hour + 1, self._zone), start + 1))
            total += usual * (stop - start) / KINDS[self.key.name].per_ms
            start = stop
        return total

    def _of_weather(self, known: Baseline, at: Millis) -> float | None:
        outdoor = self._outdoor(at)
        if outdoor is None:
            return None
        middle = local_day(at - KINDS[self.key.name].per_ms // 2, self._zone)
        school, other, heating, cooling, below, above = known.values
        base = school if self._calendar.day_type(middle) == "school" else other
        return base + heating * max(0.0, below - outdoor) + cooling * max(0.0, outdoor - above)


class Lesson:
    """An entry of the agenda: baselines come into force together."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[Yardstick, Baseline]]) -> None:
        self._pairs = pairs

    def fire(self, due: Millis) -> None:
        """The time has come."""
        for yardstick, learned in self._pairs:
            yardstick.take(learned, due)

    @staticmethod
    def plan(pairs: list[tuple[Yardstick, Baseline]], agenda: Agenda) -> None:
        """Puts each on the agenda for the time from which it holds."""
        for since in sorted({learned.since for _, learned in pairs}):
            agenda.add(since, Lesson([pair for pair in pairs if pair[1].since == since]))
