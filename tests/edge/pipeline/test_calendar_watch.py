"""People are reminded of the coming year's make-up workdays."""

from datetime import UTC, date, datetime

import pytest

from edge.config.documents import read
from edge.config.resources import builtin_configs
from edge.pipeline.calendar_watch import CalendarWatch
from rules.timetable import Calendar, SpecialDays, StatutoryDays

DAYS = StatutoryDays.model_validate(read(builtin_configs() / "calendars" / "statutory-cn.yaml").data)
LAST = max(DAYS.published)


def watch(calendar: Calendar | None, local: datetime) -> CalendarWatch:
    at = round(local.timestamp() * 1000)
    return CalendarWatch(calendar, "UTC", lambda: at)


@pytest.mark.parametrize(
    ("when", "unknown"),
    [
        (datetime(LAST, 11, 30, 23, 59, tzinfo=UTC), None),
        (datetime(LAST, 12, 1, tzinfo=UTC), LAST + 1),
        (datetime(LAST + 1, 3, 1, tzinfo=UTC), LAST + 1),
    ],
)
def test_the_next_year_is_asked_for_from_december_on(when: datetime, unknown: int | None) -> None:
    seen = watch(Calendar(statutory="cn").over(DAYS), when)
    assert seen.unknown() == unknown
    assert seen.facts() == {"calendar_unknown": unknown is not None}


def test_a_worked_weekend_in_the_schools_own_days_is_an_answer() -> None:
    own = SpecialDays(first=date(LAST + 1, 2, 6), last=date(LAST + 1, 2, 6), type="school", follows="fri")
    assert (
        watch(Calendar(statutory="cn", days=(own,)).over(DAYS), datetime(LAST, 12, 5, tzinfo=UTC)).unknown()
        is None
    )


def test_who_lists_all_days_is_not_reminded() -> None:
    assert watch(Calendar(), datetime(LAST, 12, 5, tzinfo=UTC)).unknown() is None
    assert watch(None, datetime(LAST, 12, 5, tzinfo=UTC)).unknown() is None
