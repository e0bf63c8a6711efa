"""The virtual school's day: lessons, breaks, meals and nights, in simulated seconds.

Simulated time is one float: seconds since local midnight of day 0, a Tuesday in June.
No calendar and no zone: the agent on top of the simulators lives in real time.
"""

from __future__ import annotations

from enum import StrEnum

DAY_S = 86_400.0
LESSON_S = 40 * 60.0


def clock(hours: int, minutes: int = 0, day: int = 0) -> float:
    """A time of day as simulated seconds."""
    return day * DAY_S + hours * 3600.0 + minutes * 60.0


LESSONS: tuple[float, ...] = (
    clock(8, 10),
    clock(9, 0),
    clock(10, 10),  # behind the long break with its exercises
    clock(11, 0),
    clock(14, 0),
    clock(14, 50),
    clock(15, 40),
    clock(16, 30),
)
"""Starts of the lessons, 40 minutes each: the usual day of a middle school."""


class Phase(StrEnum):
    """What the school is doing."""

    NIGHT = "night"
    MORNING = "morning"  # arrival, breakfast
    LESSON = "lesson"
    BREAK = "break"
    LUNCH = "lunch"
    EVENING = "evening"


def day_of(now_s: float) -> int:
    """The number of the simulated day."""
    return int(now_s // DAY_S)


def second_of_day(now_s: float) -> float:
    """Seconds since local midnight."""
    return now_s % DAY_S


def is_school_day(now_s: float) -> bool:
    """Monday to Friday; day 0 is a Tuesday."""
    return (1 + day_of(now_s)) % 7 < 5


def lesson_at(now_s: float) -> int | None:
    """The index of the running lesson, `None` outside lessons."""
    if not is_school_day(now_s):
        return None
    second = second_of_day(now_s)
    for index, start in enumerate(LESSONS):
        if start <= second < start + LESSON_S:
            return index
    return None


def phase_at(now_s: float) -> Phase:
    """What the school is doing at a simulated time."""
    second = second_of_day(now_s)
    if second < clock(6, 30) or second >= clock(22):
        return Phase.NIGHT
    if lesson_at(now_s) is not None:
        return Phase.LESSON
    if second < LESSONS[0]:
        return Phase.MORNING
    if LESSONS[3] + LESSON_S <= second < LESSONS[4]:
        return Phase.LUNCH
    if second >= LESSONS[-1] + LESSON_S or not is_school_day(now_s):
        return Phase.EVENING
    return Phase.BREAK
