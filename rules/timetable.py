"""Lessons, terms, holidays and make-up workdays: what kind of day it is, and when a rule is active.

The only place in the rules that knows local time. A day has a type (`school`, `rest`,
`exam`, `vacation`); rules name types and hours, never dates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr, StringConstraints, field_validator, model_validator

from drivers.reading import Millis
from drivers.settings import Id, Settings

DayType = Literal["school", "rest", "exam", "vacation"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
"""A local time of day, `"07:30"`; `"24:00"` is the end of the day."""

_AHEAD_DAYS = 400
"""How far a next change is looked for: over a year, so that any yearly calendar shows one."""


class Lesson(Settings):
    """One lesson of the timetable, from `start` to `end` local time."""

    name: str
    start: Clock
    end: Clock

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.end:
            raise ValueError("a lesson must end after it starts")
        return self


class Stretch(Settings):
    """Consecutive dates, both ends included."""

    name: str = ""
    first: date
    last: date

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.last < self.first:
            raise ValueError("last must not lie before first")
        return self


class SpecialDays(Stretch):
    """Dates that are not what the week says: a holiday, exam days, or a make-up workday (调休)
    that `follows` the timetable of another weekday."""

    type: DayType
    follows: Weekday | None = None


class StatutoryDays(Settings):
    """A country's holidays and make-up workdays. Of years that are not `published` only the days by law
    are known, not yet which weekends are worked for them."""

    country: Literal["cn"]
    source: str
    verified: bool
    published: tuple[int, ...]
    days: tuple[SpecialDays, ...]


def _week() -> dict[Weekday, DayType]:
    return {day: "rest" if day in ("sat", "sun") else "school" for day in WEEKDAYS}


class Calendar(Settings):
    """A school's year, in layers: special days over terms over the country's holidays over the week.

    A date outside all terms is `vacation`; without any terms holidays and the week decide.
    Of two special days on one date the later in the list holds. `statutory` names the country whose
    holidays and make-up workdays lie below; without it the school lists them itself. `opening` says
    when the school is open (rules ask for the role `schedule.closed`), `slots` what must come when.
    """

    id: str = "default"
    source: str = ""
    verified: bool = False
    week: dict[Weekday, DayType] = Field(default_factory=_week)
    lessons: dict[Weekday, tuple[Lesson, ...]] = Field(default_factory=dict)
    terms: tuple[Stretch, ...] = ()
    days: tuple[SpecialDays, ...] = ()
    opening: ActiveTime | None = None
    slots: tuple[Slot, ...] = ()
    statutory: Literal["cn"] | None = None
    _below: Mapping[date, SpecialDays] = PrivateAttr(default_factory=dict)
    _published: frozenset[int] = PrivateAttr(default=frozenset())

    @model_validator(mode="after")
    def _slots_have_names(self) -> Self:
        ids = [slot.id for slot in self.slots]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the slot id {twice[0]} is used twice")
        return self

    @field_validator("week", mode="after")
    @classmethod
    def _whole_week(cls, week: dict[Weekday, DayType]) -> dict[Weekday, DayType]:
        return _week() | week

    def over(self, statutory: StatutoryDays) -> Calendar:
        """This calendar with a country's days below its own."""
        calendar = self.model_copy()
        calendar._below = {
            special.first + timedelta(days=n): special
            for special in statutory.days
            for n in range((special.last - special.first).days + 1)
        }
        calendar._published = frozenset(statutory.published)
        return calendar

    def unpublished(self, year: int) -> bool:
        """Whether nobody has said yet which weekends are worked in a year: it counts on the country's
        days, those of this year are not published, and the school's own name no make-up workday."""
        if self.statutory is None or year in self._published:
            return False
        return not any(
            special.type == "school" and year in (special.first.year, special.last.year)
            for special in self.days
        )

    def special(self, day: date) -> SpecialDays | None:
        """The special day that `day` is, if any: one of the school's own, else, within a term, one of
        the country's."""
        own = next((special for special in reversed(self.days) if special.first <= day <= special.last), None)
        if own is not None or not self._in_term(day):
            return own
        return self._below.get(day)

    def day_type(self, day: date) -> DayType:
        """What kind of day a local date is."""
        special = self.special(day)
        if special is not None:
            return special.type
        if not self._in_term(day):
            return "vacation"
        return self.week[WEEKDAYS[day.weekday()]]

    def lessons_on(self, day: date) -> tuple[Lesson, ...]:
        """The lessons held on a local date: those of the weekday it follows, none unless a school day."""
        if self.day_type(day) != "school":
            return ()
        special = self.special(day)
        follows = special.follows if special is not None else None
        return self.lessons.get(follows or WEEKDAYS[day.weekday()], ())

    def _in_term(self, day: date) -> bool:
        return not self.terms or any(term.first <= day <= term.last for term in self.terms)

    def lesson_at(self, at: Millis, zone: ZoneInfo) -> Lesson | None:
        """The lesson that runs at an instant."""
        local = datetime.fromtimestamp(at / 1000, zone)
        clock = local.strftime("%H:%M")
        return next(
            (lesson for lesson in self.lessons_on(local.date()) if lesson.start <= clock < lesson.end), None
        )


