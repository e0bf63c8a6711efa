"""Spaces of the virtual school and what people do in each kind of them; data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Space:
    """One space of the configuration; `parent` is empty at the top, 0 means: not said."""

    id: str
    kind: str
    parent: str = ""
    area_m2: float = 0.0
    seats: int = 0


class Use(StrEnum):
    """When people are in a space."""

    LESSONS = "lessons"
    STAFF = "staff"
    MEALS = "meals"
    COOKING = "cooking"
    SLEEP = "sleep"
    WATCH = "watch"  # somebody is always there
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Habit:
    """What is usual in a kind of space. Powers in watts, areas in m2, water in uses per person and hour."""

    use: Use
    share: float = 1.0  # of the lessons in which the room is taken
    area_m2: float = 60.0
    seats: int = 48
    light_w_m2: float = 8.0  # below the 9 W/m2 of the lighting standard for classrooms
    plug_w: float = 60.0
    plug_busy_w: float = 250.0
    cooling_w: float = 7_000.0
    taps_per_person_h: float = 0.25


HABITS: dict[str, Habit] = {
    "classroom": Habit(Use.LESSONS, share=0.88),
    "lab": Habit(Use.LESSONS, share=0.6, area_m2=90.0, plug_busy_w=900.0, taps_per_person_h=0.6),
    "computer_room": Habit(Use.LESSONS, share=0.7, area_m2=90.0, plug_busy_w=6_000.0, cooling_w=12_000.0),
    "library": Habit(Use.STAFF, area_m2=200.0, seats=40, cooling_w=10_000.0),
    "office": Habit(Use.STAFF, area_m2=30.0, seats=6, cooling_w=3_500.0),
    "canteen": Habit(Use.MEALS, area_m2=400.0, seats=240, plug_busy_w=3_000.0, cooling_w=25_000.0),
    "kitchen": Habit(
        Use.COOKING, area_m2=80.0, seats=9, plug_busy_w=9_000.0, cooling_w=0.0, taps_per_person_h=9.0
    ),
    "dormitory": Habit(Use.SLEEP, area_m2=240.0, seats=60, cooling_w=9_000.0, taps_per_person_h=0.4),
    "guard_room": Habit(Use.WATCH, area_m2=18.0, seats=2, cooling_w=2_600.0, plug_w=220.0),
    "gym": Habit(Use.LESSONS, share=0.4, area_m2=600.0, seats=50, cooling_w=0.0, plug_busy_w=200.0),
}
"""Kinds of spaces in which people stay. All other kinds are no rooms."""

NO_ROOM = Habit(Use.NONE, area_m2=0.0, seats=0, plug_w=400.0, plug_busy_w=400.0, cooling_w=0.0)
"""Buildings, floors, plant rooms, gates: corridors and pumps, 400 W of base load each."""


def habit_of(kind: str) -> Habit:
    """The habit of a kind of space."""
    return HABITS.get(kind, NO_ROOM)


def subtrees(spaces: tuple[Space, ...]) -> dict[str, tuple[str, ...]]:
    """For each space, itself and all below it. A parent that does not exist is a top."""
    parents = {space.id: space.parent for space in spaces}
    found: dict[str, list[str]] = {space.id: [] for space in spaces}
    for space in spaces:
        above: str = space.id
        seen: set[str] = set()
        while above in found and above not in seen:
            found[above].append(space.id)
            seen.add(above)
            above = parents.get(above, "")
    return {key: tuple(below) for key, below in found.items()}
