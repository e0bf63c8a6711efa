"""The virtual school as one world: rooms, weather, meters, gates and buttons on one simulated clock.

`advance` is the only way in which time passes; the same seed and events give the same
trajectory, however the time is cut into calls.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import TypeVar

from drivers.simulated.meters import Button, ElectricMeter, FlowMeter, Gate
from drivers.simulated.room import Room
from drivers.simulated.spaces import Space, Use, subtrees
from drivers.simulated.timetable import clock
from drivers.simulated.weather import Weather

STEP_S = 10.0
"""One step of the model in simulated seconds."""
WARM_UP_S = 4 * 3600.0
"""The world lives this long before it is shown, so that it starts in the middle of life."""

T = TypeVar("T")
Happening = Callable[["School"], None]


class School:
    """All spaces of one configuration, alive. `start_s` is simulated time (see `timetable`)."""

    def __init__(self, spaces: Sequence[Space], seed: int, start_s: float) -> None:
        self._seed = f"school-{seed}"
        self._below = subtrees(tuple(spaces))
        self.weather = Weather(self._seed)
        self.rooms: dict[str, Room] = {}
        for space in spaces:
            first_lessons = not any(room.full for room in self.rooms.values())
            full = first_lessons and space.kind == "classroom"
            self.rooms[space.id] = Room(space, self._seed, full)
        pupils = sum(room.seats for room in self.rooms.values() if room.habit.use is Use.LESSONS)
        self._electric: dict[str, ElectricMeter] = {}
        self._water: dict[str, FlowMeter] = {}
        self._gas: dict[str, FlowMeter] = {}
        self._gates: dict[str, Gate] = {}
        self._buttons: dict[str, Button] = {}
        self._pupils = max(1, pupils)
        self._events: list[tuple[float, int, Happening]] = []
        self._number = count()
        self._owed_s = 0.0
        self.now_s = start_s - WARM_UP_S
        self._warm = False
        self._start_s = start_s

    def electric(self, space: str) -> ElectricMeter:
        """The meter in front of a space; must be asked for before time passes."""
        return _shelved(self._electric, space, lambda: ElectricMeter(space, self._fed(space), self._seed))

    def water(self, space: str) -> FlowMeter:
        """The water meter in front of a space; as `electric`."""
        return _shelved(self._water, space, lambda: FlowMeter(space, self._fed(space), self._seed, "water"))

    def gas(self, space: str) -> FlowMeter:
        """The gas meter in front of a space; as `electric`."""
        return _shelved(self._gas, space, lambda: FlowMeter(space, self._fed(space), self._seed, "gas"))

    def gate(self, space: str) -> Gate:
        """The counting gate in a space; as `electric`."""
        return _shelved(self._gates, space, lambda: Gate(space, self._pupils, self._seed))

    def button(self, device: str) -> Button:
        """One emergency button; as `electric`."""
        return _shelved(self._buttons, device, lambda: Button(device, self._seed))

    def buttons(self) -> tuple[Button, ...]:
        """All emergency buttons, in the order in which they were asked for."""
        return tuple(self._buttons.values())

    def rooms_of(self, use: Use) -> tuple[Room, ...]:
        """The rooms of one use, in the configuration's order."""
        return tuple(room for room in self.rooms.values() if room.habit.use is use)

    def at(self, when_s: float, happening: Happening) -> None:
        """Lets something happen at the first step not before `when_s`."""
        heapq.heappush(self._events, (when_s, next(self._number), happening))

    def warm_up(self) -> None:
        """Lives from before the start up to the start; once, and `advance` does it where nobody has."""
        if not self._warm:
            self._warm = True
            self._run_until(self._start_s)

    def advance(self, seconds: float) -> None:
        """Lets simulated time pass, in whole steps; the rest is kept for the next call."""
        self.warm_up()
        self._owed_s += seconds
        steps = int(self._owed_s / STEP_S + 1e-9)
        self._owed_s -= steps * STEP_S
        for _ in range(steps):
            self._step()

    def _fed(self, space: str) -> list[Room]:
        return [self.rooms[below] for below in self._below.get(space, ())] or list(self.rooms.values())

    def _run_until(self, when_s: float) -> None:
        while self.now_s + STEP_S <= when_s + 1e-6:
            self._step()

    def _step(self) -> None:
        self.now_s += STEP_S
        while self._events and self._events[0][0] <= self.now_s:
            heapq.heappop(self._events)[2](self)
        self.weather.step(self.now_s, STEP_S)
        for room in self.rooms.values():
            room.step(self.now_s, STEP_S, self.weather)
        for electric in self._electric.values():
            electric.step(STEP_S)
        for flow in (*self._water.values(), *self._gas.values()):
            flow.step(STEP_S)
        for gate in self._gates.values():
            gate.step(self.now_s, STEP_S)
        for button in self._buttons.values():
            button.step(self.now_s, STEP_S)


def _shelved(shelf: dict[str, T], key: str, build: Callable[[], T]) -> T:
    if key not in shelf:
        shelf[key] = build()
    return shelf[key]


DEMO_START_S = clock(9, 10)
"""Ten minutes into the second lesson; the long break begins half an hour later."""