class Hours(Settings):
    """Day types, weekdays and hours; what is not given does not restrict.

    `between` may pass midnight (`["22:00", "06:00"]`): the night belongs to the day it begins on.
    """

    cal: DayType | Literal["any"] | Annotated[tuple[DayType, ...], Field(min_length=1)] = "any"
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] | None = None
    between: tuple[Clock, Clock] | None = None

    @field_validator("between", mode="after")
    @classmethod
    def _some_time(cls, between: tuple[str, str] | None) -> tuple[str, str] | None:
        if between is not None and (between[0] == between[1] or between[0] == "24:00"):
            raise ValueError("between needs two different times, the first before 24:00")
        return between

    def on(self, day: date, calendar: Calendar) -> bool:
        """Whether hours begin on this local date."""
        if self.days is not None and WEEKDAYS[day.weekday()] not in self.days:
            return False
        if self.cal == "any":
            return True
        kind = calendar.day_type(day)
        return kind == self.cal if isinstance(self.cal, str) else kind in self.cal


class ActiveTime(Hours):
    """When a rule is armed: the hours, less those of `except`."""

    except_: Hours | None = Field(default=None, alias="except")


_ALWAYS = ActiveTime()


class Slot(Hours):
    """One slot of a plan, such as a round of the patrol: on days of `cal` and `days`, `between` two
    times, something must come from `device`. Rules name them with `each: patrol_slot`.
    """

    id: Id
    name: str = ""
    device: Id
    between: tuple[Clock, Clock]


class Turn(NamedTuple):
    """Whether it is active now, and when that next changes (None: not within 400 days)."""

    active: bool
    until: Millis | None


class Schedule:
    """An `ActiveTime` under a calendar in a time zone; asked with instants."""

    def __init__(self, active: ActiveTime, calendar: Calendar, zone: ZoneInfo) -> None:
        self._active = active
        self._calendar = calendar
        self._zone = zone

    def turn(self, at: Millis) -> Turn:
        """The state at `at` and its next change."""
        if self._active == _ALWAYS:
            return Turn(True, None)
        today = datetime.fromtimestamp(at / 1000, self._zone).date()
        now = self._state(at, today)
        for ahead in range(_AHEAD_DAYS):
            day = today + timedelta(days=ahead - 1)
            edges = {edge for hours in self._all_hours() for edge in self._span(hours, day)}
            for edge in sorted(edges):
                if edge > at and self._state(edge, day) != now:
                    return Turn(now, edge)
        return Turn(now, None)

    def begun(self, at: Millis) -> tuple[Millis, Millis] | None:
        """The last stretch of the hours that had begun by then, `except` left aside; None for a year."""
        today = datetime.fromtimestamp(at / 1000, self._zone).date()
        for back in range(-1, _AHEAD_DAYS):
            start, end = self._span(self._active, today - timedelta(days=back))
            if start < end and start <= at:
                return start, end
        return None

    def next_begin(self, at: Millis) -> Millis | None:
        """When the hours next begin after an instant, `except` left aside; None for a year."""
        today = datetime.fromtimestamp(at / 1000, self._zone).date()
        for ahead in range(-1, _AHEAD_DAYS):
            start, end = self._span(self._active, today + timedelta(days=ahead))
            if start < end and start > at:
                return start
        return None

    def _all_hours(self) -> Iterator[Hours]:
        yield self._active
        if self._active.except_ is not None:
            yield self._active.except_

    def _state(self, at: Millis, day: date) -> bool:
        if not self._covers(self._active, at, day):
            return False
        return self._active.except_ is None or not self._covers(self._active.except_, at, day)

    def _covers(self, hours: Hours, at: Millis, day: date) -> bool:
        """Whether hours that began on `day`, the day before or the day after contain the instant."""
        spans = (self._span(hours, day + timedelta(days=shift)) for shift in (-1, 0, 1))
        return any(start <= at < end for start, end in spans)

    def _span(self, hours: Hours, day: date) -> tuple[Millis, Millis]:
        """The hours that begin on a local date as instants; an empty span where none do."""
        if not hours.on(day, self._calendar):
            return (0, 0)
        first, last = hours.between or ("00:00", "24:00")
        end_day = day if last > first else day + timedelta(days=1)
        # An end that the clock skips or repeats is the later of the two readings of it.
        ends = (self._instant(end_day, last, fold=0), self._instant(end_day, last, fold=1))
        return self._instant(day, first, fold=0), max(ends)

    def _instant(self, day: date, clock: str, fold: int) -> Millis:
        """A local time as an instant; `fold` says which one where the clock repeats it."""
        if clock == "24:00":
            day, clock = day + timedelta(days=1), "00:00"
        local = datetime.combine(day, time.fromisoformat(clock), self._zone).replace(fold=fold)
        return round(local.astimezone(UTC).timestamp() * 1000)


Calendar.model_rebuild()
