"""Holidays and make-up workdays of the country, below what a school says itself."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from edge.config.resources import builtin_configs
from edge.config.rulefiles import read_calendar
from rules.timetable import Calendar

DAYS = builtin_configs() / "calendars" / "statutory-cn.yaml"
SCHOOL = """id: here
statutory: cn
week: {mon: school, tue: school, wed: school, thu: school, fri: school, sat: rest, sun: rest}
terms:
  - {name: spring, first: "2026-02-28", last: "2026-07-10"}
  - {name: autumn, first: "2026-09-01", last: "2027-01-29"}
"""


def calendar(folder: Path, more: str = "") -> Calendar:
    path = folder / "calendar.yaml"
    path.write_text(SCHOOL + more, encoding="utf-8")
    found, faults = read_calendar(path, builtin_configs())
    assert not faults
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        ("2026-10-01", "rest"),  # national day
        ("2026-10-07", "rest"),  # its Wednesday, worked for on the 10th
        ("2026-10-10", "school"),  # a Saturday that is worked
        ("2026-10-11", "rest"),  # a plain Sunday
        ("2026-10-12", "school"),
        ("2026-02-14", "vacation"),  # worked elsewhere: no term, no school
        ("2026-08-03", "vacation"),
        ("2027-01-01", "rest"),  # by law, though the year is not published
    ],
)
def test_the_days_of_the_country_hold_within_the_terms(tmp_path: Path, day: str, kind: str) -> None:
    assert calendar(tmp_path).day_type(date.fromisoformat(day)) == kind


def test_a_school_has_the_last_word_on_a_day(tmp_path: Path) -> None:
    own = 'days: [{name: sports, first: "2026-10-10", last: "2026-10-10", type: rest}]\n'
    assert calendar(tmp_path, own).day_type(date(2026, 10, 10)) == "rest"


def test_a_day_that_is_worked_has_the_lessons_of_the_day_it_stands_for(tmp_path: Path) -> None:
    lessons = 'lessons: {wed: [{name: first, start: "08:00", end: "08:40"}]}\n'
    names = [lesson.name for lesson in calendar(tmp_path, lessons).lessons_on(date(2026, 10, 10))]
    assert names == ["first"]


def test_a_year_is_unknown_until_it_is_published_or_the_school_names_a_day_that_is_worked(
    tmp_path: Path,
) -> None:
    bare = calendar(tmp_path)
    assert not bare.unpublished(2026)
    assert bare.unpublished(2028)
    own = 'days: [{name: swap, first: "2028-01-08", last: "2028-01-08", type: school, follows: mon}]\n'
    assert not calendar(tmp_path, own).unpublished(2028)
    assert not Calendar().unpublished(2028)  # who does not count on the country's days misses none


def test_the_days_agree_with_those_that_the_state_council_published_for_2026() -> None:
    """Against the calendar of the virtual school, which was written after the notice itself."""
    demo, faults = read_calendar(DAYS.parent / "demo-2026.yaml", builtin_configs())
    assert demo is not None
    assert not faults
    bare = demo.model_copy(update={"days": (), "terms": (), "statutory": "cn"})
    country = _over(bare)
    for n in range(365):
        day = date(2026, 1, 1) + timedelta(days=n)
        said = demo.special(day)
        if said is not None and said.type != "exam":
            assert country.day_type(day) == said.type, day


def _over(bare: Calendar) -> Calendar:
    from edge.config.documents import read
    from rules.timetable import StatutoryDays

    return bare.over(StatutoryDays.model_validate(read(DAYS).data))
