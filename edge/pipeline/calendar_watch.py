"""Whether the calendar knows the coming year: every December people must be reminded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.reading import Millis, Value
from rules.timetable import Calendar

REMINDED_FROM = 12
"""The State Council publishes in November: from this month on, next year's days can be entered."""


class CalendarWatch:
    """Says when the make-up workdays of this year, or from December of the next, are not known."""

    def __init__(self, calendar: Calendar | None, timezone: str, clock: Callable[[], Millis]) -> None:
        self._calendar = calendar
        self._zone = ZoneInfo(timezone)
        self._clock = clock

    def unknown(self) -> int | None:
        """The year whose make-up workdays are missing; None while all is known."""
        if self._calendar is None:
            return None
        today = datetime.fromtimestamp(self._clock() / 1000, self._zone).date()
        years = (today.year, today.year + 1) if today.month >= REMINDED_FROM else (today.year,)
        return next((year for year in years if self._calendar.unpublished(year)), None)

    def facts(self) -> Mapping[str, Value]:
        """What the gateway's own rules look at."""
        return {"calendar_unknown": self.unknown() is not None}
