"""Day types, lessons, make-up workdays, and when a rule is active."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from rules.timetable import ActiveTime, Calendar, Schedule

SHANGHAI = ZoneInfo("Asia/Shanghai")
YEAR = Calendar.model_validate(
    {
        "terms": [{"first": "2026-03-02", "last": "2026-07-10"}],
        "lessons": {
            "tue": [{"name": "一", "start": "08:00", "end": "08:45"}],
            "sat": [{"name": "补", "start": "09:00", "end": "09:45"}],
        },
        "days": [
            {"name": "劳动节", "first": "2026-05-01", "last": "2026-05-05", "type": "rest"},
            {"name": "调休", "first": "2026-05-09", "last": "2026-05-09", "type": "school", "follows": "tue"},
            {"name": "考试", "first": "2026-07-08", "last": "2026-07-10", "type": "exam"},
        ],
    }
)


def millis(text: str, zone: ZoneInfo = SHANGHAI, fold: int = 0) -> int:
    """A local time as an instant."""
    return round(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        ("2026-04-13", "school"),
        ("2026-04-18", "rest"),
        ("2026-05-01", "rest"),
        ("2026-05-09", "school"),
        ("2026-07-09", "exam"),
        ("2026-08-01", "vacation"),
    ],
)
def test_each_day_has_a_type_from_the_layers(day: str, kind: str) -> None:
    assert YEAR.day_type(date.fromisoformat(day)) == kind


def test_a_make_up_saturday_has_the_lessons_of_the_day_it_follows() -> None:
    assert [lesson.name for lesson in YEAR.lessons_on(date(2026, 5, 9))] == ["一"]
    lesson = YEAR.lesson_at(millis("2026-05-09T08:44"), SHANGHAI)
    assert lesson is not None and lesson.name == "一"
    assert YEAR.lesson_at(millis("2026-05-09T08:45"), SHANGHAI) is None
    assert YEAR.lessons_on(date(2026, 5, 5)) == ()


def test_without_a_calendar_the_week_decides() -> None:
    assert Calendar().day_type(date(2026, 5, 1)) == "school"
    assert Calendar().day_type(date(2026, 5, 2)) == "rest"


def test_a_schedule_tells_its_next_change_across_a_holiday() -> None:
    schedule = Schedule(
        ActiveTime.model_validate({"cal": "school", "between": ("07:30", "18:00")}), YEAR, SHANGHAI
    )
    assert schedule.turn(millis("2026-04-30T12:00")) == (True, millis("2026-04-30T18:00"))
    assert schedule.turn(millis("2026-04-30T18:00")) == (False, millis("2026-05-06T07:30"))


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    night = ActiveTime.model_validate({"cal": "school", "between": ("22:00", "06:00")})
    schedule = Schedule(night, YEAR, SHANGHAI)
    assert schedule.turn(millis("2026-05-01T05:00")) == (True, millis("2026-05-01T06:00"))
    assert not schedule.turn(millis("2026-05-01T23:00")).active


def test_exceptions_are_cut_out() -> None:
    given = {"between": ("08:00", "20:00"), "except": {"cal": "exam", "between": ("09:00", "11:00")}}
    schedule = Schedule(ActiveTime.model_validate(given), YEAR, SHANGHAI)
    assert schedule.turn(millis("2026-07-08T08:30")) == (True, millis("2026-07-08T09:00"))
    assert schedule.turn(millis("2026-07-08T10:00")) == (False, millis("2026-07-08T11:00"))


def test_whole_days_join_without_a_seam() -> None:
    schedule = Schedule(ActiveTime.model_validate({"days": ("mon", "tue")}), YEAR, SHANGHAI)
    assert schedule.turn(millis("2026-04-13T12:00")) == (True, millis("2026-04-15T00:00"))


def test_what_never_changes_has_no_next_change() -> None:
    assert Schedule(ActiveTime(), YEAR, SHANGHAI).turn(millis("2026-04-13T12:00")) == (True, None)


def test_hours_that_the_clock_skips_or_repeats_stay_in_order() -> None:
    london = ZoneInfo("Europe/London")
    schedule = Schedule(ActiveTime.model_validate({"between": ("01:15", "01:45")}), Calendar(), london)
    twice = schedule.turn(millis("2026-10-25T01:20", london))
    assert twice == (True, millis("2026-10-25T01:45", london, fold=1))
    over_the_gap = Schedule(ActiveTime.model_validate({"between": ("00:30", "01:30")}), Calendar(), london)
    assert over_the_gap.turn(millis("2026-03-29T00:45", london)).active
    skipped = schedule.turn(millis("2026-03-29T00:30", london))
    assert skipped.until is not None and skipped.until >= millis("2026-03-29T01:00", london)


def test_a_lesson_must_end_after_it_starts() -> None:
    with pytest.raises(ValidationError):
        Calendar.model_validate({"lessons": {"mon": [{"name": "x", "start": "09:00", "end": "08:00"}]}})
